"""The end image ends the clip, in every end-frame mode, and does not where the conditioning is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from safetensors.torch import load_file

from benchmarks.trained.clips import FRAMES, ROOT, Shot, Studio, changed_psnr
from headless.engine.conditioning import pixels
from headless.job_listener import SilentListener
from headless.quality.fidelity import psnr
from models.vae import WanVae
from tests.trained.conftest import SCENES, Spoil, Told, asked, end_of, start_of, tell_wrongly, told
from wan2gp_patch.conditioning import Conditioning
from wan2gp_patch.frames import END_FRAME_MODES

MARGINS = {"extra_latent": 8.0, "in_chunk": 5.5, "slot": 4.0, "repeat_4": 5.5}
"""By how many dB a clip that knows its end image must beat one that does not, where start and end differ.

The model sees the end best where it has a latent of its own. Measured over these three scenes: 10.3, 7.3, 6.3
and 7.7; with a mask one group late 4.0 at most, without the end's latent less than nothing.
"""
START = 24.0
"""PSNR of the first frame against the start image."""
MODES = [mode.value for mode in END_FRAME_MODES]


def _gain(mode: str, shots: list[Shot], without: list[Shot]) -> float:
    """How much nearer the clips come to their end images, in dB, over all scenes."""
    gains = []
    for number, shot, plain in zip(SCENES, shots, without, strict=True):
        start, end = start_of(number), end_of(mode, number)
        gains.append(changed_psnr(shot.end, end, start) - changed_psnr(plain.end, end, start))
    return fmean(gains)


@pytest.fixture(scope="session")
def without(told_end: Told) -> list[Shot]:
    return [told_end("none", number) for number in SCENES]


@pytest.mark.parametrize("mode", MODES)
def test_the_end_image_ends_the_clip(mode: str, told_end: Told, without: list[Shot]) -> None:
    assert _gain(mode, [told_end(mode, number) for number in SCENES], without) > MARGINS[mode]


@pytest.mark.parametrize("mode", ["none", *MODES])
def test_the_start_image_starts_the_clip(mode: str, told_end: Told) -> None:
    for number in SCENES:
        assert psnr(told_end(mode, number).frames[0], start_of(number)) > START


def shifted(conditioning: Conditioning) -> Conditioning:
    """Every mask group one latent frame late."""
    return replace(conditioning, mask=conditioning.mask.roll(1, dims=1))


def _without_end(conditioning: Conditioning) -> Conditioning:
    latents = conditioning.latents.clone()
    latents[:, -1] = 0
    return replace(conditioning, latents=latents)


def unknown_start(conditioning: Conditioning) -> Conditioning:
    """Nothing is known but, where there is one, the end."""
    mask, latents = conditioning.mask.clone(), conditioning.latents.clone()
    mask[:, :-1], latents[:, :-1] = 0, 0
    return replace(conditioning, mask=mask, latents=latents)


def _broken(studio: Studio, monkeypatch: pytest.MonkeyPatch, spoil: Spoil, mode: str) -> list[Shot]:
    tell_wrongly(monkeypatch, "image_to_video_conditioning", spoil)
    return [studio.shoot(asked(studio, number, **told(mode, number))) for number in SCENES]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spoil", [shifted, _without_end])
def test_a_wrong_conditioning_is_seen_at_the_end(
    spoil: Spoil, mode: str, studio: Studio, without: list[Shot], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = _broken(studio, monkeypatch, spoil, mode)
    assert _gain(mode, broken, without) < MARGINS[mode]


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_conditioning_is_seen_at_the_start(
    mode: str, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, shot in zip(SCENES, _broken(studio, monkeypatch, unknown_start, mode), strict=True):
        assert psnr(shot.frames[0], start_of(number)) < START


@pytest.mark.parametrize("mode", MODES)
def test_the_wrong_decoding_is_seen_at_the_end(mode: str, studio: Studio, tmp_path: Path) -> None:
    """In `extra_latent` the last latent is a picture of its own, in the others it holds four frames."""
    number, file = SCENES[1], tmp_path / "sampled.safetensors"
    request = asked(studio, number, **told(mode, number))
    generation = studio.engine.generate(request, SilentListener())
    assert len(list(generation.frames)) == FRAMES
    assert generation.save_sampled is not None
    generation.save_sampled(file)
    (latents,) = load_file(file).values()
    end = pixels(end_of(mode, number)[None])
    vae = WanVae.load(ROOT / "models" / "tiny" / "vae")
    right = mode == "extra_latent"
    errors = {
        alone: float((vae.decode(latents, end_frame=alone)[:, -1:] - end).square().mean())
        for alone in (True, False)
    }
    assert errors[not right] > 1.5 * errors[right]
