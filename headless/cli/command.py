"""How a command is added to the command line: the same layout and rules for each."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from headless.settings import HelpFormatter

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    description: str,
    examples: str,
    usage: str | None = None,
) -> argparse.ArgumentParser:
    """A parser for `python -m headless NAME`. `examples` are lines that a reader can paste; `usage` is for
    commands with so many options that a list of them all says little."""
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{examples}",
        usage=usage,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
