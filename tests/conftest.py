"""Nothing is skipped: a test that cannot run here fails and says why. Tests for a GPU are deselected."""

from __future__ import annotations

import logging
import signal
from collections.abc import Generator, Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def process_state() -> Iterator[None]:
    """What a test's worker or command changes of this process, logging and signals, ends with the test."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in (None, *root.manager.loggerDict)}
    caught = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for name in (None, *root.manager.loggerDict):
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
    structlog.reset_defaults()
    for number, handler in caught.items():
        signal.signal(number, handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that was skipped has failed."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So has a module that was skipped as a whole."""
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"Nothing is skipped here; install what is missing or deselect the test. {why}"
