"""Tasks of other frontends run as they are queued, and say in the end what of them did not act."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from headless.adapters.numbered_frames import read_number
from headless.media.video import read_clip
from headless.planning.seeds import segment_seed
from headless.task import TaskStatus
from tests.worker.place import MODEL, Place

SVI_MODEL = "wan_tiny_i2v_svi2pro"


def segment(place: Place, index: int, **fields: Any) -> dict[str, Any]:
    """One segment of a travel through four pictures, with SVI."""
    pictures = [place.picture(seed=seed) for seed in range(4)]
    return {
        "segment_index": index,
        "base_prompt": f"segment {index}",
        "num_frames": 9,
        "parsed_resolution_wh": "64x64",
        "model_name": MODEL,
        "seed_to_use": 7,
        "num_inference_steps": 1,
        "use_svi": True,
        "orchestrator_details": {"input_image_paths_resolved": pictures, "run_id": "r"},
        **fields,
    }


def numbers(place: Place, task: str) -> list[int]:
    return [read_number(frame) for frame in read_clip(place.stored(task, "video.mp4"))]


def test_a_task_says_which_of_its_fields_did_not_act(place: Place) -> None:
    task = place.enqueue(
        {
            "model": MODEL,
            "prompt": "a cat yawns",
            "image_start": [place.picture()],
            "resolution": "64x64",
            "video_length": 5,
            "num_inference_steps": 1,
            "seed": -1,
            "openai_api_key": "sk-secret",
            "prompt_enhancer": "on",
        },
        task_type="i2v",
    )
    assert place.work() == 0
    result = place.result(task)
    assert result["ignored_fields"] == ["openai_api_key", "prompt_enhancer"]
    assert result["adjustments"][0] == {
        "field": "seed",
        "requested": -1,
        "used": None,
        "why": "any seed will do; the one used is in the result",
    }
    with place.queue() as queue:
        report = queue.attempts(task)[-1].report
    assert report is not None
    assert report["ignored_fields"] == result["ignored_fields"]
    assert report["adjustments"] == result["adjustments"]
    assert "sk-secret" not in str((result, report))


def test_a_task_of_our_own_type_has_no_such_list(place: Place) -> None:
    task = place.enqueue(place.job())
    assert place.work() == 0
    assert "ignored_fields" not in place.result(task)


def test_a_chain_of_separate_tasks_goes_on_through_latents(place: Place) -> None:
    """Each is run by a worker that has never seen the one before."""
    tasks: list[str] = []
    for index in range(3):
        before = tuple(tasks[-1:])
        task = place.enqueue(segment(place, index), task_type="travel_segment", dependant_on=before)
        tasks.append(task)
    for index in range(3):
        assert place.work("--worker", f"w-{index}", until="--once") == 0
    results = [place.result(task) for task in tasks]
    assert [result["model"] for result in results] == [SVI_MODEL] * 3
    assert [result["seed"] for result in results] == [segment_seed(7, index) for index in range(3)]
    assert [result["head_frames_cut"] for result in results] == [0, 5, 5]
    assert [result["frames"] for result in results] == [9, 8, 8]
    for earlier, later in pairwise(results):
        assert later["inputs"]["continue_from"] == earlier["files"]["latents"]["sha256"]
    shown = [number for task in tasks for number in numbers(place, task)]
    assert shown == list(range(25))


def test_a_travel_is_one_video_in_one_task(place: Place) -> None:
    pictures = [place.picture(seed=seed) for seed in range(3)]
    details: dict[str, Any] = {
        "input_image_paths_resolved": pictures,
        "num_new_segments_to_generate": 2,
        "base_prompts_expanded": ["to the sea", "and back"],
        "segment_frames_expanded": [9],
        "parsed_resolution_wh": "64x64",
        "model_name": MODEL,
        "seed_base": 7,
        "num_inference_steps": 1,
        "continuation_config": {"strategy": "svi_latent_chaining", "overlap_frames": 4},
        "enhance_prompt": False,
    }
    task = place.enqueue({"orchestrator_details": details}, task_type="travel_orchestrator")
    assert place.work() == 0
    result = place.result(task)
    assert result["frames"] == 17
    assert numbers(place, task) == list(range(17))
    assert [part["seed"] for part in result["segments"]] == [segment_seed(7, index) for index in range(2)]
    assert result["ignored_fields"] == ["orchestrator_details.enhance_prompt"]
    assert result["adjustments"][0]["field"] == "orchestrator_details.model_name"


def test_a_segment_whose_predecessor_is_not_named_fails_at_once(place: Place) -> None:
    task = place.enqueue(segment(place, 1), task_type="travel_segment")
    assert place.work() == 0
    view = place.view(task)
    assert (view.status, view.error_class) == (TaskStatus.FAILED, "BAD_PARAMS")
    assert view.error_message is not None
    assert view.error_message.startswith("svi_predecessor_video_url is null: give the video that segment 1")


def test_a_predecessor_without_latents_is_continued_by_its_video(place: Place) -> None:
    first = place.enqueue(place.job(num_frames=9))
    assert place.work() == 0
    with place.queue() as queue, queue.file.transaction() as db:
        db.execute("UPDATE tasks SET result = json_remove(result, '$.files.latents')")
    second = place.enqueue(segment(place, 1), task_type="travel_segment", dependant_on=(first,))
    assert place.work() == 0
    result = place.result(second)
    assert result["head_frames_cut"] == 9
    assert numbers(place, second) == list(range(9, 17))
    assert "it left no latents" in str(result["adjustments"])


def test_what_is_refused_later_is_named_as_it_was_sent_as_well(place: Place) -> None:
    picture, text = place.picture(), place.store(b"no picture")
    clip: dict[str, Any] = {"prompt": "a cat", "model": MODEL, "image_url": picture, "video_length": 1001}
    long = place.enqueue(clip, task_type="i2v")
    wrong = place.enqueue({**clip, "video_length": 5, "image_end": [text]}, task_type="i2v")
    missing = place.enqueue({**clip, "model": "no_such_model"}, task_type="i2v")
    assert place.work() == 0
    messages = [str(place.view(task).error_message) for task in (long, wrong, missing)]
    assert messages[0].endswith("frames. (num_frames was sent as video_length)")
    assert messages[1].startswith("end_image: expected a picture")
    assert messages[1].endswith("(end_image was sent as image_end[0])")
    assert "was sent as" not in messages[2]
    assert place.view(wrong).error_class == "BAD_INPUT"


def test_a_type_that_nobody_knows_is_never_run_as_another(place: Place) -> None:
    task = place.enqueue(segment(place, 0), task_type="travel_stitch")
    assert place.work() == 0
    view = place.view(task)
    assert (view.status, view.error_class) == (TaskStatus.FAILED, "BAD_PARAMS")
    assert '"travel_orchestrator", "travel_segment"' in str(view.error_message)
