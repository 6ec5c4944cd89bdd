"""Servers as child processes that end with this one, even when it is killed."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

# The shell waits for the end of its standard input, which is a pipe that only this process holds open.
_WATCH = '"$@" </dev/null & child=$!; cat >/dev/null; kill -{signal} $child; wait $child'


def unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: then the user that it runs as, otherwise `None`."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


class Server:
    """A server that ends when this object is stopped or this process is gone."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        *,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log = folder / f"{Path(command[0]).name}.log"
        group = pwd.getpwnam(user).pw_gid if user else None
        with self.log.open("ab") as log:
            self._shell = subprocess.Popen(
                ["sh", "-c", _WATCH.format(signal=stop_signal.name.removeprefix("SIG")), "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                user=user,
                group=group,
                extra_groups=[] if user else None,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the server and wait for it."""
        pipe: IO[bytes] | None = self._shell.stdin
        if pipe is not None:
            pipe.close()
        self._shell.wait(timeout=30)
