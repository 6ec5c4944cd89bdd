"""Every import contract of pyproject.toml can be broken, and is broken by what it forbids."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.scripts.tracked import REPOSITORY

PACKAGES = ("headless", "wan2gp_patch", "models")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
# A contract, and a line in a module that breaks it.
BREAKS = [
    ("the patch and the models know nothing of the worker", "models/registry.py", "import headless.errors"),
    ("the patch does not know the models", "wan2gp_patch/frames.py", "import models.errors"),
    ("only the wiring names the adapters", "headless/loop.py", "import headless.adapters.sqlite_queue"),
    ("only the wiring names the engine", "headless/loop.py", "import headless.engine.wan"),
    ("only the command line and the worker know the wiring", "headless/loop.py", "import headless.wiring"),
    ("tensors stay in the engine", "headless/result.py", "import torch"),
    ("tensors stay in the engine", "headless/media/fit.py", "import wan2gp_patch.any2video"),
    ("tensors stay in the engine", "headless/wiring.py", "import safetensors.torch"),
    ("model definitions and LoRA files are read without tensors", "models/inheritance.py", "import torch"),
    (
        "parameters, planning, media and quality know no adapter, engine or wiring",
        "headless/params/bounds.py",
        "import headless.adapters.stored_values",
    ),
    (
        "parameters, planning, media and quality know no adapter, engine or wiring",
        "headless/quality/drift.py",
        "import headless.engine.preview",
    ),
    ("the local adapters know nothing of Supabase", "headless/adapters/sqlite_file.py", "import supabase"),
    (
        "the Supabase adapters know nothing of the local ones",
        "headless/adapters/supabase_rows.py",
        "import headless.adapters.sqlite_file",
    ),
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for name in PACKAGES:
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__")
        )
    return folder


def lint(checkout: Path) -> str:
    """What lint-imports says."""
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(("contract", "module", "line"), BREAKS)
def test_a_contract_is_broken_by_what_it_forbids(
    checkout: Path, contract: str, module: str, line: str
) -> None:
    path = checkout / module
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n\ndef _late() -> None:\n    {line}\n", encoding="utf-8")
    try:
        said = lint(checkout)
    finally:
        path.write_text(before, encoding="utf-8")
    assert f"{contract} BROKEN" in said, said


def test_every_contract_is_shown_to_break() -> None:
    assert {contract["name"] for contract in CONTRACTS} == {name for name, _, _ in BREAKS}


def test_every_adapter_is_in_the_contracts_of_its_family() -> None:
    shared = {"__init__", "stored_values"}
    modules = {path.stem for path in (REPOSITORY / "headless" / "adapters").glob("*.py")} - shared
    remote = {name for name in modules if name.startswith("supabase_")}
    for name, own, other in (
        ("the local adapters know nothing of Supabase", modules - remote, remote | {"supabase"}),
        ("the Supabase adapters know nothing of the local ones", remote, modules - remote | {"sqlite3"}),
    ):
        (contract,) = (c for c in CONTRACTS if c["name"] == name)
        assert _adapters(contract["source_modules"]) == own
        assert _adapters(contract["forbidden_modules"]) == other


def test_everything_but_the_engine_is_imported_without_torch() -> None:
    program = """
import importlib, pkgutil, sys
import headless, models
def names(package):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield found.name
wanted = [name for name in names(headless) if ".engine" not in name and not name.endswith("__main__")]
wanted += ["models.registry", "models.definition", "models.lora_files", "worker"]
for name in wanted:
    importlib.import_module(name)
print(len(wanted) > 50, sorted({"torch", "diffusers", "transformers", "safetensors"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True []\n"


def _adapters(modules: list[str]) -> set[str]:
    return {module.removeprefix("headless.adapters.") for module in modules}
