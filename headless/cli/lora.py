"""`lora inspect`: what a LoRA file is and whether it will load, without a GPU."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from headless.cli.command import Commands, add_command
from headless.cli.exit_codes import DONE, FAILED
from headless.errors import BadInput, HeadlessError, UsageError
from headless.loras import LORA_LIMITS
from headless.media.fetch import fetch_url
from headless.media.guard import FetchPolicy, redact_url
from headless.settings import EnvironmentOptions, HelpFormatter
from models.errors import WeightsError
from models.lora_files import BadLora, UnsafeLora, lora_file_name
from models.lora_inspect import Inspection, inspect_lora

_SHOWN_UNKNOWN = 10


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "lora",
        "look at LoRA files",
        "Looks at LoRA files. No GPU and no model is needed.",
        "  python -m headless lora inspect style_high_noise.safetensors\n",
    )
    parser.set_defaults(run=lambda *_: _no_action())
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    inspect = actions.add_parser(
        "inspect",
        help="say what a file is and whether it will load",
        description=(
            "Says which tool's dialect the file is written in, which expert (high, low or both) its name "
            "means, how\nmany of its keys have a place, and for which networks it loads. A file that cannot "
            "be loaded exits with 1."
        ),
        epilog=(
            "examples:\n  python -m headless lora inspect style_high_noise.safetensors\n"
            "  python -m headless lora inspect https://HOST/NAME/resolve/main/style.safetensors --json\n"
        ),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    inspect.add_argument("file", metavar="FILE|URL", help="a .safetensors file, or where to fetch one")
    inspect.add_argument("--json", action="store_true", help="print what was found as JSON")
    EnvironmentOptions(inspect, environ).value(
        "--allow-hosts",
        "HEADLESS_ALLOW_HOSTS",
        "private hosts that a URL may name, as HOST or HOST:PORT, separated by commas",
        metavar="HOSTS",
    )
    inspect.set_defaults(run=run)


def run(arguments: argparse.Namespace, _: Mapping[str, str]) -> int:
    """Print what the file is; 1 where nothing loads it."""
    try:
        with _file(arguments) as (path, name):
            found = inspect_lora(path, name)
    except (FileNotFoundError, WeightsError, HeadlessError) as error:
        if isinstance(error, UsageError):
            raise
        print(f"headless: {error}", file=sys.stderr)
        return FAILED
    print(json.dumps(dataclasses.asdict(found), indent=2) if arguments.json else _text(found))
    if found.problem is None:
        return DONE
    print(f"headless: {found.name} {found.problem}", file=sys.stderr)
    return FAILED


def _no_action() -> int:
    raise UsageError("Name an action: python -m headless lora inspect FILE")


@contextmanager
def _file(arguments: argparse.Namespace) -> Iterator[tuple[Path, str]]:
    """The file on this machine and its name; a download is gone afterwards."""
    source: str = arguments.file
    if "://" not in source:
        yield Path(source).expanduser(), Path(source).name
        return
    try:
        name = lora_file_name(source)
    except (UnsafeLora, BadLora) as error:
        raise BadInput(str(error)) from error
    hosts = tuple(part.strip() for part in arguments.allow_hosts.split(",") if part.strip())
    policy = FetchPolicy(allowed_hosts=hosts)
    print(f"fetching {redact_url(source)}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="headless-lora-") as folder:
        path = Path(folder) / name
        fetch_url(source, path, policy=policy, limits=LORA_LIMITS, check=lambda: None, field="lora")
        yield path, name


def _text(found: Inspection) -> str:
    """A few lines for a person."""
    lines = [
        f"file      {found.name}",
        f"sha256    {found.sha256}",
        f"layout    {found.layout}",
        f"expert    {found.expert}",
        f"keys {found.matched} of {found.keys}",
        f"rank      {found.rank}" if found.rank else "rank      none",
    ]
    if found.base is not None:
        lines.append(f"base      {found.base}")
    if found.fits:
        lines.append(f"fits      {', '.join(found.fits)}")
    lines += [f"unknown   {key}" for key in found.unknown[:_SHOWN_UNKNOWN]]
    if len(found.unknown) > _SHOWN_UNKNOWN:
        lines.append(f"unknown   and {len(found.unknown) - _SHOWN_UNKNOWN} more")
    return "\n".join(lines)
