"""Wan 2.1, and text to video: bit for bit what diffusers' pipelines make of the same tiny weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from headless.engine.loading import LoadedModel
from headless.engine.sampling import seeded_noise
from headless.engine.schedule import make_schedule
from headless.engine.wan import WanEngine
from headless.errors import BadParams, ModelMissing
from headless.segment import SegmentRequest
from models.registry import load_models_def
from tests.engine.conftest import Heard, frames_of, picture, request
from tests.engine.test_diffusers_contract import on_our_times
from tests.tools.constructed import TINY

SMALL = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2, "ffn_dim": 32, "text_dim": 32}
CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
TOKENS = 5
READS_CLIP = {"in_channels": 36, "out_channels": 16, "image_dim": 32, "added_kv_proj_dim": 32}
PREPROCESSING = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
END = picture(32, 32, colour=(0, 255, 0))[:, ::-1].copy()
Make = Callable[..., WanEngine]


def save_transformer(folder: Path, seed: int, config: dict[str, Any]) -> None:
    torch.manual_seed(seed)
    model = WanTransformer3DModel(**SMALL, **config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An engine with the model `other` of tiny random networks; Wan 2.1's have a CLIP encoder."""

    def engine(
        *, experts: int = 1, clip: bool = False, settings: dict[str, Any] | None = None, **config: Any
    ) -> WanEngine:
        files = {role: str(TINY / role) for role in ("vae", "text_encoder", "tokenizer")}
        for number in range(experts):
            name = "transformer" if number == 0 else "transformer_2"
            save_transformer(tmp_path / name, number, config)
            files[name] = name
        if clip:
            torch.manual_seed(9)
            CLIPVisionModel(CLIPVisionConfig(**CLIP)).save_pretrained(tmp_path / "image_encoder")
            CLIPImageProcessorPil(**PREPROCESSING).save_pretrained(tmp_path / "image_processor")
            files |= {"image_encoder": "image_encoder", "image_processor": "image_processor"}
        (tmp_path / "configs").mkdir(exist_ok=True)
        section = {"name": "Other", "architecture": "other", "files": files}
        definition = {"model": section, "vae_precision": "fp32", **(settings or {})}
        (tmp_path / "configs" / "other.json").write_text(json.dumps(definition))
        return WanEngine(load_models_def(tmp_path / "configs"), [tmp_path, Path("/")], device="cpu")

    return engine


def asked_for(**changes: Any) -> SegmentRequest:
    small = {
        "model": "other",
        "width": 32,
        "height": 32,
        "num_frames": 5,
        "steps": 2,
        "end_frame_mode": "in_chunk",
    }
    return request(**{**small, "start_image": picture(32, 32), **changes})


def sampled(engine: WanEngine, asked: SegmentRequest, folder: Path) -> torch.Tensor:
    generation = engine.generate(asked, Heard())
    assert frames_of(generation).shape == (asked.num_frames, asked.height, asked.width, 3)
    assert generation.save_handoff is not None
    generation.save_handoff(folder / "ours")
    latents: torch.Tensor = load_file(folder / "ours")["latents"]
    return latents


def common(loaded: LoadedModel, asked: SegmentRequest) -> dict[str, Any]:
    frames = (asked.num_frames - 1) // 4 + 1
    noise = seeded_noise(
        torch.Generator().manual_seed(asked.seed), frames, asked.height // 8, asked.width // 8
    )
    with torch.inference_mode():
        embeddings = [loaded.text.encode(prompt) for prompt in (asked.prompt, asked.negative_prompt)]
    return {
        "prompt_embeds": embeddings[0],
        "negative_prompt_embeds": embeddings[1],
        "height": asked.height,
        "width": asked.width,
        "num_frames": asked.num_frames,
        "num_inference_steps": asked.steps,
        "guidance_scale": asked.guidance_scale,
        "latents": noise[None],
        "output_type": "latent",
    }


