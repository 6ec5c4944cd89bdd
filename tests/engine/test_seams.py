"""The seam: a chain of clips shows every number exactly once, whatever a clip continues and however it ends.

The engine's own conditioning, hand-off, decoding and trimming run, and the worker's cut of the repeated head;
the fake engine repeats as many frames as the real one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headless.adapters.fake_engine import FakeEngine
from headless.adapters.numbered_frames import read_number
from headless.clip_frames import write_frames
from headless.engine.handoff import load_latents
from headless.engine.wan import WanEngine
from headless.segment import Generation, Picture, SegmentRequest
from models.registry import Registry, load_models_def
from tests.engine.conftest import ROOT, Heard, request
from tests.engine.numbered_story import ANCHOR, END, FRAMES, SIDE, Story, numbered, numbers_in, story
from tests.tools.constructed import CONSTRUCTED
from tests.worker.fake_clock import FakeClock
from wan2gp_patch.frames import END_FRAME_MODES

__all__ = ["story"]
CLIPS = 3
MODES = ("none", *END_FRAME_MODES)


@dataclass(frozen=True)
class Chain:
    """What each clip but the first continues, and how every clip ends."""

    svi: bool
    source: str
    hands_over: int
    mode: str
    available: int = 10**6
    """How many frames of the video before can be read."""

    def __str__(self) -> str:
        path = "svi" if self.svi else "image"
        short = "-short" if self.available < 100 else ""
        return f"{path}-{self.source}-{self.hands_over}-{self.mode}{short}"

    @property
    def model(self) -> str:
        return "wan_tiny_i2v_svi2pro" if self.svi else "wan_tiny_i2v"

    def first(self) -> SegmentRequest:
        """The clip that continues nothing."""
        start = numbered(ANCHOR if self.svi else 0)
        ends = {} if self.mode == "none" else {"end_image": numbered(END), "end_frame_mode": self.mode}
        return request(model=self.model, start_image=start, num_frames=FRAMES, steps=1, **ends)

    def next(self, video: list[Picture], latents: Path) -> SegmentRequest:
        """The clip that continues those frames, or those latents."""
        asked = self.first()
        if self.source == "latents":
            return replace(asked, previous_latents=latents, motion_latent_count=self.hands_over)
        last = min(5 + self.hands_over, self.available)
        return replace(asked, prefix=np.stack(video[-last:]), overlap=self.hands_over)


CHAINS = [
    *(Chain(True, "latents", m, mode) for m, mode in product(range(4), ("none", "extra_latent", "slot"))),
    *(Chain(True, "video", overlap, mode) for overlap, mode in product((0, 4, 8), MODES)),
    *(Chain(False, "video", overlap, mode) for overlap, mode in product((0, 4, 8), MODES)),
    *(Chain(svi, "video", 4, mode, 8) for svi, mode in product((True, False), MODES)),
]


class Shares(Heard):
    """A listener that also hears how much has been written."""

    def on_share(self, done: int, of: int) -> None:
        assert 0 < done <= of


@pytest.fixture(scope="module")
def shared_registry() -> Registry:
    return load_models_def(ROOT / "configs")


@pytest.fixture(scope="module")
def wan(shared_registry: Registry) -> WanEngine:
    """One engine for all chains; it keeps nothing of a clip."""
    return WanEngine(shared_registry, [CONSTRUCTED], device="cpu")


@pytest.fixture
def fake(shared_registry: Registry) -> FakeEngine:
    return FakeEngine(shared_registry, FakeClock())


def _extent(generation: Generation) -> tuple[int, int, str]:
    return generation.num_frames, generation.new_frames, generation.end_frame_mode


def _for_fake(asked: SegmentRequest, folder: Path) -> SegmentRequest:
    """The same with a hand-off file of the fake engine's own kind, which holds a number."""
    if asked.previous_latents is None:
        return asked
    path = folder / "fake latents"
    path.write_text('{"last_number": 99}', encoding="utf-8")
    return replace(asked, previous_latents=path)


def shown(generation: Generation) -> list[Picture]:
    """The frames that the worker publishes."""
    frames: list[Picture] = []
    listener: Any = Shares()
    write_frames(generation, frames.append, listener)
    return frames


@pytest.mark.parametrize("chain", CHAINS, ids=str)
def test_every_number_is_shown_once(
    chain: Chain, wan: WanEngine, fake: FakeEngine, story: Story, tmp_path: Path
) -> None:
    fake.load(chain.model, Heard())
    first = 0 if chain.svi else 1
    story.shown = first  # The first frame of a plain clip is the start image, number 0.
    video: list[Picture] = []
    latents = tmp_path / "latents"
    for _ in range(CLIPS):
        asked = chain.next(video, latents) if video else chain.first()
        generation = wan.generate(asked, Heard())
        assert _extent(generation) == _extent(fake.generate(_for_fake(asked, tmp_path), Heard()))
        video += shown(generation)
        story.shown = read_number(video[-1]) + 1
        assert generation.save_handoff is not None
        generation.save_handoff(latents)
        assert numbers_in(load_latents(latents, height=SIDE, width=SIDE))[-1][-1] == story.shown - 1
        dropped = generation.end_frame()
        assert (dropped is not None) == (chain.mode == "extra_latent")
        assert dropped is None or read_number(dropped) == END
    numbers = [read_number(frame) for frame in video]
    anchor = [ANCHOR] if chain.svi else []
    assert numbers == [*anchor, *range(len(numbers) - len(anchor))]
    _check_what_was_told(chain, story, numbers)


def _check_what_was_told(chain: Chain, story: Story, numbers: list[int]) -> None:
    """What the model was told of the clips before were the frames just before the seam, without a gap."""
    repeated = {"latents": 4 * chain.hands_over, "video": 5 + chain.hands_over}[chain.source]
    if chain.source == "video" and chain.svi and chain.mode in ("none", "slot"):
        repeated = chain.hands_over
    if chain.available < 5 + chain.hands_over:
        repeated = 0 if chain.svi else 1
    clips = len(story.told) - 1
    new = (len(numbers) - FRAMES) // clips
    for index, told in enumerate(story.told[1:]):
        seam = FRAMES + index * new
        assert told == [n for n in numbers[seam - repeated : seam] if n != ANCHOR]
