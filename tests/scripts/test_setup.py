"""scripts/setup: what it installs, in which order, and when it has nothing to do.

A shell script stands in for Python and notes how it is called: an installation from a registry takes minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.scripts.tracked import REPOSITORY

_PYTHON = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
  -c*) exit "${OLD:-0}" ;;
  "-m venv "*) [ -z "$NO_VENV" ] || exit 1; mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m pip --version") exit 0 ;;
esac
echo "$*" >>"$CALLS"
[ -z "$OFFLINE" ] || exit 1
"""
_TOOLS = (
    "bash",
    "sh",
    "cat",
    "cp",
    "cut",
    "dirname",
    "env",
    "flock",
    "grep",
    "mkdir",
    "rm",
    "sha256sum",
    "touch",
)
_PIP = "-m pip install --quiet --disable-pip-version-check"
TORCH = f"{_PIP} -c requirements-lock.txt torch==2.13.0"
VENV = "-m venv --clear .venv"


@dataclass(frozen=True)
class Checkout:
    """A checkout of scripts and requirements, and a machine with few programs."""

    folder: Path
    tools: Path
    calls: Path

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A running scripts/setup, started from another folder."""
        known = {"PATH": str(self.tools), "PYTHON": str(self.tools / "stub"), "CALLS": str(self.calls)}
        return subprocess.Popen(
            [str(self.folder / "scripts" / "setup"), *arguments],
            cwd="/",
            env={"HOME": str(self.tools), **known, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o077,
        )

    def setup(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Exit status and output of scripts/setup."""
        run = self.command(*arguments, **environment)
        said, _ = run.communicate(timeout=60)
        return run.returncode, said

    def called(self) -> list[str]:
        """How Python was called, since this was last asked."""
        lines = self.calls.read_text(encoding="utf-8").splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder, tools = tmp_path / "a checkout", tmp_path / "tools"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(REPOSITORY / "scripts" / "setup", folder / "scripts")
    for path in REPOSITORY.glob("requirements*.txt"):
        shutil.copy(path, folder)
    tools.mkdir()
    for name in _TOOLS:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    (tools / "stub").write_text(_PYTHON, encoding="utf-8")
    (tools / "stub").chmod(0o755)
    return Checkout(folder, tools, tmp_path / "calls")


def test_torch_is_installed_before_everything_else_and_exactly(checkout: Checkout) -> None:
    status, said = checkout.setup()
    assert status == 0, said
    assert checkout.called() == [VENV, TORCH, f"{_PIP} -r requirements.txt"]
    assert "installing requirements.txt" in said


def test_the_second_time_nothing_happens(checkout: Checkout) -> None:
    checkout.setup()
    checkout.called()
    assert checkout.setup() == (0, "")
    assert checkout.called() == []


def test_what_the_tests_need_includes_what_the_worker_needs(checkout: Checkout) -> None:
    checkout.setup("--dev")
    assert checkout.called() == [VENV, TORCH, f"{_PIP} -r requirements-dev.txt"]
    assert checkout.setup() == (0, "")
    assert checkout.setup("--dev") == (0, "")
    assert checkout.called() == []


def test_what_the_worker_needs_is_not_what_the_tests_need(checkout: Checkout) -> None:
    checkout.setup()
    checkout.called()
    checkout.setup("--dev")
    assert checkout.called() == [TORCH, f"{_PIP} -r requirements-dev.txt"]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-lock.txt"])
def test_changed_requirements_are_installed(checkout: Checkout, name: str) -> None:
    checkout.setup()
    checkout.called()
    with (checkout.folder / name).open("a", encoding="utf-8") as file:
        file.write("# another\n")
    checkout.setup()
    assert checkout.called() == [TORCH, f"{_PIP} -r requirements.txt"]


def test_an_installation_that_failed_is_tried_again(checkout: Checkout) -> None:
    status, _ = checkout.setup(OFFLINE="1")
    assert status != 0
    checkout.called()
    status, _ = checkout.setup()
    assert status == 0
    assert f"{_PIP} -r requirements.txt" in checkout.called()


def test_an_environment_that_is_broken_is_made_again(checkout: Checkout) -> None:
    checkout.setup()
    checkout.called()
    (checkout.folder / ".venv" / "bin" / "python").unlink()
    status, _ = checkout.setup()
    assert status == 0
    assert checkout.called() == [VENV, TORCH, f"{_PIP} -r requirements.txt"]


def test_two_at_once_install_once(checkout: Checkout) -> None:
    runs = [checkout.command() for _ in range(2)]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert checkout.called() == [VENV, TORCH, f"{_PIP} -r requirements.txt"]


def test_an_old_python_is_refused(checkout: Checkout) -> None:
    status, said = checkout.setup(OLD="1")
    assert status == 1
    assert "Python 3.11 or newer is needed" in said
    assert not (checkout.folder / ".venv").exists()


def test_a_python_without_venv_leaves_nothing_behind(checkout: Checkout) -> None:
    status, said = checkout.setup(NO_VENV="1")
    assert status == 1
    assert "apt-get install python3-venv" in said
    assert not (checkout.folder / ".venv").exists()


def test_what_it_does_not_know_it_refuses(checkout: Checkout) -> None:
    status, said = checkout.setup("--develop")
    assert status == 2
    assert "--develop is not known" in said
    assert checkout.called() == []


def test_a_home_that_cannot_be_written_needs_no_cache(checkout: Checkout) -> None:
    stub = checkout.tools / "stub"
    stub.write_text(_PYTHON.replace('echo "$*"', 'echo "${PIP_NO_CACHE_DIR:-cached}"'), encoding="utf-8")
    checkout.setup(HOME=os.devnull + "/home")
    assert checkout.called()[-1] == "1"
    (checkout.folder / "requirements.txt").write_text("torch==2.13.0\n", encoding="utf-8")
    checkout.setup()
    assert checkout.called()[-1] == "cached"