def scheduler_for(asked: SegmentRequest) -> UniPCMultistepScheduler:
    return on_our_times(make_schedule("unipc", asked.steps, asked.flow_shift))


def image_to_video(loaded: LoadedModel, asked: SegmentRequest) -> torch.Tensor:
    assert asked.start_image is not None
    pipe = WanImageToVideoPipeline(
        tokenizer=None,
        text_encoder=loaded.memory.module("text_encoder"),
        vae=loaded.vae.module,
        scheduler=scheduler_for(asked),
        transformer=loaded.memory.module("high"),
        image_encoder=loaded.memory.module("image_encoder"),
        image_processor=CLIPImageProcessorPil(**PREPROCESSING),
    )
    pipe.set_progress_bar_config(disable=True)
    last = None if asked.end_image is None else Image.fromarray(asked.end_image)
    with torch.inference_mode():
        result: torch.Tensor = pipe(
            image=Image.fromarray(asked.start_image), last_image=last, **common(loaded, asked)
        ).frames[0]
    return result


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_a_start_image(make: Make, tmp_path: Path, guidance: float) -> None:
    engine, asked = make(clip=True, **READS_CLIP), asked_for(guidance_scale=guidance)
    ours = sampled(engine, asked, tmp_path)
    assert torch.equal(ours, image_to_video(engine._in_memory(), asked))


@pytest.mark.parametrize("guidance", [1.0, 5.5])
def test_a_start_and_an_end_image(make: Make, tmp_path: Path, guidance: float) -> None:
    engine = make(clip=True, pos_embed_seq_len=2 * TOKENS, **READS_CLIP)
    asked = asked_for(end_image=END, guidance_scale=guidance)
    ours = sampled(engine, asked, tmp_path)
    assert torch.equal(ours, image_to_video(engine._in_memory(), asked))


def test_the_embeddings_of_the_images_matter(make: Make) -> None:
    engine = make(clip=True, **READS_CLIP)
    first = frames_of(engine.generate(asked_for(), Heard()))
    with torch.inference_mode():
        engine._in_memory().memory.module("image_encoder").get_parameter("pre_layrnorm.weight").mul_(3)
    assert not np.array_equal(frames_of(engine.generate(asked_for(), Heard())), first)


def test_memory_plans_place_the_image_encoder_too(make: Make, tmp_path: Path) -> None:
    asked = asked_for()
    resident = frames_of(make(clip=True, **READS_CLIP).generate(asked, Heard()))
    registry = load_models_def(tmp_path / "configs")
    for plan in ("swap", "stream"):
        engine = WanEngine(registry, [tmp_path, Path("/")], device="cpu", memory=plan)
        assert np.array_equal(frames_of(engine.generate(asked, Heard())), resident)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [({}, "end_image"), ({"start_image": None, "end_image": END}, "start_image")],
)
def test_a_first_last_frame_model_needs_both_images(
    make: Make, changes: dict[str, Any], missing: str
) -> None:
    engine = make(clip=True, pos_embed_seq_len=2 * TOKENS, **READS_CLIP)
    heard = Heard()
    with pytest.raises(BadParams, match=f"{missing}: other goes from a start image to an end image"):
        engine.generate(asked_for(**changes), heard)
    assert heard.steps == []


def test_without_an_image_clip_looks_at_grey(make: Make) -> None:
    engine = make(clip=True, **READS_CLIP)
    engine.load("other", Heard())
    images = engine._in_memory().images
    assert images is not None
    (grey,) = images.pictures(asked_for(start_image=None), svi=False)
    assert (grey == 128).all()
    assert frames_of(engine.generate(asked_for(start_image=None), Heard())).shape == (5, 32, 32, 3)


