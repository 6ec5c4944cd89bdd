"""A job as a user writes it: one flat JSON object, or flags; local files are put into storage."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from headless.errors import BadInput, UsageError
from headless.fingerprint import sha256_of
from headless.keys import input_key
from headless.params.aliases import ALIASES
from headless.params.generate import REFERENCES, GenerateParams
from headless.params.legal import legal_values
from headless.params.references import STORAGE, is_task_id
from headless.params.show import show
from headless.ports import Storage
from headless.task import Continued, Json, NewTask

ENVELOPE: Final = ("task_type", "priority", "dependant_on", "idempotency_key", "project_id")
_CONTENT_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
}
_PLAIN_EXTENSION: Final = re.compile(r"\.[a-z0-9]{1,10}", re.ASCII)
_FILE_FIELDS: Final = frozenset((*REFERENCES, "images")) | {
    alias for alias, fields in ALIASES.items() if set(fields) <= set(REFERENCES)
}


@dataclass(frozen=True)
class Job:
    """Parameters and what stands beside them; relative file names start at `folder`."""

    params: dict[str, Json]
    envelope: dict[str, Json]
    folder: Path

    @property
    def task_type(self) -> str:
        """`generate` unless the job names another."""
        return str(self.envelope.get("task_type", "generate"))

    @property
    def continued(self) -> Continued | None:
        """The task that it may continue: the last of `dependant_on`."""
        parents = self.envelope.get("dependant_on")
        return Continued.expected([str(parent) for parent in parents]) if isinstance(parents, list) else None

    def task(self, params: dict[str, Json]) -> NewTask:
        """The task to queue, with `params` in place of the job's own."""
        priority, parents = self.envelope.get("priority", 0), self.envelope.get("dependant_on", [])
        if isinstance(priority, bool) or not isinstance(priority, int):
            raise UsageError(f"priority is {priority!r}: give a whole number; 0 is usual, higher goes first.")
        if not isinstance(parents, list):
            raise UsageError(f"dependant_on is {parents!r}: give a list of task ids.")
        return NewTask(
            params=params,
            task_type=self.task_type,
            priority=priority,
            dependant_on=tuple(str(parent) for parent in parents),
            idempotency_key=self._text("idempotency_key"),
            project_id=self._text("project_id"),
        )

    def _text(self, name: str) -> str | None:
        value = self.envelope.get(name)
        return None if value is None else str(value)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """`--file`, and one flag per parameter."""
    parser.add_argument("--file", metavar="JOB.json", type=Path, help="the job as one flat JSON object")
    group = parser.add_argument_group("parameters (they win over --file)")
    schema = GenerateParams.model_json_schema()
    for name, info in GenerateParams.model_fields.items():
        flag, kind = f"--{name.replace('_', '-')}", _plain_type(info.annotation)
        text = _explained(name, info.description or "", schema)
        if kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            group.add_argument(flag, metavar=_metavar(name, kind), default=None, help=text)
    queueing = parser.add_argument_group("queueing (they win over --file)")
    queueing.add_argument("--priority", metavar="N", type=int, help="higher goes first (default 0)")
    queueing.add_argument(
        "--dependant-on", metavar="TASK", action="append", help="wait for this task; repeatable"
    )
    queueing.add_argument("--task-type", metavar="TYPE", help="kind of task (default generate)")
    queueing.add_argument(
        "--idempotency-key", metavar="KEY", help="the same key again queues nothing and gives the same task"
    )
    queueing.add_argument("--project-id", metavar="ID", help="the project that the task belongs to")


def read_job(arguments: argparse.Namespace) -> Job:
    """The job of `--file` and flags. `UsageError` says what cannot be read."""
    values: dict[str, Json] = {}
    folder = Path()
    if arguments.file is not None:
        values, folder = _read_file(arguments.file), arguments.file.parent
    flags = _flags(arguments)
    for name, value in flags.items():
        values[name] = _with_files(name, value, lambda field, file: str(_expanded(field, file).absolute()))
    if not values:
        raise UsageError(
            "There is no job. Give --file JOB.json, or flags such as --prompt and --start-image."
        )
    envelope: dict[str, Json] = {name: values.pop(name) for name in ENVELOPE if name in values}
    return Job(values, envelope, folder)


@dataclass(frozen=True)
class StandIns:
    """A job's parameters as they would be queued. `files`: what stands for a local file -> the file."""

    params: dict[str, Json]
    files: dict[str, Path]


def with_stand_ins(job: Job) -> StandIns:
    """The job's parameters with made-up references to its local files, so that they can be checked."""
    files: dict[str, Path] = {}

    def stand_in(path: Path) -> str:
        name = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()
        reference = f"{STORAGE}{input_key('local', name)}"
        files[reference] = path
        return reference

    return StandIns(map_files(job, stand_in), files)


