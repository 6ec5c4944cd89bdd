"""The verdict over a soak: what is lost, what was published twice, and what else is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tests.soak.evidence import AttemptRow, Event, Evidence, OutputRow, TaskRow, Told
from tests.soak.jobs import Job

QUARANTINED = "QUARANTINED"
PUBLISHED = "published"
COMPLETED = "completed"

Row = TypeVar("Row", AttemptRow, OutputRow, Event, Told)

Look = Callable[[Job, str, str], str | None]
"""Looks at the video of a job, by key and SHA-256; what is wrong with it."""


@dataclass
class Verdict:
    """`lost`, `twice`: job -> why. `wrong`: everything else that must not be."""

    lost: dict[Job, str] = field(default_factory=dict)
    twice: dict[Job, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.lost or self.twice or self.wrong)

    def lines(self) -> Iterator[str]:
        """One line for each thing that is not."""
        yield from (f"lost: job {job.number}: {why}" for job, why in self.lost.items())
        yield from (f"published twice: job {job.number}: {why}" for job, why in self.twice.items())
        yield from (f"wrong: {why}" for why in self.wrong)


@dataclass(frozen=True)
class _Case:
    """One task with everything that is known about it."""

    task: TaskRow
    attempts: list[AttemptRow]
    outputs: list[OutputRow]
    events: list[Event]
    told: list[Told]

    def published_by(self) -> set[int | None]:
        """Every attempt that published, or says so; the more witnesses, the better."""
        return (
            {event.attempt for event in self.events if event.what == PUBLISHED}
            | {output.attempt for output in self.outputs}
            | {attempt.number for attempt in self.attempts if attempt.outcome == COMPLETED}
            | {told.attempt for told in self.told}
        )

    def publications(self) -> int:
        """How often something was published: attempts that did, and any more that the witness saw."""
        seen = sum(event.what == PUBLISHED for event in self.events)
        return max(len(self.published_by()), seen, len(self.outputs))


def audit(jobs: Iterable[Job], accepted: Mapping[Job, str], evidence: Evidence, look: Look) -> Verdict:
    """Look at every job, and at every task, also at those that belong to no job."""
    verdict, cases = Verdict(), {case.task.id: case for case in _cases(evidence)}
    copies = {task.origin: task.id for task in evidence.tasks if task.origin is not None}
    seen: set[str] = set()
    for job in jobs:
        if job not in accepted:
            verdict.lost[job] = "it was never accepted by the queue"
            continue
        chain = list(_chain(accepted[job], copies))
        seen.update(chain)
        _judge(job, chain, cases, look, verdict)
    verdict.wrong += [f"task {task} belongs to no job, or is a second copy" for task in cases.keys() - seen]
    _strangers(evidence, cases.keys(), verdict)
    return verdict


def _judge(job: Job, chain: list[str], cases: Mapping[str, _Case], look: Look, verdict: Verdict) -> None:
    """A job is done by the last task of its chain; those before it are in quarantine and show nothing."""
    missing = [task for task in chain if task not in cases]
    if missing:
        verdict.lost[job] = f"task {missing[0]} is gone"
        return
    found = [cases[task] for task in chain]
    publications = sum(case.publications() for case in found)
    if publications > 1:
        verdict.twice[job] = f"{publications} publications: {'; '.join(map(_describe, found))}"
    last = found[-1]
    if last.task.status != "Complete":
        verdict.lost[job] = _describe(last)
        return
    verdict.wrong += [f"task {last.task.id}: {why}" for why in _faults_of_complete(last)]
    for case in found[:-1]:
        verdict.wrong += [f"task {case.task.id}: {why}" for why in _faults_of_quarantined(case)]
    if last.outputs:
        why = look(job, last.outputs[0].key, last.outputs[0].sha256)
        if why is not None:
            verdict.wrong.append(f"task {last.task.id}: {why} ({last.outputs[0].key})")


def _faults_of_complete(case: _Case) -> Iterator[str]:
    task = case.task
    completed = [attempt.number for attempt in case.attempts if attempt.outcome == COMPLETED]
    if len(completed) != 1 or len(case.outputs) != 1:
        yield f"{len(completed)} completed attempts and {len(case.outputs)} outputs instead of one of each"
        return
    (output,) = case.outputs
    if case.published_by() != {completed[0]}:
        yield f"attempt {completed[0]} completed it, but {case.published_by()} published"
    if completed[0] != task.attempts:
        yield f"attempt {completed[0]} completed it, and attempt {task.attempts} came later"
    if f"/{task.id}/{completed[0]}/" not in output.key:
        yield f"its output {output.key} is not one of attempt {completed[0]}"
    if task.location != output.key:
        yield f"it shows {task.location}, and {output.key} was published"
    if task.video != (output.key, output.sha256):
        yield f"its result names {task.video}, and {(output.key, output.sha256)} was published"
    yield from _common_faults(case)


def _faults_of_quarantined(case: _Case) -> Iterator[str]:
    task = case.task
    if (task.status, task.error_class) != ("Failed", QUARANTINED):
        yield f"it was retried although it is {task.status} ({task.error_class})"
    if task.location is not None or task.video is not None:
        yield f"it failed, and shows {task.location}"
    crashes = sum(attempt.outcome == "crashed" for attempt in case.attempts)
    if crashes < 2:
        yield f"it is in quarantine after {crashes} crashes"
    yield from _common_faults(case)


def _common_faults(case: _Case) -> Iterator[str]:
    running = [attempt.number for attempt in case.attempts if attempt.outcome == "running"]
    if running:
        yield f"it is final, and attempts {running} are still running"
    if sorted(attempt.number for attempt in case.attempts) != list(range(1, case.task.attempts + 1)):
        yield "its attempts are not numbered from 1 without a gap"
    for event in case.events:
        if event.what != PUBLISHED:
            yield f"{event.what} (attempt {event.attempt}, {event.key})"


def _strangers(evidence: Evidence, tasks: Iterable[str], verdict: Verdict) -> None:
    """Outputs and words of workers about tasks that are not there."""
    known = set(tasks)
    rows: tuple[OutputRow | Event | Told, ...] = (*evidence.outputs, *evidence.events, *evidence.told)
    verdict.wrong += sorted({f"task {row.task} is not there: {row}" for row in rows if row.task not in known})


def _cases(evidence: Evidence) -> Iterator[_Case]:
    attempts, outputs = _by_task(evidence.attempts), _by_task(evidence.outputs)
    events, told = _by_task(evidence.events), _by_task(evidence.told)
    for task in evidence.tasks:
        yield _Case(task, attempts[task.id], outputs[task.id], events[task.id], told[task.id])


def _by_task(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.task].append(row)
    return found


def _chain(task: str, copies: Mapping[str, str]) -> Iterator[str]:
    """The task, its copy, the copy's copy."""
    following: str | None = task
    while following is not None:
        yield following
        following = copies.get(following)


def _describe(case: _Case) -> str:
    task = case.task
    attempts = ", ".join(f"{one.number} {one.outcome} ({one.worker})" for one in sorted(case.attempts))
    why = f", {task.error_class}: {task.error_message}" if task.error_class else ""
    return f"task {task.id} is {task.status}{why}; attempts: {attempts or 'none'}"
