"""`replay`: the task that made a video, from what is written inside it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headless.cli.command import Commands, add_command
from headless.cli.connected import connected
from headless.cli.exit_codes import DONE
from headless.cli.job_file import Job, is_local_file, with_stand_ins, with_stored_files
from headless.cli.video_settings import read_settings
from headless.errors import BadInput, UsageError
from headless.fingerprint import sha256_of
from headless.params import parse
from headless.params.chain import SEGMENT_REFERENCES
from headless.params.generate import REFERENCES
from headless.params.references import STORAGE
from headless.params.show import show
from headless.ports import Storage
from headless.run_task import seed_of
from headless.settings import add_connection_options
from headless.task import Json
from headless.task_told import CUT

Places = dict[str, tuple[Any, Any]]
"""Field -> where its reference stands: an object or a list, and the key or index in it."""


def add(commands: Commands, environ: Mapping[str, str]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "replay",
        "make a job of a video again",
        "Prints the job that made a video, with its seed, as JSON for `submit --file`; --submit queues it at "
        "once.\nInputs are named by where they lay. Those whose address was not kept, as it had a query, are "
        "told on\nstandard error: give them with --input.",
        "  python -m headless replay out.mp4 > job.json\n"
        "  python -m headless replay out.mp4 --input start_image=cat.png --submit --local queue\n",
    )
    parser.add_argument("video", metavar="VIDEO.mp4", type=Path, help="a finished video of this program")
    parser.add_argument(
        "--input",
        metavar="FIELD=FILE",
        action="append",
        default=[],
        help="the file of an input, such as start_image=cat.png; its content must be the same; repeatable",
    )
    parser.add_argument("--submit", action="store_true", help="queue the task and print its id")
    add_connection_options(parser, environ)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the job, or queue it."""
    told = read_settings(arguments.video)
    params, places = _task(told, arguments.video.name)
    hashes = _hashes(told)
    _take_files(arguments.input, places, hashes)
    missing = list(_not_kept(params, places, hashes))
    job = Job(params, {}, Path())
    if not missing:
        parse(job.task_type, with_stand_ins(job).params)
    if not arguments.submit:
        print(json.dumps(params, indent=2, ensure_ascii=False))
        for sentence in missing:
            print(f"note: {sentence}", file=sys.stderr)
        return DONE
    if missing:
        raise BadInput(" ".join(missing))
    with connected(arguments, environ) as (queue, storage):
        _refuse_absent(places, storage, hashes)
        print(queue.enqueue(job.task(with_stored_files(job, storage, queue.owner))))
    return DONE


def _task(told: Mapping[str, Any], name: str) -> tuple[dict[str, Json], Places]:
    """The parameters of the task, and where in them references stand."""
    params = told.get("request")
    if not isinstance(params, dict):
        raise BadInput(
            f"{name} was made by a version that did not keep the task itself in it. "
            "`diff` shows the settings that it was made with."
        )
    if "seed" not in params:
        params["seed"] = seed_of(str(told.get("task")))
    places = dict(_places(params))
    for field, (holder, key) in places.items():
        if not isinstance(holder[key], str) or is_local_file(holder[key]):
            raise BadInput(
                f"{name}: {field} is {show(holder[key])}, which no task can have been given. It is not used."
            )
    return params, places


def _hashes(told: Mapping[str, Any]) -> dict[str, str]:
    """Field -> SHA-256 of the file."""
    inputs = told.get("inputs")
    return {str(name): str(known) for name, known in inputs.items()} if isinstance(inputs, dict) else {}


def _places(params: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for field in REFERENCES:
        if field in params:
            yield field, (params, field)
    images, segments = params.get("images"), params.get("segments")
    for index in range(len(images)) if isinstance(images, list) else ():
        yield f"images[{index}]", (images, index)
    for index, segment in enumerate(segments) if isinstance(segments, list) else ():
        for field in SEGMENT_REFERENCES if isinstance(segment, dict) else ():
            if field in segment:
                yield f"segments[{index}].{field}", (segment, field)


def _take_files(given: list[str], places: Places, hashes: Mapping[str, str]) -> None:
    """Put local files into their places, if they are the very ones."""
    for one in given:
        field, _, file = one.partition("=")
        if field not in places or not file:
            known = ", ".join(f"{name}=FILE" for name in places) or "none: it has no inputs"
            raise UsageError(f"--input {one} is no input of this video. Legal are {known}.")
        path = Path(file).expanduser().absolute()
        try:
            sha256 = sha256_of(path)
        except OSError as error:
            raise UsageError(f"--input {one} cannot be read ({error.strerror or error}).") from error
        if hashes.get(field, sha256) != sha256:
            raise UsageError(
                f"--input {one} is another file: its SHA-256 is {sha256}, that of the input {hashes[field]}. "
                "To make another video of it, put it into the job."
            )
        holder, key = places[field]
        holder[key] = str(path)


def _not_kept(params: Mapping[str, Json], places: Places, hashes: Mapping[str, str]) -> Iterator[str]:
    """A sentence for everything of which only a part is known."""
    for path, value in _texts("", params):
        if "://" not in value or not value.endswith(CUT) or "prompt" in path:
            continue
        if path in places:
            known = f" Its SHA-256 is {hashes[path]}." if path in hashes else ""
            yield f"{path} is only known as {value}: give its file with --input {path}=FILE.{known}"
        else:
            yield f"{path} is only known as {value}: name the file, or its whole address, in the job."


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(f"{path}[{index}]", item)


def _refuse_absent(places: Places, storage: Storage, hashes: Mapping[str, str]) -> None:
    absent = [
        f"{field} is {reference}, which is not in this storage: give its file with --input {field}=FILE. "
        f"Its SHA-256 is {hashes.get(field, 'not known')}."
        for field, (holder, key) in places.items()
        if (reference := holder[key]).startswith(STORAGE)
        and not storage.exists(reference.removeprefix(STORAGE))
    ]
    if absent:
        raise BadInput(" ".join(absent))
