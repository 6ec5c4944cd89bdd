"""Every source frame is shown exactly once, whatever a clip goes on from and however it ends.

Whole workers with the fake engine, whose frames carry their numbers; the numbers are read from the mp4.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest

from headless.adapters.numbered_frames import read_number
from headless.media.video import read_clip
from headless.task import Json
from tests.worker.place import Place

FRAMES = 17
LATENT_MODES = (None, "extra_latent", "slot")
MODES = (None, "extra_latent", "slot", "in_chunk", "repeat_4")


@dataclass(frozen=True)
class Chain:
    """One task. `cut`: frames that CONDITIONING says are dropped at the head of every later clip."""

    svi: bool
    continuation: str
    overlap: int
    mode: str | None
    segments: int
    cut: int
    tail: int = 0
    loop: bool = False
    lock: str = ""

    def __str__(self) -> str:
        parts = ["svi" if self.svi else "image", self.continuation, str(self.overlap), str(self.mode)]
        more = [
            name for name in (f"tail{self.tail}" * bool(self.tail), "loop" * self.loop, self.lock) if name
        ]
        return "-".join((*parts, f"x{self.segments}", *more))

    def job(self, place: Place, picture: str) -> dict[str, Json]:
        """What is queued."""
        told: dict[str, Json] = {
            "start_image": picture,
            "svi2pro": self.svi,
            "num_frames": FRAMES,
            "continuation": self.continuation,
            "end_tail_latents": self.tail,
            "loop": self.loop,
            "color_lock": self.lock or "off",
        }
        ends = self.mode is not None
        segments: list[Json] = [{"end_image": picture} if ends else {} for _ in range(self.segments)]
        if ends:
            told["end_frame_mode"] = self.mode
        if self.continuation != "last_frame":
            told["overlap"] = self.overlap
        return place.job(**told, segments=segments)

    @property
    def frames(self) -> int:
        """How many frames the video has: F + (N - 1)(F - cut), and one less for a loop."""
        return FRAMES + (self.segments - 1) * (FRAMES - self.cut) - self.loop


CHAINS = [
    *(Chain(True, "latents", m, mode, n, 1 + m) for m, mode, n in product((0, 4, 8), LATENT_MODES, (2, 3))),
    *(Chain(True, "pixels", m, mode, 3, 1 + m) for m, mode in product((4, 8), (None, "slot"))),
    *(Chain(True, "pixels", m, mode, 2, 5 + m) for m, mode in product((0, 4), ("in_chunk", "extra_latent"))),
    *(Chain(False, "pixels", m, mode, 2, 5 + m) for m, mode in product((0, 8), MODES)),
    *(Chain(svi, "last_frame", 0, mode, 3, 1) for svi, mode in product((False, True), MODES)),
    *(Chain(True, "latents", 4, mode, 3, 5, tail=2) for mode in LATENT_MODES),
    *(Chain(False, source, 4, None, 3, cut, tail=1) for source, cut in (("pixels", 9), ("last_frame", 1))),
    Chain(True, "latents", 4, "extra_latent", 3, 5, loop=True),
    Chain(False, "last_frame", 0, "in_chunk", 2, 1, loop=True),
    Chain(True, "latents", 4, None, 3, 5, lock="previous"),
    Chain(False, "pixels", 4, None, 3, 9, lock="previous"),
    Chain(False, "last_frame", 0, None, 3, 1, lock="anchor"),
    Chain(True, "latents", 4, None, 6, 5),
]


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[Chain, str]]:
    """All chains, worked off by one worker."""
    place = Place(tmp_path_factory.mktemp("numbers") / "place")
    picture = place.picture()
    tasks = {chain: place.enqueue(chain.job(place, picture)) for chain in CHAINS}
    assert place.work("--output-dir", "") == 0
    return place, tasks


@pytest.mark.parametrize("chain", CHAINS, ids=str)
def test_every_number_is_shown_once(chains: tuple[Place, dict[Chain, str]], chain: Chain) -> None:
    place, tasks = chains
    result = place.result(tasks[chain])
    numbers = [read_number(frame) for frame in read_clip(place.stored(tasks[chain], "video.mp4"))]
    assert numbers == list(range(chain.frames))
    assert result["frames"] == chain.frames
    segments = result["segments"]
    assert [segment["index"] for segment in segments] == list(range(chain.segments))
    assert [segment["head_frames_cut"] for segment in segments] == [0] + [chain.cut] * (chain.segments - 1)
    starts = [segment["first_frame"] for segment in segments]
    assert starts == [sum(s["frames"] for s in segments[:index]) for index in range(chain.segments)]
