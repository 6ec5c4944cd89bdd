"""`plan`: what a job would run, without running it and without a GPU."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from headless.cli.command import Commands, add_command
from headless.cli.connected import connected
from headless.cli.exit_codes import DONE
from headless.cli.job_file import Job, add_job_options, read_job, with_stand_ins
from headless.cli.plan_inputs import Seen, seen_here, seen_in_storage
from headless.cli.status import find
from headless.errors import UsageError
from headless.inputs import is_picture_field
from headless.logs import configure
from headless.media.fit import fit_report
from headless.media.stills import write_poster
from headless.params import Parsed, parse_task
from headless.params.generate import GenerateParams
from headless.params.show import show
from headless.planning.as_json import chain_json
from headless.planning.chain import ChainPlan
from headless.planning.chain_plan import make_chain
from headless.planning.ledger import refuse_adjustments
from headless.planning.picture import chain_picture
from headless.planning.size import SHAPE_GIVERS
from headless.planning.text import chain_text
from headless.run_task import seed_of
from headless.segment import Picture
from headless.settings import EnvironmentOptions, ModelFolders, add_connection_options
from headless.task import Continued
from headless.wiring import open_registry
from wan2gp_patch.adjustment import Adjustment

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
Sizes = Mapping[str, tuple[int, int]]


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
        "  python -m headless plan --file job.json --picture plan.png\n"
        "  python -m headless plan --local queue TASK --json\n",
        usage="%(prog)s [TASK --local DIR | TASK --supabase-url URL] [--file JOB.json] [parameters]\n"
        "                           [--json] [--picture FILE]",
    )
    parser.add_argument(
        "task", metavar="TASK", nargs="?", help="a task of the queue; without it, the job of --file and flags"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.add_argument(
        "--picture",
        metavar="FILE",
        type=Path,
        help="draw the plan: a strip per segment, with every frame, latent and image in its place",
    )
    options = EnvironmentOptions(parser, environ)
    options.value(
        "--models-dir", "HEADLESS_MODELS_DIR", "your configs/; they win over the shipped ones", metavar="DIR"
    )
    add_job_options(parser)
    add_connection_options(parser, environ)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the plan, and draw it where asked; a plan that is refused exits as bad use."""
    configure(debug=False, log_format="text", stream=sys.stderr)
    if arguments.picture is not None and arguments.picture.suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"--picture is {arguments.picture}: give a file that ends with {', '.join(_SUFFIXES)}."
        )
    of_task = arguments.task is not None
    shown = _of_task(arguments, environ) if of_task else _of_job(arguments, read_job(arguments))
    chain = shown.chain
    print(
        json.dumps(chain_json(chain), indent=2, ensure_ascii=False) if arguments.json else chain_text(chain)
    )
    if arguments.picture is not None:
        write_poster(chain_picture(chain, shown.pictures), arguments.picture)
        print(f"drawn in {arguments.picture}", file=sys.stderr)
    return DONE


@dataclass(frozen=True)
class _Shown:
    """A plan, and the pictures that were read for it, small, by field."""

    chain: ChainPlan
    pictures: Mapping[str, Picture]


def _of_task(arguments: argparse.Namespace, environ: Mapping[str, str]) -> _Shown:
    with connected(arguments, environ) as (queue, storage):
        view = find(queue, arguments.task)
        parsed = parse_task(view.task_type, view.params, Continued.expected(view.dependant_on))
        seen = seen_in_storage(parsed.params.references(), storage)
    return _planned(arguments, parsed, seen, lambda: seed_of(view.id))


def _of_job(arguments: argparse.Namespace, job: Job) -> _Shown:
    """The size of local pictures counts, so they are read; nothing is stored."""
    stand_ins = with_stand_ins(job)
    parsed = parse_task(job.task_type, stand_ins.params, job.continued)
    references = parsed.params.references()
    here = {name: path for name, reference in references.items() if (path := stand_ins.files.get(reference))}
    shown = _planned(arguments, parsed, seen_here(here))
    named = {name: str(here.get(name, reference)) for name, reference in shown.chain.references.items()}
    return replace(shown, chain=replace(shown.chain, references=named))


def _planned(
    arguments: argparse.Namespace,
    parsed: Parsed,
    seen: Mapping[str, Seen],
    seed_source: Callable[[], int] = lambda: secrets.randbits(32),
) -> _Shown:
    params = parsed.params
    folder = Path(arguments.models_dir).expanduser() if arguments.models_dir else None
    registry = open_registry(ModelFolders(folder))
    try:
        definition = registry.definition(params.model)
    except (LookupError, ValueError) as error:
        raise UsageError(str(error)) from error
    sizes = {name: one.size for name, one in seen.items()}
    chain = make_chain(params, definition, seed_source=seed_source, image_sizes=sizes)
    fits = _fits(chain, sizes)
    if params.strict:
        refuse_adjustments(fits)
    _tell_ignored(parsed)
    _tell_unread(params, chain, sizes)
    chain = replace(chain, adjustments=(*parsed.adjustments, *chain.adjustments, *fits))
    return _Shown(chain, {name: one.small for name, one in seen.items() if one.small is not None})


def _fits(chain: ChainPlan, sizes: Sizes) -> tuple[Adjustment, ...]:
    """What the worker will cut off or pad of the pictures that were read."""
    plan = chain.first
    acting = [name for name in chain.references if name in sizes and is_picture_field(name)]
    reports = {name: fit_report(sizes[name], plan.width, plan.height, plan.image_fit) for name in acting}
    return tuple(entry for name, report in reports.items() if (entry := report.adjustment(name)) is not None)


def _tell_ignored(parsed: Parsed) -> None:
    names = parsed.as_json().get("ignored_fields")
    if isinstance(names, list):
        print(f"note: nothing acts on {', '.join(map(show, names))}", file=sys.stderr)


def _tell_unread(params: GenerateParams, chain: ChainPlan, sizes: Sizes) -> None:
    """Where the size will follow an input that was not read, the plan's size is a guess."""
    givers = [chain.clips[0].fields[name] for name in SHAPE_GIVERS if name in chain.clips[0].fields]
    unread = [name for name in givers if name not in sizes]
    if unread and (params.width is None or params.height is None):
        print(f"note: {unread[0]} was not read; the size will follow its shape", file=sys.stderr)
