"""`doctor` as a command, on a queue in a folder and on none."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.terminal import Said, run
from tests.worker.place import Place


def doctor(*arguments: str, **environ: str) -> Said:
    return run("doctor", "--device", "cpu", *arguments, environ=environ)


def healths(said: Said) -> dict[str, str]:
    """Check -> health, the worst one where there are several."""
    worst = ["skipped", "ok", "warn", "fail"]
    found: dict[str, str] = {}
    for row in json.loads(said.out)["checks"]:
        found[row["check"]] = max(found.get(row["check"], "skipped"), row["health"], key=worst.index)
    return found


def test_a_queue_in_a_folder_is_healthy_and_unchanged(place: Place) -> None:
    task = place.enqueue(place.job())
    said = doctor("--local", str(place.local), "--json")
    assert said.status == 0, said.out
    assert json.loads(said.out)["ok"] is True
    found = healths(said)
    assert {found[check] for check in ("gpu", "keys", "queue", "grants", "storage")} == {"ok"}
    assert place.view(task).status.value == "Queued"
    assert doctor("--local", str(place.local)).status == 0


def test_every_line_that_fails_says_how_to_mend_it(place: Place, tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "configs").mkdir(parents=True)
    (models / "configs" / "mine.json").write_text("{")
    (tmp_path / "file").write_text("")
    arguments = ["--local", str(place.local), "--models-dir", str(models), "--preload", "i2v_2_2"]
    said = doctor(*arguments, "--output-dir", str(tmp_path / "file"), "--json")
    assert said.status == 1
    rows = [row for row in json.loads(said.out)["checks"] if row["health"] == "fail"]
    assert all(row["mend"] for row in rows)
    assert {row["check"] for row in rows} == {"disk", "weights"}
    told = " ".join(row["what"] for row in rows)
    assert "mine.json" in told
    assert "i2v_2_2 lacks Wan2.2-I2V-A14B-Diffusers/transformer" in told
    text = doctor(*arguments)
    assert text.status == 1
    assert "\nfail    weights   i2v_2_2 lacks" in text.out


def test_a_models_folder_that_is_none(place: Place, tmp_path: Path) -> None:
    said = doctor("--local", str(place.local), "--models-dir", str(tmp_path / "none"), "--json")
    assert healths(said)["weights"] == "fail"


def test_without_a_queue_the_machine_is_looked_at() -> None:
    said = doctor("--json")
    assert said.status == 0
    assert {healths(said)[check] for check in ("keys", "queue", "grants", "storage")} == {"warn"}


def test_a_local_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = doctor("--local", str(tmp_path / "file" / "queue"), "--json")
    assert said.status == 1
    assert healths(said)["queue"] == "fail"


def test_two_queues_are_told(tmp_path: Path) -> None:
    said = doctor("--local", str(tmp_path), "--supabase-url", "http://127.0.0.1:9", "--json")
    assert healths(said)["keys"] == "fail"
    assert healths(said)["queue"] == "skipped"
