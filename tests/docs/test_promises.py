"""Every test that docs/promises.md names exists, and every promise names one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.scripts.tracked import REPOSITORY

PAGE = (REPOSITORY / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PROMISES = [f"P{number}" for number in range(1, 13)]


def sections(page: str) -> Iterator[tuple[str, str]]:
    """Title and text of every part that begins with `### `."""
    for part in re.split(r"^(?=##)", page, flags=re.MULTILINE):
        if part.startswith("### "):
            title, _, text = part.removeprefix("### ").partition("\n")
            yield title, text


def missing(page: str) -> list[str]:
    """Tests that are named and are not there."""
    return [
        f"{path}::{test}" for path, test in sorted(set(NAMED.findall(page))) if test not in functions_of(path)
    ]


def functions_of(path: str) -> set[str]:
    """The tests of a file; methods of classes too."""
    file = REPOSITORY / path
    if not file.is_file() or not file.name.startswith("test_"):
        return set()
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {
        node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED.findall(PAGE)) > 50
    assert missing(PAGE) == []


@pytest.mark.parametrize(
    "name",
    [
        "tests/docs/test_promises.py::test_that_is_not_there",
        "tests/docs/test_nothing.py::test_x",
        "tests/docs/test_promises.py::missing",
    ],
)
def test_a_test_that_is_not_there_would_be_found(name: str) -> None:
    assert missing(f"- `{name}`") == [name]


def test_nothing_that_looks_like_a_test_escapes_the_check() -> None:
    assert PAGE.count(".py::") == len(NAMED.findall(PAGE))


def test_every_promise_of_the_queue_is_there_once_in_order() -> None:
    numbered = [title.split()[0] for title, _ in sections(PAGE) if re.match(r"P\d", title)]
    assert numbered == PROMISES


@pytest.mark.parametrize(
    ("title", "text"),
    [part for part in sections(PAGE) if part[0] != "Not promised"],
    ids=lambda part: part[:30],
)
def test_every_promise_names_a_test(title: str, text: str) -> None:
    assert NAMED.search(text), title
