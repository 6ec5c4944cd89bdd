"""Chains of clips through the whole worker: the numbers in the published videos follow on without a gap.

The fake engine numbers its frames; queue, planner, storage, coding and trimming are the worker's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from headless.adapters.numbered_frames import read_number
from headless.media.video import read_clip
from headless.task import Json
from tests.worker.place import MODEL, Place

FRAMES = 29
CLIPS = 3
SHIPPED = Path(__file__).resolve().parents[2] / "configs"
PIXEL_MODES = ("in_chunk", "extra_latent", "repeat_4")
LATENT_MODES = ("extra_latent", "slot")


@dataclass(frozen=True)
class Chain:
    """A chain of three clips. `hands_over`: motion latents, or the overlap of the model's definition.

    `cut`: what CONDITIONING says is dropped at the head of a clip that continues another.
    """

    svi: bool
    source: str
    hands_over: int
    mode: str | None
    cut: int
    first_frames: int = FRAMES

    def __str__(self) -> str:
        path = "svi" if self.svi else "image"
        short = "-short" if self.first_frames < FRAMES else ""
        return f"{path}-{self.source}-{self.hands_over}-{self.mode}{short}"

    @property
    def motion(self) -> int:
        """Motion latents, where the request says them: from latents, and from a video without its pixels."""
        return self.hands_over if self.source == "latents" else self.hands_over // 4


CHAINS = [
    *(Chain(True, "latents", m, mode, 1 + 4 * m) for m, mode in product((0, 1, 2), (None, *LATENT_MODES))),
    *(Chain(True, "video", n, mode, 1 + n) for n, mode in product((4, 8), (None, "slot"))),
    *(Chain(True, "video", 8, mode, 13) for mode in PIXEL_MODES),
    *(Chain(False, "video", 8, mode, 13) for mode in (None, "slot", *PIXEL_MODES)),
    *(Chain(svi, "video", 4, "extra_latent", 9) for svi in (True, False)),
    *(Chain(svi, "video", 4, mode, 1, 5) for svi, mode in product((True, False), (None, "extra_latent"))),
]


def queue_chain(place: Place, chain: Chain, picture: str) -> list[str]:
    """Queue the clips of a chain, each behind the one that it continues."""
    model = f"overlap_{chain.hands_over}" if chain.source == "video" else MODEL
    told: dict[str, Json] = {"model": model, "svi2pro": chain.svi, "end_frame_mode": chain.mode}
    if chain.mode is not None:
        told["end_image"] = picture
    tasks = [place.enqueue(place.job(num_frames=chain.first_frames, start_image=picture, **told))]
    if chain.svi and (chain.source == "latents" or chain.mode in (None, "slot")):
        told["motion_latent_count"] = chain.motion
    clips = CLIPS if chain.first_frames == FRAMES else 2
    while len(tasks) < clips:
        before = tasks[-1]
        video = f"storage://outputs/local/{before}/1/video.mp4"
        told["continue_from"] = before if chain.source == "latents" else video
        job = place.job(num_frames=FRAMES, start_image=picture if chain.svi else None, **told)
        tasks.append(place.enqueue(job, dependant_on=(before,)))
    return tasks


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[Chain, list[str]]]:
    """All chains, worked off by one worker."""
    place = Place(tmp_path_factory.mktemp("seams") / "place")
    configs = place.folder / "models" / "configs"
    configs.mkdir(parents=True)
    tiny = json.loads((SHIPPED / f"{MODEL}.json").read_text(encoding="utf-8"))
    for overlap in (4, 8):
        text = json.dumps(tiny | {"overlap": overlap})
        (configs / f"overlap_{overlap}.json").write_text(text, encoding="utf-8")
    picture = place.picture()
    tasks = {chain: queue_chain(place, chain, picture) for chain in CHAINS}
    assert place.work("--models-dir", str(place.folder / "models")) == 0
    return place, tasks


@pytest.mark.parametrize("chain", CHAINS, ids=str)
def test_every_number_is_shown_once(chains: tuple[Place, dict[Chain, list[str]]], chain: Chain) -> None:
    place, tasks = chains
    numbers: list[int] = []
    for index, task in enumerate(tasks[chain]):
        result = place.result(task)
        clip = [read_number(frame) for frame in read_clip(place.stored(task, "video.mp4"))]
        assert result["head_frames_cut"] == (chain.cut if index else 0)
        assert result["frames"] == len(clip) == (FRAMES - chain.cut if index else chain.first_frames)
        assert result["end_frame_mode"] == (chain.mode or "none")
        numbers += clip
    assert numbers == list(range(len(numbers)))
