"""Every source frame is shown exactly once, whatever a clip goes on from and however it ends.

Whole workers with the fake engine, whose frames carry their numbers; the numbers are read from the mp4.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        """How many frames the video has: F + (N - 1)(F - cut). A loop whose end image is its last frame has
        one less."""
        repeated = self.loop and self.mode != "extra_latent"
        return FRAMES + (self.segments - 1) * (FRAMES - self.cut) - repeated


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


pytestmark = pytest.mark.usefixtures("without_sheets")


@pytest.fixture(scope="module")
def chains(without_sheets: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[Chain, str]]:
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


@st.composite
def any_chain(draw: st.DrawFn) -> tuple[dict[str, Json], list[str | None]]:
    """Parameters of a chain that the planner accepts, and the end-frame mode of each segment."""
    svi = draw(st.booleans())
    continuation = draw(st.sampled_from(("latents", "pixels", "last_frame")[not svi :]))
    modes = LATENT_MODES if continuation == "latents" else MODES
    ends = draw(st.lists(st.sampled_from(modes), min_size=1, max_size=6))
    told: dict[str, Json] = {
        "svi2pro": svi,
        "continuation": continuation,
        "num_frames": draw(st.sampled_from((17, 21, 33))),
        "end_tail_latents": draw(st.integers(0, 2)),
        "color_lock": draw(st.sampled_from(("off", "previous", "anchor"))),
        "color_lock_strength": 0.1,  # The fake engine's colours jump, and numbers should stay legible.
        "seed": draw(st.integers(0, 2**32 - 1)),
    }
    if continuation != "last_frame" and len(ends) > 1:
        told["overlap"] = draw(st.sampled_from((0, 4, 8)))
    return told, ends


@settings(max_examples=12, deadline=None)
@given(drawn=any_chain())
def test_any_chain_shows_every_number_once(
    drawn: tuple[dict[str, Json], list[str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    told, ends = drawn
    place = Place(tmp_path_factory.mktemp("any") / "place")
    picture = place.picture()
    segments: list[Json] = [{"end_image": picture, "end_frame_mode": end} if end else {} for end in ends]
    task = place.enqueue(place.job(start_image=picture, **told, segments=segments))
    assert place.work("--output-dir", "") == 0
    result = place.result(task)
    made = [segment["frames"] for segment in result["segments"]]
    numbers = [read_number(frame) for frame in read_clip(place.stored(task, "video.mp4"))]
    assert numbers == list(range(sum(made)))
    if len(ends) > 1:
        assert made == [segment["shown_frames"] for segment in result["parameters"]["segments"]]
