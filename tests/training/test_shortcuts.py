"""What training computes in a shorter way is what the product computes."""

from __future__ import annotations

import pytest
import torch

from models.vae import WanVae
from training import experts, vae
from training.cases import WholeClipEncoder, cases_of
from training.material import Batch
from training.short_text import ShortText, padded
from training.vae_clip import ClipVae
from training.world import draw, make_scene


@pytest.fixture(scope="module")
def product() -> WanVae:
    """An untrained VAE; chance weights hide less than trained ones."""
    return WanVae(vae.new_vae().eval().requires_grad_(False))


@pytest.fixture(scope="module")
def encoder(product: WanVae) -> WholeClipEncoder:
    return WholeClipEncoder(ClipVae(product.module), product.latents_mean, product.latents_std)


@pytest.mark.parametrize(("frames", "end_frame"), [(1, False), (9, False), (10, True)])
def test_a_clip_at_once_is_encoded_as_chunk_by_chunk(
    frames: int, end_frame: bool, product: WanVae, encoder: WholeClipEncoder
) -> None:
    clip = draw(make_scene(3, 48, 80), 0, frames)
    expected = product.encode(clip, end_frame=end_frame)
    assert torch.allclose(encoder.encode(clip, end_frame=end_frame), expected, atol=1e-4)


def test_two_clips_are_encoded_and_decoded_as_each_alone(product: WanVae) -> None:
    clips = torch.stack([draw(make_scene(seed), 0, 5) for seed in (1, 2)])
    clip_vae = ClipVae(product.module)
    with torch.no_grad():
        latents, _ = clip_vae.encode(clips)
        pixels = clip_vae.decode(latents).clamp(-1, 1)
    for one, decoded in zip(product.module.encode(clips).latent_dist.mean, latents, strict=True):
        assert torch.allclose(one, decoded, atol=1e-4)
    for index in (0, 1):
        expected = product.decode(product.normalise(latents[index]))
        assert torch.allclose(pixels[index], expected, atol=1e-4)


def test_a_short_prompt_is_read_as_512_tokens() -> None:
    model = experts.new_expert(experts.LOW).eval()
    torch.nn.init.normal_(model.proj_out.weight)
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(count, 64, generator=generator) for count in (3, 7)]
    latents, y = (torch.randn(2, channels, 2, 4, 4, generator=generator) for channels in (16, 20))
    whole = torch.zeros(2, 512, 64)
    for row, state in enumerate(states):
        whole[row, : len(state)] = state
    sigma = torch.tensor([0.3, 0.9])
    with torch.no_grad():
        expected = model(
            hidden_states=torch.cat([latents, y], dim=1),
            timestep=sigma * 1000,
            encoder_hidden_states=whole,
            return_dict=False,
        )[0]
        text, bias = padded(states)
        short = experts.velocity(model, ShortText(model), latents, sigma, Batch(latents, y, text, bias))
    assert torch.allclose(short, expected, atol=1e-4)
    assert float(expected.std()) > 0.1


def test_every_kind_of_conditioning_is_among_the_cases(encoder: WholeClipEncoder) -> None:
    scene = make_scene(4, 48, 80)
    cases = [case for turn in (0, 1, 2, 3, 9) for case in cases_of(encoder, scene, 17, turn)]
    assert {case.kind for case in cases} == set(experts.WEIGHTS)
    for case in cases:
        more = case.kind == "extra_latent" or case.target.shape[1] == 6
        assert case.y.shape == (20, 6 if more else 5, 6, 10)
        assert case.target.shape == (16, *case.y.shape[1:])
        assert case.prompt == scene.prompt


def test_the_experts_meet_at_the_boundary() -> None:
    low, high = (experts.noise_levels(expert, 200, 0) for expert in (experts.LOW, experts.HIGH))
    assert float(low.max()) < 0.9 + 1e-3
    assert float(low.min()) < 0.05
    assert float(high.min()) > 0.9 - 1e-3
    assert float(high.max()) > 0.99
