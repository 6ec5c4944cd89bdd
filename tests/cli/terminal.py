"""The command line in this process: arguments in, exit status and both streams out."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from headless.cli.main import main
from tests.worker.place import Place


@dataclass(frozen=True)
class Said:
    """How a command ended and what it wrote."""

    status: int
    out: str
    err: str


class Terminal:
    """`run("submit", ...)` on the queue of a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.environ = {"HEADLESS_LOCAL": str(place.local)}

    def run(self, *arguments: str) -> Said:
        """Run one command."""
        return run(*arguments, environ=self.environ)

    def good(self, *arguments: str) -> str:
        """What a command prints that must work."""
        said = self.run(*arguments)
        assert said.status == 0, said.err
        return said.out.strip()

    def bad(self, *arguments: str) -> str:
        """What a command says that must be refused as bad use: on stderr alone."""
        said = self.run(*arguments)
        assert said.status == 2, (said.out, said.err)
        assert said.out == ""
        assert "Traceback" not in said.err
        return said.err


def run(*arguments: str, environ: dict[str, str] | None = None) -> Said:
    """Run one command; argparse's own exits are statuses too."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = main(arguments, environ or {})
        except SystemExit as left:
            status = int(left.code or 0)
    return Said(status, out.getvalue(), err.getvalue())