def test_clip_looks_at_the_first_known_frame_and_with_svi_at_the_anchor(make: Make) -> None:
    engine = make(clip=True, **READS_CLIP)
    engine.load("other", Heard())
    images = engine._in_memory().images
    assert images is not None
    prefix = np.stack([np.full((32, 32, 3), shade, np.uint8) for shade in range(12)])
    continued = asked_for(prefix=prefix, anchor_image=END)
    assert images.pictures(continued, svi=False)[0][0, 0, 0] == 3
    assert images.pictures(asked_for(prefix=prefix[:4]), svi=False)[0][0, 0, 0] == 3
    assert np.array_equal(images.pictures(continued, svi=True)[0], END)
    assert np.array_equal(images.pictures(asked_for(), svi=True)[0], picture(32, 32))


def test_a_single_file_of_the_image_encoder(make: Make, tmp_path: Path) -> None:
    """As other programs ship it: with a prefix, an idle projection, in half precision; heads of 80."""
    torch.manual_seed(3)
    wide = CLIP | {"hidden_size": 160, "hidden_act": "gelu"}
    clip = CLIPVisionModel(CLIPVisionConfig(**wide)).half()
    tensors = {f"vision_model.{name}": tensor.clone() for name, tensor in clip.state_dict().items()}
    tensors |= {
        "visual_projection.weight": torch.zeros(16, 160),
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
    }
    engine = make(clip=True, **{**READS_CLIP, "image_dim": 160})
    save_file(tensors, tmp_path / "clip.safetensors")
    engine._registry.models_def["other"]["files"]["image_encoder"] = "clip.safetensors"
    engine.load("other", Heard())
    images = engine._in_memory().images
    assert images is not None
    with torch.inference_mode():
        ours = images.encode((END,))
        pixels = CLIPImageProcessorPil(**PREPROCESSING)(images=Image.fromarray(END), return_tensors="pt")
        theirs = clip.float().eval()(**pixels, output_hidden_states=True).hidden_states[-2]
    assert ours.shape == (1, TOKENS, 160)
    assert torch.equal(ours, theirs)


def test_a_preprocessing_file_that_went_away_is_named(make: Make, tmp_path: Path) -> None:
    engine = make(clip=True, **READS_CLIP)
    (tmp_path / "image_processor" / "preprocessor_config.json").unlink()
    with pytest.raises(ModelMissing, match=r"preprocessor_config\.json does not exist"):
        engine.load("other", Heard())


def test_preprocessing_that_no_definition_names_is_clips_own(make: Make) -> None:
    engine = make(clip=True, **READS_CLIP)
    del engine._registry.models_def["other"]["files"]["image_processor"]
    engine.load("other", Heard())
    images = engine._in_memory().images
    assert images is not None
    assert images._processor(images=Image.fromarray(END))["pixel_values"][0].shape == (3, 224, 224)


@pytest.mark.parametrize(("guidance", "guidance_2"), [(1.0, 1.0), (4.0, 3.0)])
@pytest.mark.parametrize("experts", [1, 2])
def test_text_to_video(make: Make, tmp_path: Path, experts: int, guidance: float, guidance_2: float) -> None:
    engine = make(experts=experts, settings={"boundary": 875}, in_channels=16)
    asked = asked_for(start_image=None, guidance_scale=guidance, guidance_scale_2=guidance_2, steps=3)
    ours = sampled(engine, asked, tmp_path)
    loaded = engine._in_memory()
    pair = {"transformer_2": loaded.memory.module("low"), "boundary_ratio": 0.875} if experts == 2 else {}
    pipe = WanPipeline(
        tokenizer=None,
        text_encoder=loaded.memory.module("text_encoder"),
        vae=loaded.vae.module,
        scheduler=scheduler_for(asked),
        transformer=loaded.memory.module("high"),
        **pair,
    )
    pipe.set_progress_bar_config(disable=True)
    scale = {"guidance_scale_2": asked.guidance_scale_2} if experts == 2 else {}
    with torch.inference_mode():
        theirs = pipe(**common(loaded, asked), **scale).frames[0]
    assert torch.equal(ours, theirs)
