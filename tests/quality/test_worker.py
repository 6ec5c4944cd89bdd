"""Output checks through a whole worker: a second try with another seed, refusal, and no checks at all."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from headless.adapters.numbered_frames import read_number
from headless.media.video import read_clip
from headless.planning.seeds import retry_seed
from tests.worker.mp4 import read_mp4
from tests.worker.place import Place

SEED = 7
FAULTS = {
    "black": ("black", "black_share", 1.0),
    "grey": ("grey", "grey_share", 1.0),
    "frozen": ("frozen", "frozen_share", 1.0),
    "nan": ("finite", "not_finite_frames", 9.0),
    "wrong-start": ("start", "picture_ssim", None),
    "wrong-end": ("end", "picture_ssim", None),
}
"""Fault -> the check that finds it, what it breaks, and what is measured then."""


def _job(place: Place, fault: str, **changes: Any) -> dict[str, Any]:
    """A clip from one picture to another whose output is checked."""
    job = place.job(
        prompt=f"a cat {fault}",
        end_image=place.picture(seed=3),
        end_frame_mode="in_chunk",
        num_frames=9,
        steps=2,
        seed=SEED,
        output_checks=True,
    )
    return job | changes


def _refused(place: Place, task: str) -> str:
    view = place.view(task)
    assert (view.status.value, view.error_class, view.attempts) == ("Failed", "BAD_OUTPUT", 1)
    assert view.error_message is not None
    return view.error_message


def test_a_good_clip_passes_every_check_at_once(place: Place) -> None:
    task = place.enqueue(_job(place, ""))
    assert place.work() == 0
    result = place.result(task)
    assert result["checks"] == {
        "enabled": True,
        "passed": ["finite", "black", "grey", "frozen", "start", "end"],
        "not_applied": {},
    }
    assert (result["seed"], result["adjustments"], result["output_checks"]) == (SEED, [], True)
    assert result["warnings"] == []
    assert result["scores"]["motion"] > 1


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_bad_clip_is_made_once_more_with_another_seed(
    place: Place, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    task = place.enqueue(_job(place, f"[fault {fault} at seed {SEED}]"))
    assert place.work() == 0
    result, again = place.result(task), retry_seed(SEED)
    assert (
        result["seed"] == result["parameters"]["seed"] == result["parameters"]["segments"][0]["seed"] == again
    )
    (adjustment,) = result["adjustments"]
    assert (adjustment["field"], adjustment["requested"], adjustment["used"]) == ("seed", SEED, again)
    check, measure, value = FAULTS[fault]
    assert adjustment["why"].startswith(f"the clip with the seed before failed its output checks ({check}")
    refused = result["checks"]["refused"]
    assert refused["seed"] == SEED
    failed = {entry["check"]: entry for entry in refused["failed"]}
    assert set(failed[check]["measured"]) == set(failed[check]["limits"])
    assert value is None or failed[check]["measured"][measure] == value
    assert set(refused["scores"]) == set(result["scores"])
    assert "making it once more with another seed" in capsys.readouterr().out
    video = read_mp4(place.stored(task, "video.mp4"))
    assert video.told["seed"] == again
    assert [read_number(frame) for frame in read_clip(place.stored(task, "video.mp4"))] == list(range(9))


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_clip_that_is_bad_twice_is_refused(place: Place, fault: str) -> None:
    task = place.enqueue(_job(place, f"[fault {fault}]"))
    fine = place.enqueue(_job(place, ""))
    assert place.work() == 0
    message = _refused(place, task)
    check, measure, _ = FAULTS[fault]
    assert f"With seed {SEED}, {check}: " in message
    assert f"With seed {retry_seed(SEED)}, {check}: " in message
    assert message.count(measure) == 2
    assert "set output_checks to false" in message
    assert place.result(fine)["seed"] == SEED
    assert not place.stored(task, "video.mp4").exists()
    assert [path for path in (place.folder / "work").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_without_checks_everything_is_published_and_measured(place: Place, fault: str) -> None:
    task = place.enqueue(_job(place, f"[fault {fault}]", output_checks=False))
    assert place.work() == 0
    result = place.result(task)
    assert result["checks"] == {"enabled": False}
    assert (result["seed"], result["adjustments"], result["output_checks"]) == (SEED, [], False)
    _, measure, value = FAULTS[fault]
    assert value is None or result["scores"][measure] == value
    assert fault != "nan" or "9 frames hold numbers that are not finite" in result["warnings"]
    likeness = {"wrong-start": "start", "wrong-end": "end"}.get(fault)
    assert likeness is None or result["scores"][likeness]["ssim"] < 0.1


def test_the_model_definition_decides_where_the_task_does_not(place: Place) -> None:
    task = place.enqueue(_job(place, "[fault black]", output_checks=None))
    assert place.work() == 0
    assert place.result(task)["checks"] == {"enabled": False}


def test_strict_allows_no_second_try(place: Place) -> None:
    task = place.enqueue(_job(place, f"[fault black at seed {SEED}]", strict=True))
    assert place.work() == 0
    message = _refused(place, task)
    assert "strict allows no second try" in message
    assert str(retry_seed(SEED)) not in message


def test_a_chosen_seed_is_replaced_too(place: Place) -> None:
    task = place.enqueue(_job(place, "[fault black]", seed=None))
    assert place.work() == 0
    message = _refused(place, task)
    assert message.count("With seed ") == 2


def test_a_short_black_end_is_a_warning(place: Place) -> None:
    task = place.enqueue(_job(place, "[fault black at frame 17]", num_frames=21, end_image=None))
    assert place.work() == 0
    result = place.result(task)
    assert result["warnings"] == ["4 frames in a row are black"]
    assert result["checks"]["not_applied"] == {"end": "there is no end_image"}
    assert result["scores"]["black_share"] == pytest.approx(4 / 21, abs=1e-4)


def test_a_clip_may_end_as_black_as_its_end_image(place: Place) -> None:
    black = place.store(_flat(place, 0))
    task = place.enqueue(_job(place, "[fault black at frame 4]", end_image=black))
    assert place.work() == 0
    assert place.result(task)["checks"]["not_applied"] == {"black": "end_image is black itself"}


def test_a_clip_that_continues_black_may_be_black(place: Place) -> None:
    first = place.enqueue(_job(place, "[fault black]", svi2pro=True, end_image=None, output_checks=False))
    changes = {"svi2pro": True, "end_image": None, "continue_from": first, "num_frames": 17}
    second = place.enqueue(_job(place, "[fault black]", **changes), dependant_on=(first,))
    assert place.work() == 0
    assert "With seed 7, frozen: " in _refused(place, second)


def test_a_clip_may_be_as_grey_as_its_start_image(place: Place) -> None:
    grey = place.store(_flat(place, 127))
    task = place.enqueue(_job(place, "", start_image=grey))
    assert place.work() == 0
    assert place.result(task)["checks"]["not_applied"] == {"grey": "start_image is plain grey itself"}


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"start_latent_strength": 0.5}, {"start": "start_latent_strength is 0.5"}),
        ({"end_latent_strength": 2.0}, {"end": "end_latent_strength is 2"}),
        (
            {"noise_augmentation": 0.1},
            {"start": "noise_augmentation is 0.1", "end": "noise_augmentation is 0.1"},
        ),
    ],
)
def test_images_that_the_task_weakens_need_not_show(
    place: Place, changes: dict[str, float], left_out: dict[str, str]
) -> None:
    faults = " ".join(f"[fault wrong-{check}]" for check in left_out)
    task = place.enqueue(_job(place, faults, **changes))
    assert place.work() == 0
    assert place.result(task)["checks"]["not_applied"] == left_out


def test_with_a_mask_of_ones_own_the_images_need_not_show(place: Place) -> None:
    mask = place.store(_flat(place, 255))
    task = place.enqueue(_job(place, "[fault wrong-start]", known_mask=mask))
    assert place.work() == 0
    why = "a known_mask is given"
    assert place.result(task)["checks"]["not_applied"] == {"start": why, "end": why}


def test_a_continuation_has_a_seam_and_shows_no_start_image(place: Place) -> None:
    first = place.enqueue(_job(place, "", svi2pro=True, end_image=None))
    second = place.enqueue(
        _job(place, "", svi2pro=True, end_image=None, continue_from=first, num_frames=17),
        dependant_on=(first,),
    )
    assert place.work() == 0
    result = place.result(second)
    assert result["checks"]["not_applied"]["start"] == "the clip continues another one"
    assert set(result["scores"]["seam"]) == {"difference", "colour"}
    assert set(result["scores"]["drift"]) == {"delta_e", "contrast", "lab_mean", "lab_std"}
    assert "seam" not in place.result(first)["scores"]


def test_with_svi_the_anchor_is_the_first_frame(place: Place) -> None:
    changes = {"svi2pro": True, "start_image": None, "anchor_image": place.picture(), "end_image": None}
    task = place.enqueue(_job(place, "[fault wrong-start]", **changes))
    assert place.work() == 0
    assert "does not show anchor_image" in _refused(place, task)


def test_the_second_try_has_previews_and_a_checkpoint_of_its_own(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    task = place.enqueue(_job(place, f"[fault black at seed {SEED}]"))
    assert place.work() == 0
    assert len(list(place.stored(task, "").glob("checkpoint-0-*.safetensors"))) == 2
    assert "not kept" not in (out := capsys.readouterr().out)
    assert "preview not published" not in out
    assert place.result(task)["timings"]["denoising"] >= 0


def _flat(place: Place, level: int) -> bytes:
    path = place.scratch / f"flat-{level}.png"
    Image.new("RGB", (64, 64), (level, level, level)).save(path)
    return path.read_bytes()
