"""Blocks that do not end in the order in which they began: jobs in several threads, or coroutines."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from wan2gp_patch.models_def import DefinitionInUse, patched_model_def

KEPT = "[SVI2PRO] Kept wgp.models_def['m']['svi2pro'] = True for another job"


class Job:
    """A thread that enters a block, says so, and leaves it when told to."""

    def __init__(self, models_def: dict[str, dict[str, Any]], value: Any) -> None:
        self._models_def, self._value = models_def, value
        self._inside, self._leave = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._end = self._pool.submit(self._run)

    def _run(self) -> Any:
        try:
            with patched_model_def(self._models_def, "m", {"svi2pro": self._value}):
                self._inside.set()
                assert self._leave.wait(60)
                return self._models_def["m"]["svi2pro"]
        finally:
            self._inside.set()

    def enter(self) -> Job:
        assert self._inside.wait(60)
        return self

    def leave(self) -> Any:
        """What the job saw just before it left."""
        self._leave.set()
        with self._pool:
            return self._end.result(60)


@pytest.mark.parametrize("definition", [{}, {"svi2pro": False}, {"svi2pro": None, "name": "x"}])
def test_two_jobs_that_end_in_the_order_in_which_they_began(
    definition: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    models_def = {"m": dict(definition)}
    with caplog.at_level(logging.INFO, "svi"):
        first = Job(models_def, True).enter()
        second = Job(models_def, True).enter()
        assert first.leave() is True
        assert models_def["m"]["svi2pro"] is True
        assert second.leave() is True
    assert models_def == {"m": definition}
    was = definition.get("svi2pro")
    assert caplog.messages[2:] == [KEPT, f"[SVI2PRO] Restored wgp.models_def['m']['svi2pro'] to {was}"]


def test_many_jobs_at_once() -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {"name": "x"}}
    jobs = [Job(models_def, True) for _ in range(8)]
    assert [job.enter().leave() for job in jobs] == [True] * 8
    assert models_def == {"m": {"name": "x"}}


def test_a_job_that_needs_another_value_now_is_refused_by_name() -> None:
    """Nothing runs without what it asked for, and the job that runs keeps what it has."""
    models_def: dict[str, dict[str, Any]] = {"m": {}}
    first = Job(models_def, True).enter()
    with pytest.raises(DefinitionInUse, match=r"\['svi2pro'\] is True .* cannot become False; .*one after"):
        Job(models_def, False).enter().leave()
    assert models_def == {"m": {"svi2pro": True}}
    assert first.leave() is True
    assert models_def == {"m": {}}
    with patched_model_def(models_def, "m", {"svi2pro": False}):
        assert models_def == {"m": {"svi2pro": False}}
    assert models_def == {"m": {}}


def test_a_refused_job_puts_back_what_it_had_changed_before() -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {"a": 0}}
    first = Job(models_def, True).enter()

    def refused() -> None:
        with patched_model_def(models_def, "m", {"a": 1, "svi2pro": None}):
            pytest.fail("the block must not run")

    with ThreadPoolExecutor(1) as pool, pytest.raises(DefinitionInUse):
        pool.submit(refused).result(60)
    assert models_def == {"m": {"a": 0, "svi2pro": True}}
    first.leave()
    assert models_def == {"m": {"a": 0}}


def test_blocks_of_one_thread_that_end_out_of_order() -> None:
    """As two coroutines do."""
    models_def: dict[str, dict[str, Any]] = {"m": {"svi2pro": "own"}}
    first, second, third = ExitStack(), ExitStack(), ExitStack()
    for stack, value in ((first, 1), (second, 2), (third, 3)):
        stack.enter_context(patched_model_def(models_def, "m", {"svi2pro": value}))
    second.close()
    assert models_def["m"]["svi2pro"] == 3
    first.close()
    assert models_def["m"]["svi2pro"] == 3
    third.close()
    assert models_def == {"m": {"svi2pro": "own"}}


def test_jobs_on_other_definitions_do_not_meet() -> None:
    """Equal dicts are different definitions."""
    mine: dict[str, dict[str, Any]] = {"m": {}}
    other: dict[str, dict[str, Any]] = {"m": {}}
    first = Job(mine, True).enter()
    with patched_model_def(other, "m", {"svi2pro": False}):
        assert mine == {"m": {"svi2pro": True}}
        assert other == {"m": {"svi2pro": False}}
    first.leave()
    assert mine == other == {"m": {}}
