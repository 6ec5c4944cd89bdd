"""From files to what the engine is asked for: everything in the size and length of the clip, and reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headless.errors import BadInput, Cancelled
from headless.inputs import GivenPicture, InputFile, Inputs
from headless.params import parse
from headless.plan import Plan, make_plan
from headless.request import build_request, segment_inputs
from headless.task import Json
from headless.wiring import SHIPPED_CONFIGS
from models.registry import load_models_def
from tests.media.videos import make_video, number_of, shade

PICTURE = np.full((64, 64, 3), 90, np.uint8)


def planned(**changes: Json) -> Plan:
    """A clip of 5 frames of 64x64 with a start image."""
    job: dict[str, Json] = {
        "model": "wan_tiny_i2v",
        "prompt": "a cat",
        "start_image": "storage://inputs/local/a.png",
        "num_frames": 5,
        "width": 64,
        "height": 64,
    }
    params = parse("generate", job | changes)
    definition = load_models_def(SHIPPED_CONFIGS).definition(params.model)
    return make_plan(params, definition, seed_source=lambda: 7)


def inputs(**paths: Path) -> Inputs:
    """Files that are here, and the start image."""
    given = start_image(next(iter(paths.values())).parent)
    return Inputs(
        files={name: InputFile(path, "0" * 64) for name, path in paths.items()},
        pictures={"start_image": given, "end_image": given},
    )


def start_image(folder: Path) -> GivenPicture:
    """The start image in a file."""
    path = folder / "start_image"
    Image.fromarray(PICTURE).save(path, "PNG")
    return GivenPicture.at(path, "start_image")


def video(folder: Path, frames: int, width: int = 64, height: int = 64, rate: int = 16) -> Path:
    """Frames that tell their numbers."""
    return make_video(folder / "a.mp4", (shade(n, width, height) for n in range(frames)), rate=rate)


FIELD = "storage://inputs/local/b.mp4"


def test_a_video_beside_the_clip_is_read_as_far_as_the_clip_goes(tmp_path: Path) -> None:
    """A small file can hold more frames than there is memory: what is not needed is not even read."""
    read: list[None] = []
    plan = planned(pad_video=FIELD)
    made = segment_inputs(plan, inputs(pad_video=video(tmp_path, 30)), (), lambda: read.append(None))
    assert made.pad_video is not None
    assert [number_of(frame) for frame in made.pad_video] == [0, 1, 2, 3, 4]
    assert len(read) < 30
    (entry,) = made.adjustments
    told = (entry.field, entry.requested, entry.used, entry.why)
    assert told == ("pad_video", "more than 5 frames", "5 frames", "the clip ends before it does")


@pytest.mark.parametrize(("end_image", "longest"), [(None, 5), ("storage://inputs/local/c.png", 6)])
def test_a_mask_covers_the_frame_that_an_end_image_adds(
    tmp_path: Path, end_image: str | None, longest: int
) -> None:
    plan = planned(
        known_mask=FIELD, end_image=end_image, end_frame_mode="extra_latent" if end_image else None
    )
    made = segment_inputs(plan, inputs(known_mask=video(tmp_path, 10)), ())
    assert made.known_mask is not None
    assert made.known_mask.shape == (longest, 64, 64)
    assert made.known_mask.dtype == np.float32
    assert [entry.used for entry in made.adjustments] == [f"{longest} frames"]


def test_a_video_that_is_as_long_as_the_clip_is_taken_as_it_is(tmp_path: Path) -> None:
    made = segment_inputs(planned(pad_video=FIELD), inputs(pad_video=video(tmp_path, 5)), ())
    assert made.adjustments == ()


def test_a_video_of_another_shape_is_fitted_and_told_once(tmp_path: Path) -> None:
    made = segment_inputs(planned(pad_video=FIELD), inputs(pad_video=video(tmp_path, 3, 128, 64)), ())
    assert made.pad_video is not None
    assert made.pad_video.shape == (3, 64, 64, 3)
    assert [(entry.field, entry.requested) for entry in made.adjustments] == [("pad_video", "128x64")]


@pytest.mark.parametrize("name", ["pad_video", "known_mask"])
def test_a_picture_may_stand_where_a_video_may(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a"
    Image.fromarray(np.full((64, 128, 3), 255, np.uint8)).save(path, "PNG")
    made = segment_inputs(planned(**{name: FIELD}), inputs(**{name: path}), ())
    clip = getattr(made, name)
    assert clip.shape[:3] == (1, 64, 64)
    assert clip.max() == (255 if name == "pad_video" else 1.0)
    assert [entry.field for entry in made.adjustments] == [name]


def test_a_video_is_continued_from_its_last_frames(tmp_path: Path) -> None:
    plan = planned(continue_from=FIELD, start_image=None, num_frames=17)
    made = segment_inputs(plan, inputs(continue_from=video(tmp_path, 20)), ())
    request = build_request(plan, made)
    assert request.prefix is not None
    assert number_of(request.prefix[-1]) == 19
    assert request.start_image is None


@pytest.mark.parametrize("name", ["continue_from", "pad_video", "known_mask"])
def test_reading_a_video_can_be_stopped(tmp_path: Path, name: str) -> None:
    """A cancellation must not wait until half an hour of film has been decoded."""

    asked: list[None] = []

    def cancelled() -> None:
        asked.append(None)
        if len(asked) > 1:  # The first time it is for the start image.
            raise Cancelled("stop")

    changes: dict[str, Json] = {name: FIELD}
    if name == "continue_from":
        changes |= {"start_image": None, "num_frames": 17}
    with pytest.raises(Cancelled):
        segment_inputs(planned(**changes), inputs(**{name: video(tmp_path, 9)}), (), cancelled)


def test_a_text_where_a_video_should_be_names_its_field(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("I am a film, believe me.")
    with pytest.raises(BadInput, match="pad_video: expected a video, found text"):
        segment_inputs(planned(pad_video=FIELD), inputs(pad_video=tmp_path / "a.mp4"), ())


def test_latents_of_a_task_go_to_the_engine_as_a_file(tmp_path: Path) -> None:
    task = "00000000-0000-4000-8000-000000000001"
    plan = planned(continue_from=task, svi2pro=True, num_frames=17)
    latents = {"continue_from": InputFile(tmp_path / "l", "0" * 64)}
    given = Inputs(pictures={"start_image": start_image(tmp_path)}, latents=latents)
    request = build_request(plan, segment_inputs(plan, given, ()), tmp_path / "sampled")
    assert request.previous_latents == tmp_path / "l"
    assert request.sampled_latents == tmp_path / "sampled"
