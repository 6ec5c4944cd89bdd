"""`plan`: what a job would run, without running it and without a GPU."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from headless.cli.command import Commands, add_command
from headless.cli.connected import connected
from headless.cli.exit_codes import DONE
from headless.cli.job_file import Job, add_job_options, read_job, with_stand_ins
from headless.cli.status import find
from headless.errors import UsageError
from headless.logs import configure
from headless.media.fit import fit_report
from headless.media.images import ImageLimits, load_image
from headless.params import parse
from headless.params.generate import GenerateParams
from headless.params.references import STORAGE
from headless.plan import Plan, make_plan, plan_json, plan_text
from headless.planning.ledger import refuse_adjustments
from headless.ports import Storage
from headless.run_task import seed_of
from headless.settings import EnvironmentOptions, ModelFolders, add_connection_options
from headless.task import Continued
from headless.wiring import open_registry
from wan2gp_patch.adjustment import Adjustment

_PICTURES = ("start_image", "end_image", "anchor_image")
_LARGEST = 512_000_000
Sizes = dict[str, tuple[int, int]]


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "plan",
        "show what a job would run",
        "Shows frames, size, steps, seeds, end-frame mode, LoRAs and adjustments of a job or a queued task.\n"
        "Nothing is queued and no GPU is needed.",
        "  python -m headless plan --file job.json\n"
        "  python -m headless plan --model wan_tiny_i2v --start-image cat.png --prompt cat --num-frames 82\n"
        "  python -m headless plan --local queue TASK --json\n",
        usage="%(prog)s [TASK --local DIR | TASK --supabase-url URL] [--file JOB.json] [parameters] [--json]",
    )
    parser.add_argument(
        "task", metavar="TASK", nargs="?", help="a task of the queue; without it, the job of --file and flags"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    options = EnvironmentOptions(parser, environ)
    options.value(
        "--models-dir", "HEADLESS_MODELS_DIR", "your configs/; they win over the shipped ones", metavar="DIR"
    )
    add_job_options(parser)
    add_connection_options(parser, environ)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the plan; a plan that is refused exits as bad use."""
    configure(debug=False, log_format="text", stream=sys.stderr)
    plan = _of_task(arguments, environ) if arguments.task else _of_job(arguments, read_job(arguments))
    print(json.dumps(plan_json(plan), indent=2, ensure_ascii=False) if arguments.json else plan_text(plan))
    return DONE


def _of_task(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Plan:
    with connected(arguments, environ) as (queue, storage):
        view = find(queue, arguments.task)
        params = parse(view.task_type, view.params, Continued.expected(view.dependant_on))
        sizes = _stored_sizes(params, storage)
    return _planned(arguments, params, sizes, lambda: seed_of(view.id))


def _of_job(arguments: argparse.Namespace, job: Job) -> Plan:
    """The size of local pictures counts, so they are read; nothing is stored."""
    stand_ins = with_stand_ins(job)
    params = parse(job.task_type, stand_ins.params, job.continued)
    here = {name: path for name, ref in params.references().items() if (path := stand_ins.files.get(ref))}
    plan = _planned(arguments, params, {name: _size(name, here[name]) for name in _PICTURES if name in here})
    named = {name: str(here.get(name, reference)) for name, reference in plan.references.items()}
    return replace(plan, references=named)


def _stored_sizes(params: GenerateParams, storage: Storage) -> Sizes:
    """Sizes of the pictures that lie in storage."""
    sizes: Sizes = {}
    with tempfile.TemporaryDirectory(prefix="headless-plan-") as folder:
        for name, reference in params.references().items():
            if name in _PICTURES and reference.startswith(STORAGE):
                path = Path(folder) / name
                storage.fetch(reference.removeprefix(STORAGE), path, _LARGEST)
                sizes[name] = _size(name, path)
    return sizes


def _size(name: str, path: Path) -> tuple[int, int]:
    height, width = load_image(path, limits=ImageLimits(), field=name).shape[:2]
    return width, height


def _planned(
    arguments: argparse.Namespace,
    params: GenerateParams,
    sizes: Sizes,
    seed_source: Callable[[], int] = lambda: secrets.randbits(32),
) -> Plan:
    folder = Path(arguments.models_dir).expanduser() if arguments.models_dir else None
    registry = open_registry(ModelFolders(folder))
    try:
        definition = registry.definition(params.model)
    except (LookupError, ValueError) as error:
        raise UsageError(str(error)) from error
    plan = make_plan(params, definition, seed_source=seed_source, image_sizes=sizes)
    fits = _fits(plan, sizes)
    if params.strict:
        refuse_adjustments(fits)
    _tell_unread(params, plan, sizes)
    return replace(plan, adjustments=(*plan.adjustments, *fits))


def _fits(plan: Plan, sizes: Sizes) -> tuple[Adjustment, ...]:
    """What the worker will cut off or pad of the pictures that were read."""
    acting = [name for name in _PICTURES if name in plan.references and name in sizes]
    reports = {name: fit_report(sizes[name], plan.width, plan.height, plan.image_fit) for name in acting}
    return tuple(entry for name, report in reports.items() if (entry := report.adjustment(name)) is not None)


def _tell_unread(params: GenerateParams, plan: Plan, sizes: Sizes) -> None:
    """Where the size will follow an input that was not read, the plan's size is a guess."""
    unread = [name for name in ("continue_from", *_PICTURES) if name in plan.references and name not in sizes]
    if unread and (params.width is None or params.height is None):
        print(f"note: {unread[0]} was not read; the size will follow its shape", file=sys.stderr)
