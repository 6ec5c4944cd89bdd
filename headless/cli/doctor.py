"""`doctor`: whether a worker could run here, and how to mend what keeps it from that."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from headless.cli.command import Commands, add_command
from headless.cli.exit_codes import DONE, FAILED
from headless.cli.models import looked_at
from headless.doctor.disk import check_disk
from headless.doctor.finding import Finding, Health, fail, skipped, warn
from headless.doctor.gpu import check_gpu
from headless.doctor.service import check_service
from headless.doctor.token import check_key, role_of
from headless.doctor.weights import check_weights
from headless.errors import HeadlessError, UsageError
from headless.logs import configure
from headless.settings import (
    Connection,
    EnvironmentOptions,
    ModelFolders,
    add_connection_options,
    read_connection,
)
from headless.wiring import SHIPPED_CONFIGS, open_backend, open_registry
from models.registry import load_models_def

_SERVICE = ("queue", "grants", "storage")


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "doctor",
        "say whether a worker could run here",
        "Checks GPU, driver, disk, weights, keys, queue, grants and storage as a worker would meet them, and "
        "says how\nto mend what fails. No task is claimed or changed; one small file stays in the storage.\n"
        "Exit status 0: nothing fails, 1: something does.",
        "  python -m headless doctor --local queue\n"
        "  python -m headless doctor --supabase-url https://PROJECT.supabase.co --models-dir models --json\n",
    )
    add_connection_options(parser, environ)
    options = EnvironmentOptions(parser.add_argument_group("what the worker is given"), environ)
    options.value("--models-dir", "HEADLESS_MODELS_DIR", "your configs/, loras/ and weights", metavar="DIR")
    options.value("--preload", "HEADLESS_PRELOAD", "a model that must be complete", metavar="MODEL")
    options.value(
        "--device", "HEADLESS_DEVICE", "auto, cpu, cuda or cuda:N", metavar="DEVICE", default="auto"
    )
    options.value("--work-dir", "HEADLESS_WORK_DIR", "folder for running tasks", metavar="DIR")
    options.value("--output-dir", "HEADLESS_OUTPUT_DIR", "folder for finished files", metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print every finding; 1 where one fails."""
    findings = [
        *check_gpu(arguments.device),
        *check_disk(_folders(arguments)),
        *_weights(arguments),
        *_connection(arguments, environ),
    ]
    healthy = not any(finding.health is Health.FAIL for finding in findings)
    if arguments.json:
        print(json.dumps({"ok": healthy, "checks": [finding.row() for finding in findings]}, indent=2))
    else:
        print("\n".join(_text(finding) for finding in findings))
    return DONE if healthy else FAILED


def _folders(arguments: argparse.Namespace) -> dict[str, Path]:
    """Where this worker would write."""
    work = arguments.work_dir or arguments.local or tempfile.gettempdir()
    named = {
        "--local": arguments.local,
        "--work-dir": work,
        "--models-dir": arguments.models_dir,
        "--output-dir": arguments.output_dir,
    }
    return {flag: Path(folder) for flag, folder in named.items() if folder}


def _weights(arguments: argparse.Namespace) -> list[Finding]:
    folder = Path(arguments.models_dir).expanduser() if arguments.models_dir else None
    configure(debug=False, log_format="text", stream=sys.stderr)
    try:
        registry = open_registry(ModelFolders(folder))
        seen = {model.definition.id: model.parts for model in looked_at(registry, (), folder)}
    except HeadlessError as error:
        return [fail("weights", error.message, "Name the folder that holds configs/, loras/ and weights.")]
    own = [folder / "configs"] if folder is not None and (folder / "configs").is_dir() else []
    broken = load_models_def(SHIPPED_CONFIGS, *own).broken
    return check_weights(seen, broken, arguments.preload or None)


def _connection(arguments: argparse.Namespace, environ: Mapping[str, str]) -> list[Finding]:
    if not arguments.local.strip() and not arguments.supabase_url.strip():
        mend = "Name it: --local DIR, or --supabase-url URL with a token."
        return [
            warn(check, "no queue is named, so this was not looked at", mend) for check in ("keys", *_SERVICE)
        ]
    try:
        connection = read_connection(arguments, environ)
    except UsageError as error:
        return [fail("keys", error.message, "See python -m headless doctor --help."), *_unasked("the key")]
    configure(debug=False, log_format="text", stream=sys.stderr, secrets=connection.secrets())
    key = check_key(connection, time.time())
    if key.health is Health.FAIL:
        return [key, *_unasked("the key")]
    return [key, *_service(connection)]


def _service(connection: Connection) -> list[Finding]:
    try:
        queue, storage = open_backend(connection)
    except HeadlessError as error:
        return [fail("queue", error.message, "Correct the address, the folder or the key.")]
    try:
        return check_service(queue, storage, role_of(connection))
    finally:
        queue.close()


def _unasked(why: str) -> list[Finding]:
    return [skipped(check, f"{why} comes first") for check in _SERVICE]


def _text(finding: Finding) -> str:
    line = f"{finding.health:8}{finding.check:10}{finding.what}"
    return f"{line}\n{'':18}{finding.mend}" if finding.mend else line
