"""A result or a report that is larger than a queue's row: the task is complete all the same."""

from __future__ import annotations

import copy
import json
from functools import partial
from typing import Any

import pytest

from headless.adapters.stored_values import encode_result, storable_report
from headless.errors import BadParams
from headless.row_limit import LONGEST_TEXT, MOST_BYTES, within_row
from headless.task import NewTask
from tests.contracts.calls import SHA, claim
from tests.worker.place import Place

SEGMENTS = 256
PROMPT = "ü" * 9000
WHOLE = "outputs/local/task/1/result.json"
ESSENTIAL = ("format", "model", "seed", "frames", "width", "height", "fps", "files", "versions", "timings")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str, dict[str, Any], dict[str, Any]]:
    """A finished chain whose row had hardly any room; its whole result, and its whole report."""
    place = Place(tmp_path_factory.mktemp("row") / "place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headless.delivery.within_row", partial(within_row, most_bytes=9000))
        task = place.enqueue(place.job(svi2pro=True, num_frames=9, segments=[{"prompt": PROMPT[:2000]}] * 2))
        assert place.work() == 0
    with place.queue() as queue:
        report = queue.attempts(task)[-1].report
    assert report is not None
    return place, task, json.loads(place.stored(task, "result.json").read_text("utf-8")), dict(report)


def of_many(told: dict[str, Any], count: int = SEGMENTS, prompt: str = PROMPT) -> dict[str, Any]:
    """The same as if it had so many segments with such prompts."""
    told = copy.deepcopy(told)
    if "segments" in told:
        told["segments"] = [told["segments"][1] | {"index": index} for index in range(count)]
    told["parameters"]["prompt"] = prompt
    told["parameters"]["segments"] = [
        told["parameters"]["segments"][1] | {"index": index, "prompt": prompt} for index in range(count)
    ]
    return told


def in_row(told: dict[str, Any], whole: str | None = None, **limit: int) -> dict[str, Any]:
    """What `within_row` leaves, as any JSON."""
    return dict(within_row(told, whole, **limit))


def size(told: object) -> int:
    """Bytes of the JSON."""
    return len(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode())


def test_a_task_is_complete_whatever_its_result_weighs(
    done: tuple[Place, str, dict[str, Any], dict[str, Any]],
) -> None:
    place, task, whole, _ = done
    row = place.result(task)
    assert size(row) <= 9000 < size(whole)
    assert row["whole"] == f"outputs/local/{task}/1/result.json"
    assert row["cut"][:3] == ["segments[].engine", "segments[].checks", "segments[].scores"]
    assert {name: row[name] for name in ESSENTIAL if name != "timings"} == {
        name: whole[name] for name in ESSENTIAL if name != "timings"
    }
    assert "cut" not in whole
    assert "engine" in whole["segments"][0]
    assert whole["parameters"]["segments"][0]["prompt"] == PROMPT[:2000]
    kept = json.loads((place.outputs / f"{task}.json").read_text("utf-8"))
    assert "cut" not in kept
    assert kept["segments"] == whole["segments"]


def test_256_segments_with_long_prompts_fit(
    done: tuple[Place, str, dict[str, Any], dict[str, Any]],
) -> None:
    place, _, whole, report = done
    told, about = of_many(whole), of_many(report)
    assert min(size(told), size(about)) > 4 * MOST_BYTES
    row = in_row(told, WHOLE)
    assert size(row) <= MOST_BYTES
    assert row["cut"][:3] == ["segments[].engine", "segments[].checks", "segments[].scores"]
    assert [row[name] for name in ESSENTIAL] == [told[name] for name in ESSENTIAL]
    assert row["parameters"]["prompt"] == PROMPT[:LONGEST_TEXT] + "…"
    assert [segment["seed"] for segment in row["segments"]] == [s["seed"] for s in told["segments"]]
    with place.queue() as queue:
        task = queue.enqueue(NewTask(params=place.job()))
        claimed = claim(queue)
        queue.complete(task, claimed.attempt, f"{claimed.output_prefix}/video.mp4", SHA, row, about)
        stored = queue.attempts(task)[-1].report
        view = queue.get(task)
    assert view is not None
    assert view.result == row
    assert stored is not None
    assert stored["versions"] == report["versions"]
    assert stored["cut"]
    assert "left_out" not in stored


def test_the_most_alternatives_fit(done: tuple[Place, str, dict[str, Any], dict[str, Any]]) -> None:
    """Their files alone are more than there is room for: those that every task has stay."""
    told = of_many(done[2])
    other = told["files"]["video"] | {
        "key": f"outputs/{'o' * 36}/{'t' * 36}/1/alternative-200-4000000000.mp4"
    }
    for index, segment in enumerate(told["segments"]):
        again = {"seed": 1, "frames": 9, "scores": segment["scores"], "files": {"video": other}}
        segment["alternatives"] = [again] * 16
        told["files"] |= {f"alternative-{index}-{seed}": other for seed in range(10**9, 10**9 + 16)}
    row = in_row(told, WHOLE)
    assert size(row) <= MOST_BYTES
    assert row["files"] == done[2]["files"]
    assert row["cut"][-1] == "files of alternatives"
    encode_result(row)


def test_alternatives_lose_what_their_segments_lose() -> None:
    alternative = {"seed": 2, "scores": {"a": "x" * 500}, "checks": {}}
    told: dict[str, Any] = {
        "segments": [{"engine": {}, "checks": {}, "scores": {}, "alternatives": [alternative]}]
    }
    row = in_row(told, most_bytes=300)
    assert row["segments"] == [{"alternatives": [{"seed": 2}]}]


@pytest.mark.parametrize("name", ["checks", "scores", "engine", "memory", "parameters", "inputs", "loras"])
def test_anything_that_may_be_large_gives_way(name: str) -> None:
    told: dict[str, Any] = {"format": 1, name: {str(number): "x" * 100 for number in range(10_000)}}
    row = in_row(told)
    assert row == {"format": 1, "cut": row["cut"]}
    assert row["cut"][-1] == name


def test_what_fits_stays_as_it_is(done: tuple[Place, str, dict[str, Any], dict[str, Any]]) -> None:
    whole = done[2]
    assert in_row(whole, WHOLE) == whole
    assert in_row(whole, WHOLE, most_bytes=size(whole)) == whole
    assert "cut" in in_row(whole, WHOLE, most_bytes=size(whole) - 1)


def test_what_is_not_known_here_is_not_thrown_away() -> None:
    told: dict[str, Any] = {"note": "x" * MOST_BYTES}
    assert in_row(told) == told
    with pytest.raises(BadParams, match="at most 1000000"):
        encode_result(told)
    assert "at most 1000000" in str((storable_report(told) or {})["left_out"])
