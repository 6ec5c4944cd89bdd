"""A soak in small, on both queues; scripts/soak is the same in large."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.soak.__main__ import soak_in
from tests.soak.options import SoakOptions, read_options

SQLITE = SoakOptions("sqlite", workers=2, jobs=12, seconds=400, seed=172, lease_seconds=1.5, jobs_per_fault=1)
SUPABASE = SoakOptions(
    "supabase", workers=2, jobs=8, seconds=400, seed=746, lease_seconds=1.5, jobs_per_fault=1
)


@pytest.mark.parametrize(
    ("options", "last_line"),
    [
        (SQLITE, r"lost 0, published twice 0, kills [1-9]\d*, restarts 0, jobs 12"),
        (SUPABASE, r"lost 0, published twice 0, kills [1-9]\d*, restarts [1-9]\d*, jobs 8"),
    ],
    ids=["sqlite", "supabase"],
)
def test_nothing_is_lost_or_published_twice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: SoakOptions, last_line: str
) -> None:
    status = soak_in(tmp_path / "soak", options)
    said = capfd.readouterr().out
    assert status == 0, said
    assert re.fullmatch(last_line, said.splitlines()[-1]), said


def test_what_is_not_done_in_time_is_lost(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status = soak_in(tmp_path / "soak", SoakOptions("sqlite", workers=1, jobs=3, seconds=0.001))
    said = capfd.readouterr().out.splitlines()
    assert status == 1
    assert said[-1] == "lost 3, published twice 0, kills 0, restarts 0, jobs 3"
    assert [line.split(":")[:2] for line in said[1:4]] == [["lost", f" job {job}"] for job in (1, 2, 3)]


def test_the_options_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        read_options(["--help"])
    assert left.value.code == 0
    page = capsys.readouterr().out
    for option in ("--backend", "--workers", "--jobs", "--seconds", "--seed", "exit status"):
        assert option in page


def test_the_usual_soak_is_a_large_one() -> None:
    options = read_options([])
    assert (options.backend, options.workers, options.jobs) == ("supabase", 16, 2000)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--workers", "0"),
        ("--jobs", "many"),
        ("--seconds", "-1"),
        ("--backend", "redis"),
        ("--folder", str(Path(__file__).parent)),
    ],
)
def test_wrong_options_are_refused(capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as left:
        read_options(wrong)
    assert left.value.code == 2
    assert wrong[0] in capsys.readouterr().err
