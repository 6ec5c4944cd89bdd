"""What passes between ranks, and what becomes of it when one is missing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist

from headless.engine.allocator import DeviceAllocator
from headless.engine.failures import RanOut
from headless.engine.follower import Follower
from headless.engine.joining import joined, leading, met
from headless.engine.links import Links, PeerFailed
from headless.engine.loading import LoadOptions
from headless.engine.team import Leader, agreed, error_of, verdict
from headless.errors import HeadlessError, InternalError, ModelMissing, RankLost, UsageError
from headless.rank_place import RankPlace
from tests.parallel.ranks import CPU, linked, on_every_rank


@pytest.fixture
def meeting_point(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The store of torchrun's agent, which is another process there; the ranks find it by their variables."""
    store: Any = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]  # not in the stub
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    return store


def test_commands_and_answers_pass() -> None:
    links = linked(3)

    def speak(rank: int) -> tuple[Any, Any]:
        said = {"do": "ä" * 3000}
        if rank == 0:
            links[0].tell(said)
        heard = said if rank == 0 else links[rank].hear()
        return heard, links[rank].compare({"I am": rank} if rank else None)

    for heard, compared in on_every_rank(3, speak):
        assert heard == {"do": "ä" * 3000}
        assert compared == [None, {"I am": 1}, {"I am": 2}]


def _fail(error: Exception | None) -> None:
    if error is not None:
        raise error


def test_a_failure_is_heard_by_those_that_did_not_fail() -> None:
    links = linked(3)

    own = [None, RanOut("resting", "none"), ModelMissing("no file")]

    def work(rank: int) -> list[Any]:
        failures: list[Any] = []
        error = own[rank]
        with pytest.raises(type(error) if error else PeerFailed), agreed(links[rank], failures):
            _fail(error)
        links[rank].agree()
        return failures

    heard = on_every_rank(3, work)
    assert [entry["class"] for entry in heard[0] if entry] == ["OutOfMemory", "ModelMissing"]
    assert heard[1:] == [[], []]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelMissing("x"), ModelMissing),
        (RanOut("resting", "none"), torch.OutOfMemoryError),
        (KeyError("x"), InternalError),
        (HeadlessError("x"), HeadlessError),
    ],
)
def test_another_ranks_error_is_raised_as_what_it_is(error: Exception, kind: type[Exception]) -> None:
    found = error_of([None, verdict(error)])
    assert type(found) is kind
    assert str(found).startswith("Rank 1: ")


def test_a_rank_that_never_answers_is_lost() -> None:
    links, broken = linked(2), []
    links[0]._on_broken = lambda: broken.append("once")
    for group in (links[0]._talk, links[0]._data):
        patient: Any = group
        patient._set_default_timeout(timedelta(milliseconds=300))
    with pytest.raises(RankLost, match=r"no longer answers.*Timed out"):
        links[0].agree()
    # What is broken stays so, and nobody waits again.
    with pytest.raises(RankLost, match="no longer answers"):
        links[0].tell({"do": "stop"})
    assert broken == ["once"]
    assert not links[1].broken


def test_a_follower_whose_leader_dies_leaves() -> None:
    links = linked(2)
    own = links.pop()
    links.clear()
    with pytest.raises(RankLost, match=r"has died.*Connection closed by peer"):
        Follower(own, CPU, DeviceAllocator(CPU), LoadOptions()).serve()


def test_an_unknown_command_is_an_error_and_no_end() -> None:
    links = linked(2)

    def work(rank: int) -> list[Any]:
        if rank == 1:
            Follower(links[1], CPU, DeviceAllocator(CPU), LoadOptions()).serve()
            return []
        heard = []
        for command in ({"do": "dance"}, {"do": "prepare", "expert": "high", "key": []}, {"do": "run"}):
            failures: list[Any] = []
            links[0].tell(command)
            with pytest.raises(PeerFailed), agreed(links[0], failures):
                pass
            heard.append(failures[1]["message"])
        links[0].tell({"do": "stop"})
        return heard

    dance, prepare, run = on_every_rank(2, work)[0]
    assert "'dance'" in dance
    assert "no model is loaded" in prepare
    assert "no model is loaded" in run


def test_ranks_meet_where_torchrun_says(meeting_point: object) -> None:
    def join(rank: int) -> Any:
        if rank == 0:
            with leading(RankPlace(0, 2), "cpu") as team:
                return team.size
        with joined(RankPlace(1, 2), CPU) as links:
            leader = met(links, "cpu")[0]
            assert links.hear() == {"do": "stop"}
            return leader["device"]

    assert on_every_rank(2, join) == [2, "cpu"]


def test_ranks_that_torchrun_restarts_do_not_meet_those_before(meeting_point: object) -> None:
    """They meet in the same store, where the addresses of the dead still stand."""
    for start in ("0", "1"):

        def join(rank: int, start: str = start) -> list[Any]:
            with joined(RankPlace(rank, 2, start), CPU) as links:
                return links.compare({"start": start})

        assert on_every_rank(2, join) == [[{"start": start}] * 2] * 2


def test_without_a_place_to_meet_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    refused = pytest.raises(UsageError, match=r"cannot meet.*MASTER_ADDR.*Start them with torchrun")
    with refused, joined(RankPlace(0, 2), CPU):
        pass


def test_ranks_that_do_not_all_come_are_said_to_be_missing(
    meeting_point: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headless.engine.joining.IDLE", timedelta(milliseconds=300))
    with pytest.raises(RankLost, match="Not all 2 ranks came together"), joined(RankPlace(0, 2), CPU):
        pass


def test_a_leader_whose_rank_has_gone_dismisses_nobody() -> None:
    links = linked(2)
    first: Links = links[0]
    leader = Leader(first)
    links.clear()
    leader.dismiss()
    assert first.broken
    leader.dismiss()
