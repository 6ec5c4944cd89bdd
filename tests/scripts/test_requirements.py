"""What is imported is installed, in the very version that was tested."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.scripts.tracked import REPOSITORY, python_files

OURS = {"headless", "wan2gp_patch", "models", "benchmarks", "training", "scripts", "tests", "worker"}
PRODUCT = ("worker.py", "headless", "wan2gp_patch", "models")
FIRST_TO_INSTALL = "torch==2.13.0"
# Parts of torch for a card: which ones there are depends on the build, and it pins them itself.
OF_THE_CARD = ("nvidia-", "cuda-", "triton")


def pins(file: str) -> dict[str, str]:
    """Name and version of every line; each must be exact."""
    found: dict[str, str] = {}
    for line in (REPOSITORY / file).read_text(encoding="utf-8").splitlines():
        if not line or line.startswith(("#", "-")):
            continue
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{file}: {line} is not exact"
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


RUN = pins("requirements.txt")
DEV = pins("requirements-dev.txt")
LOCK = pins("requirements-lock.txt")


def imported(*folders: str) -> set[str]:
    """Top-level names of packages that are neither ours nor Python's."""
    names = {name for path in python_files(*folders) for name in _names(ast.parse(path.read_bytes()))}
    return names - OURS - set(sys.stdlib_module_names)


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def distributions(names: Iterable[str]) -> set[str]:
    """The installed packages that provide these names."""
    provided = metadata.packages_distributions()
    missing = [name for name in names if name not in provided]
    assert missing == [], f"imported, but not installed: {missing}"
    return {canonicalize_name(provided[name][0]) for name in names}


def test_all_that_worker_and_command_line_import_is_pinned() -> None:
    assert distributions(imported(*PRODUCT)) - set(RUN) == set()


def test_all_that_tests_scripts_and_benchmarks_import_is_pinned() -> None:
    assert (
        distributions(imported("tests", "scripts", "benchmarks", "training")) - set(RUN) - set(DEV) == set()
    )


def test_the_queues_that_ours_is_compared_with_are_not_installed_with_the_worker() -> None:
    assert {"procrastinate", "pgqueuer", "psycopg", "asyncpg"} & set(RUN) == set()


def test_torch_comes_first() -> None:
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if not line.startswith(("#", "-"))]
    assert requirements[0] == FIRST_TO_INSTALL


def test_mmgp_is_there_for_machines_with_a_card() -> None:
    assert "mmgp" in RUN


def test_the_lock_agrees_with_what_is_asked_for() -> None:
    asked = {**RUN, **DEV}
    assert {name: LOCK.get(name) for name in asked} == asked


def test_the_lock_holds_all_that_these_need_in_turn() -> None:
    needed = {name for name in closure({*RUN, *DEV}) if not name.startswith(OF_THE_CARD)}
    assert needed - set(LOCK) == set()
    assert set(LOCK) - needed == set()


def test_what_is_installed_is_what_the_lock_says() -> None:
    installed = {name: metadata.version(name).partition("+")[0] for name in LOCK}
    assert installed == LOCK


def closure(names: set[str]) -> set[str]:
    """These packages and all that they need on this machine, as installed."""
    wanted = {(name, extra) for name in names for extra in _extras_asked(name)}
    done: set[tuple[str, str]] = set()
    while wanted - done:
        name, extra = (wanted - done).pop()
        done.add((name, extra))
        for line in metadata.requires(name) or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                wanted |= {(canonicalize_name(need.name), e) for e in ("", *need.extras)}
    return {name for name, _ in done}


def _extras_asked(name: str) -> set[str]:
    lines = (REPOSITORY / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    lines += (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    return {"", *(e for need in asked if canonicalize_name(need.name) == name for e in need.extras)}
