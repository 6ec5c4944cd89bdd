"""From a claim to published files: what lies where, and what the files say."""

from __future__ import annotations

import errno
import hashlib
import json
from fractions import Fraction
from pathlib import Path

import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from PIL import Image

from headless.adapters.numbered_frames import read_number
from headless.media.video import read_clip
from tests.worker.mp4 import BT709, boxes, read_mp4
from tests.worker.place import MODEL, Place

FILES = {
    "video": ("video.mp4", "{}.mp4"),
    "poster": ("poster.webp", "{}.poster.webp"),
    "contact_sheet": ("contact_sheet.webp", "{}.contact_sheet.webp"),
    "latents": ("latents.safetensors", "{}.latents.safetensors"),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str]:
    """One finished task."""
    place = Place(tmp_path_factory.mktemp("publish") / "place")
    task = place.enqueue(
        place.job(
            num_frames=9,
            steps=2,
            fps=24,
            svi2pro=True,
            end_image=place.picture(seed=3),
            negative_prompt="blur",
        )
    )
    assert place.work("--worker", "w-1") == 0
    return place, task


def test_every_file_lies_in_storage_and_beside_the_operator(done: tuple[Place, str]) -> None:
    place, task = done
    files = place.result(task)["files"]
    assert set(files) == set(FILES)
    for name, (stored, copy) in FILES.items():
        path = place.stored(task, stored)
        assert files[name]["key"] == f"outputs/local/{task}/1/{stored}"
        assert files[name]["bytes"] == path.stat().st_size > 0
        assert files[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (place.outputs / copy.format(task)).read_bytes() == path.read_bytes()


def test_the_row_names_the_video(done: tuple[Place, str]) -> None:
    place, task = done
    view = place.view(task)
    assert view.output_location == f"outputs/local/{task}/1/video.mp4"
    assert (view.attempts, view.worker_id, view.error_message) == (1, "w-1", None)
    assert place.outcome(task) == "completed"


def test_the_result_lies_in_storage_and_beside_the_operator(done: tuple[Place, str]) -> None:
    place, task = done
    result = place.result(task)
    copy = json.loads((place.outputs / f"{task}.json").read_text(encoding="utf-8"))
    for name, (_, file) in FILES.items():
        assert copy["files"][name].pop("name") == file.format(task)
    assert copy == result
    stored = json.loads(place.stored(task, "result.json").read_text(encoding="utf-8"))
    for told in (stored, result):
        told["timings"].pop("uploading", None)  # The stored one was written before its own upload.
    assert stored == result


def test_the_result_says_what_was_made(done: tuple[Place, str]) -> None:
    place, task = done
    result = place.result(task)
    told = {name: result[name] for name in ("model", "seed", "frames", "width", "height", "fps", "worker")}
    assert told == {
        "model": MODEL,
        "seed": 7,
        "frames": 9,
        "width": 64,
        "height": 64,
        "fps": 24,
        "worker": "w-1",
    }
    assert result["output_checks"] is False
    assert result["adjustments"] == []
    assert result["end_frame_mode"] == "extra_latent"
    assert result["engine"] == {"engine": "fake", "svi2pro": True}
    assert set(result["inputs"]) == {"start_image", "end_image"}
    phases = {"fetching", "loading", "encoding", "denoising", "decoding", "checking", "uploading"}
    assert set(result["timings"]) == phases
    assert result["timings"]["denoising"] > 0.15


def test_the_video_is_what_players_expect(done: tuple[Place, str]) -> None:
    place, task = done
    path = place.stored(task, "video.mp4")
    video = read_mp4(path)
    assert (video.width, video.height, video.frames) == (64, 64, 9)
    assert video.rate == Fraction(24)
    assert video.pixel_format == "yuv420p"
    assert (video.matrix, video.primaries, video.transfer) == (BT709, ColorPrimaries.BT709, ColorTrc.BT709)
    assert video.colour_range is ColorRange.MPEG
    order = boxes(path)
    assert order.index("moov") < order.index("mdat")


def test_the_video_shows_the_frames_in_order(done: tuple[Place, str]) -> None:
    place, task = done
    clip = read_clip(place.stored(task, "video.mp4"))
    assert [read_number(frame) for frame in clip] == list(range(9))


def test_the_video_carries_how_it_was_made(done: tuple[Place, str]) -> None:
    place, task = done
    result, video = place.result(task), read_mp4(place.stored(task, "video.mp4"))
    told = video.told
    assert told["parameters"] == result["parameters"]
    assert told["parameters"]["negative_prompt"] == "blur"
    assert told["parameters"]["svi2pro"] is True
    assert (told["task"], told["task_type"]) == (task, "generate")
    assert (told["model"], told["seed"], told["inputs"]) == (MODEL, 7, result["inputs"])
    assert told["versions"] == result["versions"] == {"headless": "0.1.0", "engine": "fake"}
    assert video.metadata["comment"] == f"{MODEL}, seed 7"


def test_first_and_last_frame_are_compared_with_the_given_images(done: tuple[Place, str]) -> None:
    place, task = done
    scores = place.result(task)["scores"]
    assert {"start", "end"} < set(scores)
    for score in (scores["start"], scores["end"]):
        assert 0 < score["psnr_db"] < 60
        assert -1 <= score["ssim"] < 1
    assert scores["end"]["frame"] == "last"


def test_poster_and_contact_sheet_are_pictures(done: tuple[Place, str]) -> None:
    place, task = done
    with Image.open(place.stored(task, "poster.webp")) as poster:
        assert (poster.format, poster.size) == ("WEBP", (64, 64))
    with Image.open(place.stored(task, "contact_sheet.webp")) as sheet:
        assert sheet.format == "WEBP"
        assert min(sheet.size) >= 64


def test_nothing_is_left_in_the_work_folder(done: tuple[Place, str]) -> None:
    place, _ = done
    assert [path for path in (place.folder / "work").rglob("*") if path.is_file()] == []


def test_a_clip_is_continued_from_its_latents(place: Place) -> None:
    first = place.enqueue(place.job(svi2pro=True))
    second = place.enqueue(place.job(svi2pro=True, continue_from=first, num_frames=9), dependant_on=(first,))
    assert place.work() == 0
    result = place.result(second)
    assert result["head_frames_cut"] > 0
    clip = read_clip(place.stored(second, "video.mp4"))
    assert [read_number(frame) for frame in clip] == list(range(5, 5 + result["frames"]))
    assert "start" not in result["scores"]
    assert result["inputs"]["continue_from"] == place.result(first)["files"]["latents"]["sha256"]


def test_a_clip_is_continued_from_a_video(place: Place) -> None:
    first = place.enqueue(place.job(num_frames=9))
    assert place.work() == 0
    video = f"storage://outputs/local/{first}/1/video.mp4"
    second = place.enqueue(
        place.job(start_image=None, continue_from=video, num_frames=17, width=None, height=None)
    )
    assert place.work() == 0
    result = place.result(second)
    clip = read_clip(place.stored(second, "video.mp4"))
    assert [read_number(frame) for frame in clip] == list(range(9, 9 + result["frames"]))
    assert (result["width"], result["height"]) == (64, 64)


def test_a_chosen_seed_is_told(place: Place) -> None:
    tasks = [place.enqueue(place.job(seed=None)) for _ in range(2)]
    assert place.work() == 0
    results = [place.result(task) for task in tasks]
    assert results[0]["seed"] != results[1]["seed"]
    assert all(result["parameters"]["seed_chosen"] for result in results)


def test_without_an_output_folder_only_storage_has_the_files(place: Place) -> None:
    task = place.enqueue(place.job())
    assert place.work("--output-dir", "") == 0
    assert place.stored(task, "video.mp4").is_file()
    assert not place.outputs.exists()


def test_an_output_folder_without_room_has_no_half_files(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that watches the folder would take a half video for a whole one."""

    def copy_half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:10])
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("headless.publish.shutil.copyfile", copy_half)
    task = place.enqueue(place.job())
    assert place.work() == 0
    assert place.result(task)["frames"] == 5
    assert list(place.outputs.iterdir()) == []
