"""What the row of an attempt tells afterwards, however the attempt ended."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from headless.fingerprint import fingerprint
from headless.job_listener import JobListener
from headless.model_store.weight_fingerprints import WeightFingerprints
from headless.run_task import TaskRun
from headless.settings import worker_settings
from headless.wiring import build_worker
from tests.worker.place import MODEL, Place
from tests.worker.test_loras import lora_bytes

LORA = "warm.safetensors"


def rows(place: Place, task: str) -> list[tuple[str, dict[str, Any]]]:
    """Outcome and report of every attempt."""
    with place.queue() as queue:
        return [(row.outcome, dict(row.report or {})) for row in queue.attempts(task)]


def models(place: Place) -> tuple[str, ...]:
    """A models folder with one LoRA, as flags."""
    folder = place.folder / "models"
    (folder / "loras").mkdir(parents=True)
    (folder / "loras" / LORA).write_bytes(lora_bytes(3))
    return "--models-dir", str(folder)


def check_planned(report: dict[str, Any], place: Place) -> None:
    """What every attempt tells that was planned, whatever came of it."""
    assert report["format"] == 1
    assert report["model"] == MODEL
    parameters = report["parameters"]
    assert (parameters["seed"], parameters["width"], parameters["num_frames"]) == (7, 64, 5)
    assert "start_image" in report["inputs"]
    expected = fingerprint(place.folder / "models" / "loras" / LORA)
    assert report["loras"] == [{"name": LORA, "fingerprint": expected}]
    assert report["versions"]["engine"] == "fake"
    assert "headless" in report["versions"]
    assert report["memory"]["process_peak_rss_bytes"] > 1_000_000
    assert report["timings"]["fetching"] >= 0


def test_a_completed_attempt(place: Place) -> None:
    task = place.enqueue(place.job(loras={LORA: 1.0}, num_frames=6))
    assert place.work(*models(place)) == 0
    ((outcome, report),) = rows(place, task)
    assert outcome == "completed"
    check_planned(report, place)
    assert report["end_frame_mode"] == place.result(task)["end_frame_mode"]
    assert report["timings"] == place.result(task)["timings"]
    assert report["timings"].keys() >= {"denoising", "decoding", "uploading"}
    assert [entry["field"] for entry in report["adjustments"]] == ["num_frames"]


def test_an_attempt_that_failed_at_a_step(place: Place) -> None:
    prompt = "[fault bad-input at step 2]"
    task = place.enqueue(place.job(loras={LORA: 1.0}, steps=4, prompt=prompt))
    assert place.work(*models(place)) == 0
    ((outcome, report),) = rows(place, task)
    assert outcome == "failed"
    check_planned(report, place)
    assert report["parameters"]["steps"] == 4
    assert "denoising" in report["timings"]
    assert "decoding" not in report["timings"]


def test_an_attempt_that_sigterm_ended(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    task = place.enqueue(place.job(loras={LORA: 1.0}, steps=4))
    on_step = JobListener.on_step

    def stopped(listener: JobListener, step: int, *arguments: Any) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGTERM)
        on_step(listener, step, *arguments)

    monkeypatch.setattr(JobListener, "on_step", stopped)
    flags = place.flags("--engine", "fake", "--until-idle", "--grace", "0", *models(place))
    # A clock that stands still would predict that nothing is left to do.
    settings = worker_settings([*flags, "--fake-step-seconds", "0.01"], {})
    with build_worker(settings) as worker:
        worker.shutdown.install()
        assert worker.run() == 0
    ((outcome, report),) = rows(place, task)
    assert outcome == "released"
    check_planned(report, place)
    assert "denoising" in report["timings"]


def test_a_task_that_cannot_be_planned_still_tells_of_its_worker(place: Place) -> None:
    task = place.enqueue(place.job(num_frames="many"))
    assert place.work() == 0
    ((outcome, report),) = rows(place, task)
    assert outcome == "failed"
    assert report.keys() == {"format", "versions", "timings", "memory"}


def test_a_second_seed_is_the_one_that_is_told(place: Place) -> None:
    task = place.enqueue(place.job(prompt="[fault black]", output_checks=True))
    assert place.work() == 0
    ((outcome, report),) = rows(place, task)
    assert outcome == "failed"
    assert report["parameters"]["seed"] != 7
    assert [entry["field"] for entry in report["adjustments"]] == ["seed"]


def test_a_report_that_cannot_be_made_does_not_hide_the_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: TaskRun) -> dict[str, Any]:
        raise ValueError("a bug")

    monkeypatch.setattr(TaskRun, "report", broken)
    task = place.enqueue(place.job(prompt="[fault bad-input]"))
    assert place.work() == 0
    assert rows(place, task) == [("failed", {})]


def _model(folder: Path, *names: str) -> dict[str, Any]:
    """Files of these names below `folder`, and the section that says so."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return {"files": {"transformer": "net", "vae": "vae.safetensors", "text_encoder": "absent"}}


def test_weights_are_told_by_their_roles(tmp_path: Path) -> None:
    model_def = _model(tmp_path, "net/a.safetensors", "net/config.json", "net/.cache/x", "vae.safetensors")
    prints = WeightFingerprints([tmp_path / "empty", tmp_path])
    before = prints.of(model_def)
    assert before.keys() == {"transformer", "vae"}
    assert before["vae"] == fingerprint(tmp_path / "vae.safetensors")
    (tmp_path / "net" / ".cache" / "x").write_bytes(b"bookkeeping of a download")
    assert prints.of(model_def) == before
    (tmp_path / "net" / "a.safetensors").write_bytes(b"trained once more")
    after = prints.of(model_def)
    assert after["transformer"] != before["transformer"]
    assert after["vae"] == before["vae"]


def test_the_first_folder_wins_as_in_the_engine(tmp_path: Path) -> None:
    model_def = _model(tmp_path / "shipped", "vae.safetensors")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "vae.safetensors").write_bytes(b"mine")
    prints = WeightFingerprints([tmp_path / "mine", tmp_path / "shipped"])
    assert prints.of(model_def)["vae"] == fingerprint(tmp_path / "mine" / "vae.safetensors")


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counting(path: Path) -> str:
        read.append(path)
        return fingerprint(path)

    monkeypatch.setattr("headless.model_store.weight_fingerprints.fingerprint", counting)
    model_def = _model(tmp_path, "vae.safetensors")
    prints = WeightFingerprints([tmp_path])
    assert prints.of(model_def) == prints.of(model_def)
    assert read == [tmp_path / "vae.safetensors"]


def test_a_part_that_cannot_be_read_is_left_to_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: Path) -> str:
        raise OSError("a bad sector")

    monkeypatch.setattr("headless.model_store.weight_fingerprints.fingerprint", unreadable)
    assert WeightFingerprints([tmp_path]).of(_model(tmp_path, "vae.safetensors")) == {}
    assert WeightFingerprints([tmp_path]).of({"loras": ["../../etc/passwd"]}) == {}
