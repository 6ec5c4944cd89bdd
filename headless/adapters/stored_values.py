"""What a queue accepts for its rows: the same rules for every adapter, so that a task moves between them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final

from headless.errors import BadParams
from headless.row_limit import MOST_BYTES, within_row
from headless.task import Json, NewTask, Report

MAX_JSON_BYTES: Final = MOST_BYTES
MAX_DEPTH: Final = 100
MAX_TEXT: Final = 10_000
MAX_NAME: Final = 200
MAX_DELAY_SECONDS: Final = 365 * 24 * 3600.0
INT32: Final = 2**31


def encode_params(params: Json) -> str:
    """JSON text of a task's parameters, characters kept. `BadParams` says what cannot be stored."""
    return _encode("params", params)


def encode_result(result: Mapping[str, Json]) -> str:
    """JSON text of a task's result, under the rules of `encode_params`."""
    return encode_object("result", result)


def encode_object(field: str, value: Mapping[str, Json]) -> str:
    """JSON text of an object, under the rules of `encode_params`; an error calls it `field`."""
    return _encode(field, dict(value))


def storable_report(report: Report) -> dict[str, Json] | None:
    """The report of an attempt, as much of it as there is room for, or why there is none: an attempt ends
    whatever is wrong with its report."""
    if report is None:
        return None
    try:
        _check_tree("report", dict(report))
        fitting = within_row(report)
        encode_object("report", fitting)
    except BadParams as error:
        return {"left_out": clean_text(error.message)}
    return fitting


def clean_text(text: str) -> str:
    """Text that any database can hold: NUL and lone surrogates replaced, cut at 10,000 characters."""
    storable = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    return storable if len(storable) <= MAX_TEXT else storable[: MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"


def check_new_task(task: NewTask) -> None:
    """Refuse a task whose own fields cannot be stored; its parameters are checked by `encode_params`."""
    check_name("task_type", task.task_type, 100)
    if task.idempotency_key is not None:
        check_name("idempotency_key", task.idempotency_key)
    if task.project_id is not None:
        check_name("project_id", task.project_id)
    for parent in task.dependant_on:
        check_name("dependant_on", parent)
    _check_priority(task.priority)
    check_delay("run_after_seconds", task.run_after_seconds)


def check_name(field: str, value: object, longest: int = MAX_NAME) -> None:
    """Refuse a value that is not a short, storable text."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise BadParams(f"{field} is {_shown(value)}; it must be a text of 1 to {longest} characters")
    _check_text(field, value)


def _check_priority(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not -INT32 <= value < INT32:
        raise BadParams(
            f"priority is {_shown(value)}; it must be a whole number from {-INT32} to {INT32 - 1}"
        )


def check_delay(field: str, value: object) -> None:
    """Refuse a delay that is not a number of seconds from 0 to a year."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_DELAY_SECONDS:
        raise BadParams(f"{field} is {_shown(value)}; it must be a number from 0 to {MAX_DELAY_SECONDS:.0f}")


def _encode(field: str, value: object) -> str:
    _check_tree(field, value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise BadParams(f"{field} cannot be written as JSON: {error}") from error
    size = len(text.encode())
    if size > MAX_JSON_BYTES:
        raise BadParams(f"{field} takes {size} bytes as JSON; at most {MAX_JSON_BYTES} are accepted")
    return text


def _check_tree(field: str, value: object) -> None:
    """Walk without recursion, so that a deep tree is refused instead of exhausting the stack."""
    waiting: list[tuple[object, int]] = [(value, 0)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise BadParams(f"{field} is nested more than {MAX_DEPTH} levels deep; flatten it")
        if seen > MAX_JSON_BYTES:
            raise BadParams(f"{field} holds more than {MAX_JSON_BYTES} values; send fewer")
        waiting.extend((child, depth + 1) for child in _children(field, node))


def _children(field: str, node: object) -> list[object]:
    if isinstance(node, list):
        return node
    if isinstance(node, dict):
        for key in node:
            if not isinstance(key, str):
                raise BadParams(f"{field} has the key {_shown(key)}; keys must be texts")
            _check_text(field, key)
        return list(node.values())
    _check_leaf(field, node)
    return []


def _check_leaf(field: str, node: object) -> None:
    if isinstance(node, str):
        _check_text(field, node)
    elif isinstance(node, float) and not math.isfinite(node):
        raise BadParams(f"{field} holds {node}; every number must be finite")
    elif node is not None and not isinstance(node, bool | int | float):
        raise BadParams(f"{field} holds a {type(node).__name__}, which JSON does not know")


def _check_text(field: str, text: str) -> None:
    if "\0" in text:
        raise BadParams(f"{field} holds a NUL character (\\u0000) in {_shown(text)}; remove it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadParams(
            f"{field} holds half a surrogate pair in {_shown(text)}: not valid Unicode"
        ) from error


def _shown(value: object) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