def with_stored_files(job: Job, storage: Storage, owner: str) -> dict[str, Json]:
    """The job's parameters, every local file put into storage and replaced by a reference to it."""

    def store(path: Path) -> str:
        key = input_key(owner, sha256_of(path), _extension(path))
        stored = storage.put(key, path, _CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream"))
        return f"{STORAGE}{stored.key}"

    return map_files(job, store)


def map_files(job: Job, replace: Callable[[Path], str]) -> dict[str, Json]:
    """The job's parameters with every local file replaced. `BadInput` names a file that is not there."""

    def found(field: str, file: str) -> str:
        path = job.folder / _expanded(field, file)
        if not _is_file(path):
            shown = str(path)[:300]
            raise BadInput(
                f"{field}: there is no file {shown}. Give a file, an http(s) URL or storage://... ."
            )
        return replace(path)

    return {name: _with_files(name, value, found) for name, value in job.params.items()}


def _with_files(name: str, value: Json, replace: Callable[[str, str], str], within: str = "") -> Json:
    """A field's value with every name of a local file in it replaced; `replace` is told the field and it."""
    field = f"{within}{name}"
    if name == "segments" and isinstance(value, list) and not within:
        return [
            {key: _with_files(key, own, replace, f"segments[{index}].") for key, own in segment.items()}
            if isinstance(segment, dict)
            else segment
            for index, segment in enumerate(value)
        ]
    if name not in _FILE_FIELDS:
        return value
    if isinstance(value, list):
        return [
            replace(f"{field}[{index}]", item) if isinstance(item, str) and is_local_file(item) else item
            for index, item in enumerate(value)
        ]
    return replace(field, value) if isinstance(value, str) and is_local_file(value) else value


def is_local_file(reference: str) -> bool:
    """Whether a reference can only be the name of a file here."""
    inline = reference[:5].lower() == "data:"
    return "://" not in reference and not inline and not is_task_id(reference)


def _expanded(name: str, value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{name}: {show(value)} begins with the home folder of nobody here.") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _extension(path: Path) -> str:
    """The extension for the key, where it is an ordinary one: the file's content says what it is."""
    suffix = path.suffix.lower()
    return suffix if _PLAIN_EXTENSION.fullmatch(suffix) else ""


def _read_file(path: Path) -> dict[str, Json]:
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--file {path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--file {path} is not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise UsageError(
            f'--file {path} must hold one JSON object, such as {{"prompt": "...", "model": "..."}}.'
        )
    return value


def _flags(arguments: argparse.Namespace) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, info in GenerateParams.model_fields.items():
        value = getattr(arguments, name)
        if value is not None:
            found[name] = _typed(name, value, _plain_type(info.annotation))
    return found | {name: value for name in ENVELOPE if (value := getattr(arguments, name, None)) is not None}


def _explained(name: str, description: str, schema: Mapping[str, Any]) -> str:
    """The field's description and what is legal, as help text."""
    text, legal = " ".join(description.split()), legal_values(schema, (name,))
    told = name not in REFERENCES and legal not in ("", "true or false")
    return f"{text}{f' Give {legal}.' if told else ''}".replace("%", "%%")


def _typed(name: str, value: Any, kind: type) -> Json:
    flag = f"--{name.replace('_', '-')}"
    if kind in (int, float):
        try:
            return int(value) if kind is int else float(value)
        except ValueError as error:
            what = "a whole number" if kind is int else "a number"
            raise UsageError(f"{flag} {value!r} is not {what}.") from error
    if kind is object:
        try:
            return json.loads(value)  # type: ignore[no-any-return]  # JSON is what the field takes
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{flag} is not JSON ({error}).") from error
    return value  # type: ignore[no-any-return]  # a text or a switch


def _plain_type(annotation: Any) -> type:
    """bool, int, float or str of a field's annotation, and `object` where the field takes JSON."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = {_plain_type(part) for part in get_args(annotation) if part is not type(None)}
        return kinds.pop() if len(kinds) == 1 else object
    if hasattr(annotation, "__metadata__"):
        return _plain_type(annotation.__origin__)
    if annotation in (bool, int, float, str):
        return annotation  # type: ignore[no-any-return]  # one of four types
    if all(isinstance(value, str) for value in get_args(annotation)) and get_args(annotation):
        return str
    return object


def _metavar(name: str, kind: type) -> str:
    if name in REFERENCES:
        return "TASK|FILE|URL" if name in ("continue_from", "extend_from") else "FILE|URL"
    return {int: "N", float: "X", str: "TEXT"}.get(kind, "JSON")
