"""Which process this is, as torchrun says; what several ranks cannot do is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

import worker
from headless.engine.joining import rank_device
from headless.errors import UsageError
from headless.rank_place import ALONE, RankPlace, read_place
from headless.settings import worker_settings

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
LOCAL = ["--local", "queue"]


def test_without_torchrun_a_worker_is_alone() -> None:
    assert read_place({}) is ALONE
    assert read_place({"RANK": "0", "WORLD_SIZE": "1"}) is ALONE
    assert ALONE.leads


def test_torchruns_variables_are_read() -> None:
    assert read_place(TORCHRUN) == RankPlace(1, 2)
    assert not read_place(TORCHRUN).leads
    assert worker_settings(LOCAL, TORCHRUN).place == RankPlace(1, 2)
    assert read_place(TORCHRUN | {"TORCHELASTIC_RESTART_COUNT": "3"}) == RankPlace(1, 2, "3")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"WORLD_SIZE": "4"}, "must be on one host"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is not set to a number"),
        ({"LOCAL_RANK": "0"}, "not ranks of one host"),
        ({"RANK": "2", "LOCAL_RANK": "2"}, "not ranks of one host"),
        ({"LOCAL_WORLD_SIZE": ""}, "LOCAL_WORLD_SIZE is not set to a number"),
    ],
)
def test_other_places_are_refused(changed: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_place(TORCHRUN | changed)


@pytest.mark.parametrize(
    "flags",
    [["--engine", "fake"], ["--memory", "mmgp:3"], ["--device", "cuda:1"], ["--weights", "packed"]],
)
def test_what_one_process_alone_can_do_is_refused(flags: list[str]) -> None:
    with pytest.raises(UsageError, match=rf"{' '.join(flags)} is for a worker of one process"):
        worker_settings([*LOCAL, *flags], TORCHRUN)
    worker_settings([*LOCAL, *flags], {})


def test_a_worker_over_two_hosts_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (TORCHRUN | {"WORLD_SIZE": "4"}).items():
        monkeypatch.setenv(name, value)
    assert worker.main(["--local", str(tmp_path)]) == 2
    assert "the queue gives each its tasks" in capsys.readouterr().err


def test_every_rank_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rank_device("cpu", RankPlace(1, 2)) == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert rank_device("auto", RankPlace(1, 2)) == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [rank_device("auto", RankPlace(rank, 2)) for rank in range(2)] == ["cuda:0", "cuda:1"]
    with pytest.raises(UsageError, match=r"3 ranks need a GPU each, and torch .* sees 2"):
        rank_device("cuda", RankPlace(0, 3))
