"""What a loop leaves to those who go on from it."""

from __future__ import annotations

import pytest

from headless.adapters.numbered_frames import read_number
from headless.media.video import read_clip
from headless.task import Json, TaskStatus
from tests.worker.place import Place

pytestmark = pytest.mark.usefixtures("without_sheets")
TWO: Json = [{"prompt": "there"}, {"prompt": "and back"}]


@pytest.mark.parametrize(("mode", "frames"), [("slot", 12), ("extra_latent", 13)])
def test_latents_are_left_only_where_they_end_with_the_last_frame_that_is_shown(
    place: Place, mode: str, frames: int
) -> None:
    picture = place.picture()
    settings: dict[str, Json] = {"svi2pro": True, "num_frames": 9, "loop": True, "end_frame_mode": mode}
    loop = place.enqueue(place.job(**settings, start_image=picture, segments=TWO))
    assert place.work() == 0
    numbers = [read_number(frame) for frame in read_clip(place.stored(loop, "video.mp4"))]
    assert numbers == list(range(frames))
    assert ("latents" in place.result(loop)["files"]) == (mode == "extra_latent")
    extended = place.enqueue(place.job(svi2pro=True, num_frames=9, extend_from=loop))
    assert place.work() == 0
    view = place.view(extended)
    if mode == "slot":
        assert "left no latents to go on from" in str(view.error_message)
    else:
        assert view.status is TaskStatus.COMPLETE
        numbers = [read_number(frame) for frame in read_clip(place.stored(extended, "video.mp4"))]
        assert numbers == list(range(len(numbers)))
