"""`plan`: what a job would run, without running it and without a GPU."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from headless.cli.connected import connected
from headless.cli.exit_codes import DONE
from headless.cli.job_file import Job, add_job_options, is_local_file, map_files, read_job
from headless.cli.status import find
from headless.errors import UsageError
from headless.keys import input_key
from headless.media.images import ImageLimits, load_image
from headless.params import parse
from headless.params.references import STORAGE
from headless.plan import Plan, make_plan, plan_json, plan_text
from headless.settings import EnvironmentOptions, ModelFolders, add_connection_options
from headless.task import Json
from headless.wiring import open_registry

_PICTURES = ("start_image", "end_image", "anchor_image")
_STAND_IN = input_key("local", "0" * 64)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        help="show what a job would run",
        description="Shows frames, size, seeds, end-frame mode, LoRAs and adjustments of a job or a queued task.",
    )
    parser.add_argument(
        "task", metavar="TASK", nargs="?", help="a task of the queue; without it, the job of --file and flags"
    )
    add_connection_options(parser, environ)
    options = EnvironmentOptions(parser, environ)
    options.value(
        "--models-dir", "HEADLESS_MODELS_DIR", "your configs/; they win over the shipped ones", metavar="DIR"
    )
    add_job_options(parser)
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the plan; a plan that is refused exits as bad use."""
    plan = _of_task(arguments, environ) if arguments.task else _of_job(arguments, read_job(arguments))
    print(json.dumps(plan_json(plan), indent=2, ensure_ascii=False) if arguments.json else plan_text(plan))
    return DONE


def _of_task(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Plan:
    with connected(arguments, environ) as (queue, _):
        view = find(queue, arguments.task)
    return _planned(arguments, view.task_type, view.params, {})


def _of_job(arguments: argparse.Namespace, job: Job) -> Plan:
    """The size of local pictures counts, so they are read; nothing is stored."""
    sizes: dict[str, tuple[int, int]] = {}
    for name in _PICTURES:
        value = job.params.get(name)
        if isinstance(value, str) and is_local_file(value):
            path = job.folder / Path(value).expanduser()
            if path.is_file():
                height, width = load_image(path, limits=ImageLimits(), field=name).shape[:2]
                sizes[name] = (width, height)
    return _planned(arguments, job.task_type, map_files(job, lambda _: f"{STORAGE}{_STAND_IN}"), sizes)


def _planned(
    arguments: argparse.Namespace, task_type: str, values: Json, sizes: dict[str, tuple[int, int]]
) -> Plan:
    params = parse(task_type, values)
    registry = open_registry(ModelFolders(Path(arguments.models_dir) if arguments.models_dir else None))
    try:
        definition = registry.definition(params.model)
    except (LookupError, ValueError) as error:
        raise UsageError(str(error)) from error
    return make_plan(params, definition, seed_source=lambda: secrets.randbits(32), image_sizes=sizes)
