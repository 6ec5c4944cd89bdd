"""What a program changes of the process that it runs in, put back after a test that ran it in this one."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest
import structlog

LOGGERS = (
    "",
    "svi",
    "httpx",
    "httpcore",
    "h2",
    "hpack",
    "PIL",
    "urllib3",
    "filelock",
    "diffusers",
    "transformers",
)


@pytest.fixture
def process_state() -> Iterator[None]:
    """Logging and signals as they were."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels, handlers = [logger.level for logger in loggers], list(logging.getLogger().handlers)
    caught = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()
    for number, handler in caught.items():
        signal.signal(number, handler)
