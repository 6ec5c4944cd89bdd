"""The seed decides what goes wrong; processes on the leash do not outlive their holder."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.polling import until
from tests.soak.chaos import Chaos
from tests.soak.faults import Fault, Kind, faults
from tests.soak.fleet import Fleet
from tests.soak.ground import Ground, LocalGround
from tests.supabase.tools import REPOSITORY


def _some(seed: int, *, database: bool = True) -> list[Fault]:
    return list(itertools.islice(faults(seed, 8.0, database=database), 500))


def test_the_seed_decides() -> None:
    assert _some(1) == _some(1)
    assert _some(1) != _some(2)


def test_every_kind_comes_and_none_that_cannot() -> None:
    assert {fault.kind for fault in _some(1)} == set(Kind)
    assert {fault.kind for fault in _some(1, database=False)} == {Kind.KILL, Kind.STOP}


def test_faults_come_as_often_as_asked_for_and_stops_outlast_a_lease() -> None:
    some = _some(1)
    assert 7 < sum(fault.after for fault in some) / len(some) < 9
    assert all(fault.leases >= 1.2 for fault in some)


class _Ground(LocalGround):
    """Remembers what was done to its database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lease_seconds=5.0)
        self.disturbed: list[Kind] = []

    def disturb(self, kind: Kind) -> None:
        self.disturbed.append(kind)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[_Ground]:
    ground = _Ground(tmp_path / "site")
    yield ground
    ground.site.close()


def test_faults_follow_the_jobs_that_are_done(ground: _Ground) -> None:
    plan = [Fault(kind, after=2, hesitation=1.0, victim=0.0, leases=2.0) for kind in (Kind.CRASH, Kind.CUT)]
    plan.append(Fault(Kind.KILL, after=99, hesitation=0.0, victim=0.0, leases=2.0))
    chaos = Chaos(ground, Fleet(ground, workers=1, step_seconds=0.1), iter(plan), lease_seconds=5.0)
    seen = []
    for done, now in [(1, 10.0), (2, 20.0), (3, 20.5), (3, 21.0), (4, 30.0), (5, 40.0), (5, 41.0)]:
        chaos.step(done, now)
        seen.append(list(ground.disturbed))
    assert seen == [[], [], [], [Kind.CRASH], [Kind.CRASH], [Kind.CRASH], [Kind.CRASH, Kind.CUT]]
    assert chaos.restarts == 1


def test_a_stopped_worker_is_continued_when_its_time_has_come(ground: _Ground) -> None:
    plan = [
        Fault(Kind.STOP, after=0, hesitation=0.0, victim=0.0, leases=2.0),
        Fault(Kind.KILL, after=99, hesitation=0.0, victim=0.0, leases=2.0),
    ]
    with Fleet(ground, workers=1, step_seconds=0.1) as fleet:
        fleet.start_missing()
        (slot,) = fleet.slots
        assert slot.process is not None
        chaos = Chaos(ground, fleet, iter(plan), lease_seconds=5.0)
        chaos.step(0, 100.0)
        slot.process.wait_stopped()
        assert not fleet.stop(slot, 200.0)
        until_when = []
        for now in (109.9, 110.0):
            chaos.step(0, now)
            until_when.append(slot.stopped_until)
        fleet.wind_down()
    assert until_when == [110.0, None]
    assert fleet.complaints == []


def test_a_worker_that_ends_by_itself_is_told_and_started_anew(ground: _Ground) -> None:
    with Fleet(ground, workers=2, step_seconds=0.1) as fleet:
        fleet.start_missing()
        killed, ended = fleet.slots
        assert fleet.kill(killed)
        assert not fleet.kill(killed)
        assert ended.process is not None
        ended.process.send(signal.SIGKILL)
        ended.process.wait()
        fleet.start_missing()
        assert [slot.starts for slot in fleet.slots] == [2, 2]
    assert [line.split(":")[0] for line in fleet.complaints] == ["worker-01 ended by itself with -9"]


_HOLDER = """
import subprocess, threading
from tests.soak.leash import Leash
with Leash() as leash:
    child = subprocess.Popen(["sleep", "600"], process_group=leash.group)
    print(child.pid, flush=True)
    threading.Event().wait()
"""


def test_a_process_on_the_leash_ends_with_its_holder() -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLDER], cwd=REPOSITORY, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        holder.kill()
    until(lambda: not _runs(child), lambda: f"process {child} should be gone")


def _runs(process: int) -> bool:
    """A process whose parent is gone may stay as a zombie until somebody asks for its status."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_a_ground_without_a_database_has_none_to_disturb(tmp_path: Path) -> None:
    ground: Ground = LocalGround(tmp_path / "site", lease_seconds=5.0)
    with pytest.raises(NotImplementedError, match="crash"):
        ground.disturb(Kind.CRASH)
    ground.site.close()
