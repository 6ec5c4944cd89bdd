"""`worker.main`: exit statuses and what is said on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

import worker
from tests.worker.place import Place


def _main(place: Place, *flags: str) -> int:
    return worker.main(place.flags("--engine", "fake", "--until-idle", *flags))


def test_an_empty_queue_is_done_at_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(place) == 0
    assert "worker stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--models-dir", "/nowhere/models"], "--models-dir /nowhere/models is not a folder"),
        (["--preload", "wan_tiny_i2w"], "wan_tiny_i2v"),
        (["--allow-hosts", "http://x"], "--allow-hosts"),
        (["--output-dir", "/proc/nowhere"], "--output-dir /proc/nowhere cannot be made"),
        (["--work-dir", "/proc/nowhere"], "--work-dir /proc/nowhere cannot be made"),
        (["--health-file", "/proc/nowhere/health"], "--health-file"),
        (["--engine", "wan", "--device", "tpu"], "--device"),
        (["--lease-seconds", "0"], "--lease-seconds '0'"),
    ],
)
def test_wrong_settings_leave_with_2(
    place: Place, capsys: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    assert _main(place, *flags) == 2
    told = capsys.readouterr().err
    assert "worker.py: " in told
    assert says in told
    assert "Traceback" not in told


def test_a_work_folder_with_a_file_in_the_way_is_told(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.folder / "work").mkdir()
    (place.folder / "work" / "jobs").touch()
    assert _main(place) == 2
    assert f"--work-dir {place.folder / 'work' / 'jobs'} cannot be made" in capsys.readouterr().err


def test_a_file_where_a_folder_should_be_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = place.folder / "file"
    path.write_text("x")
    assert worker.main(["--local", str(path), "--until-idle", "--engine", "fake"]) == 2
    assert f"--local {path} cannot be made" in capsys.readouterr().err


def test_a_file_that_is_no_queue_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.local / "queue.sqlite3").write_bytes(b"this is not a database, and it is long enough" * 100)
    assert _main(place) == 2
    assert "queue.sqlite3" in capsys.readouterr().err


def test_a_preloaded_model_is_ready_for_its_first_task(place: Place) -> None:
    task = place.enqueue(place.job())
    assert _main(place, "--preload", "wan_tiny_i2v") == 0
    assert place.result(task)["model"] == "wan_tiny_i2v"


def test_a_broken_model_definition_is_told_and_costs_nothing_else(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = place.folder / "models" / "configs"
    configs.mkdir(parents=True)
    (configs / "mine.json").write_text("{")
    bad, fine = place.enqueue(place.job(model="mine")), place.enqueue(place.job())
    assert _main(place, "--models-dir", str(place.folder / "models")) == 0
    assert "mine" in capsys.readouterr().err
    assert "mine.json" in (place.view(bad).error_message or "")
    assert place.result(fine)["frames"] == 5


def test_a_users_model_definition_wins(place: Place) -> None:
    configs = place.folder / "models" / "configs"
    configs.mkdir(parents=True)
    shipped = Path(worker.__file__).parent / "configs" / "wan_tiny_i2v.json"
    text = shipped.read_text(encoding="utf-8").replace('"fps": 16', '"fps": 12')
    (configs / "wan_tiny_i2v.json").write_text(text, encoding="utf-8")
    task = place.enqueue(place.job())
    assert _main(place, "--models-dir", str(place.folder / "models")) == 0
    assert place.result(task)["fps"] == 12


def test_a_health_file_is_touched(place: Place) -> None:
    health = place.folder / "new" / "health"
    place.enqueue(place.job())
    assert _main(place, "--health-file", str(health)) == 0
    assert health.exists()


def test_once_runs_one_task(place: Place) -> None:
    first, second = place.enqueue(place.job()), place.enqueue(place.job())
    flags = place.flags("--engine", "fake", "--once")
    assert worker.main(flags) == 0
    assert place.view(first).status.value == "Complete"
    assert place.view(second).status.value == "Queued"


@pytest.mark.parametrize(
    ("fault", "status", "error_class", "attempts"),
    [
        ("bad-input", "Failed", "BAD_INPUT", 1),
        ("bad-output", "Failed", "BAD_OUTPUT", 1),
        ("bug", "Queued", "INTERNAL", 1),
        ("meteor", "Failed", "BAD_PARAMS", 1),
    ],
)
def test_a_fault_of_the_engine_ends_the_task_and_not_the_worker(
    place: Place, fault: str, status: str, error_class: str, attempts: int
) -> None:
    task = place.enqueue(place.job(prompt=f"a cat [fault {fault}]"))
    assert worker.main(place.flags("--engine", "fake", "--once")) == 0
    view = place.view(task)
    assert (view.status.value, view.error_class, view.attempts) == (status, error_class, attempts)


@pytest.mark.parametrize("fault", ["oom", "sick", "missing-model", "disk-full"])
def test_a_machine_that_cannot_gives_the_task_back_and_says_1(
    place: Place, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    task = place.enqueue(place.job(prompt=f"a cat [fault {fault}]"))
    assert _main(place) == 1
    view = place.view(task)
    assert (view.status.value, view.attempts) == ("Queued", 0)
    assert view.error_message
    assert "this machine cannot run the task" in capsys.readouterr().err


def test_ctrl_c_while_everything_is_loaded_leaves_quietly(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "build_worker", interrupted)
    assert _main(place) == 130
    assert "Traceback" not in capsys.readouterr().err
