"""Size, depth and texts are looked at before anything recursive, and quickly."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from headless.errors import BadParams
from headless.params import parse
from headless.params.bounds import MAX_DEPTH, check_bounds
from headless.params.problems import ProblemError

BASE: dict[str, Any] = {"prompt": "a cat", "model": "m"}


def nested(depth: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if kind == "object" else [value]
    return value


@pytest.mark.parametrize("kind", ["object", "list"])
def test_depth_far_beyond_the_recursion_limit_is_refused(kind: str) -> None:
    with pytest.raises(BadParams, match="nested more than 32 levels"):
        parse("generate", {**BASE, "loras": nested(10 * sys.getrecursionlimit(), kind)})


def test_the_deepest_legal_value_passes() -> None:
    check_bounds(nested(MAX_DEPTH - 1, "list"))
    with pytest.raises(ProblemError):
        check_bounds(nested(MAX_DEPTH, "list"))


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1_000_001,
        [0] * 1_000_001,
        {str(n): 0 for n in range(300_000)},
        ["x" * 600_000, "y" * 600_000],
        {"x" * 1_000_001: 1},
        [[0] * 600_000, [0] * 600_000],
    ],
    ids=["text", "list", "object", "texts", "name", "lists"],
)
def test_more_than_a_megabyte_is_refused(value: Any) -> None:
    with pytest.raises(BadParams, match="larger than 1000000 characters"):
        parse("generate", {**BASE, "segments": value})


def test_an_object_of_a_million_names_is_refused() -> None:
    with pytest.raises(ProblemError, match="larger"):
        check_bounds(dict.fromkeys(map(str, range(1_000_001))))


@pytest.mark.parametrize("place", [{"prompt": "a\0b"}, {"a\0b": 1}, {"loras": [{"name": "a\0"}]}])
def test_nul_characters_are_refused_anywhere(place: dict[str, Any]) -> None:
    with pytest.raises(BadParams, match="NUL"):
        parse("generate", {**BASE, **place})


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(BadParams, match="surrogate"):
        parse("generate", {**BASE, "prompt": "a \ud83d"})


def test_names_that_are_not_text_are_refused() -> None:
    with pytest.raises(BadParams, match="not text"):
        parse("generate", {**BASE, 3: 4})  # type: ignore[dict-item] # not JSON, which is the point


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({f"k{n}": 0 for n in range(90_000)}, "And 89995 more."),
        ({"loras": [{"name": "a"}] * 90_000}, "loras is a list of 90000: give up to 16 of"),
        ({"phase_config": {"num_phases": 1, "steps_per_phase": ["x"] * 90_000, "phases": []}}, "at most 3"),
        ({"prompt": "\u200b" * 900_000}, "prompt is a text of 900000 characters"),
    ],
    ids=["unknown", "loras", "phases", "prompt"],
)
def test_many_mistakes_cost_little(fields: dict[str, Any], message: str) -> None:
    """Each of these took seconds to minutes when every mistake was looked at in full."""
    began = time.process_time()
    with pytest.raises(BadParams, match=message):
        parse("generate", {**BASE, **fields})
    assert time.process_time() - began < 3
