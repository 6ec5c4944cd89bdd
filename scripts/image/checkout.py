"""The README's two commands in a clean root, as a normal user of a fresh machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.image.clean_root import CleanRoot, Place

USER = "tester"
FOLDER = f"/home/{USER}/a checkout"
_PACKAGES = ("ca-certificates", "python3", "python3-venv")


def prepare(root: CleanRoot, checkout: Path) -> None:
    """A machine with Python, and a checkout that belongs to a normal user."""
    _install(root, *_PACKAGES)
    root.run(["useradd", "--create-home", USER])
    root.copy(checkout, FOLDER, USER)


def run_demo(root: CleanRoot, during: Mapping[str, str]) -> None:
    """scripts/demo, twice: the second time everything is installed."""
    for time_of in ("first", "second"):
        _timed(root, ["scripts/demo"], during, f"scripts/demo, the {time_of} time")


def run_tests(root: CleanRoot, during: Mapping[str, str]) -> None:
    """scripts/test. PostgreSQL comes from Debian; Node.js, which Debian has too old, from this machine."""
    _install(root, "postgresql")
    for program in ("node", "npm"):
        if (found := shutil.which(program)) is None:
            raise FileNotFoundError(f"{program} is needed on this machine for --test")
        _lend(root, Path(found))
    _timed(root, ["scripts/test"], during, "scripts/test")


def _lend(root: CleanRoot, program: Path) -> None:
    """Show a program of this machine in the root; of a package, the whole package."""
    real = program.resolve()
    packages = [folder for folder in real.parents if folder.name == "node_modules"]
    root.bind(packages[-1] if packages else real)
    link = root.inside(f"/usr/local/bin/{program.name}")
    link.unlink(missing_ok=True)
    link.symlink_to(real)


def _install(root: CleanRoot, *packages: str) -> None:
    during = Place(environment={"DEBIAN_FRONTEND": "noninteractive"})
    root.run(["apt-get", "-qq", "update"], during)
    root.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages], during)


def _timed(root: CleanRoot, argv: list[str], during: Mapping[str, str], name: str) -> None:
    began = time.monotonic()
    root.run(argv, Place(USER, FOLDER, during))
    print(f"  {time.monotonic() - began:6.1f} s  {name}", flush=True)
