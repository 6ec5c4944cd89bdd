"""Opens the queue and the storage that a command's arguments name, and closes them again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from headless.logs import configure
from headless.ports import Storage, TaskQueue
from headless.settings import read_connection
from headless.wiring import open_backend


@contextmanager
def connected(
    arguments: argparse.Namespace, environ: Mapping[str, str]
) -> Iterator[tuple[TaskQueue, Storage]]:
    """The queue and storage for the length of a command."""
    connection = read_connection(arguments, environ)
    configure(debug=False, log_format="text", stream=sys.stderr, secrets=connection.secrets())
    queue, storage = open_backend(connection)
    try:
        yield queue, storage
    finally:
        queue.close()
