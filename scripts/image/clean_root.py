"""A folder with a fresh Debian in it, and programs that run there.

What it mounts is in this process's own mount namespace, which scripts/try-image made: nothing stays behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.image.pip_settings import PipSettings

RELEASES = {"debian:12": "bookworm", "debian:12-slim": "bookworm"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NoSuchBaseError(Exception):
    """The base image is none that debootstrap can make."""


@dataclass(frozen=True)
class Place:
    """As whom, where and with which variables a program runs in a root."""

    user: str = "root"
    folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CleanRoot:
    """A root folder. `environment` holds for every program that runs in it."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, argv: Sequence[str], place: Place | None = None) -> list[str]:
        """The command that runs `argv` in the root, with nothing of this machine's environment."""
        place = place or Place()
        home = self.home(place.user)
        variables = {"PATH": _PATH, "HOME": home, "LANG": "C.UTF-8", **self.environment, **place.environment}
        pairs = [f"{name}={value}" for name, value in variables.items()]
        who = [] if place.user == "root" else [f"--userspec={place.user}:{place.user}"]
        enter = ["sh", "-c", 'cd "$0" && exec "$@"', place.folder, *argv]
        return ["chroot", *who, str(self.path), "env", "-i", *pairs, *enter]

    def run(self, argv: Sequence[str], place: Place | None = None) -> None:
        """Run to the end; raises when it fails."""
        subprocess.run(self.command(argv, place), check=True, stdin=subprocess.DEVNULL)

    def inside(self, path: str) -> Path:
        """Where a path of the root lies on this machine."""
        return self.path / path.lstrip("/")

    def home(self, user: str) -> str:
        """The home of a user of the root."""
        for line in self.inside("/etc/passwd").read_text("utf-8").splitlines():
            name, *_, home, _shell = line.split(":")
            if name == user:
                return home
        raise KeyError(user)

    def copy(self, source: Path, target: str, owner: str) -> None:
        """Copy a file, or what is in a folder, as COPY does; it belongs to `owner` afterwards."""
        place = self.inside(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            leave_out = shutil.ignore_patterns("__pycache__", ".git", ".venv", ".tools", "out", ".*_cache")
            shutil.copytree(source, place, dirs_exist_ok=True, ignore=leave_out)
        else:
            shutil.copy(source, place)
        self.run(["chown", "-R", f"{owner}:{owner}", target])

    def bind(self, source: Path) -> None:
        """Show a file or folder of this machine at the same place in the root, read-only."""
        place = self.inside(str(source))
        if source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        mount("--bind", str(source), str(place))
        mount("--options", "remount,bind,ro", str(place))


def make(path: Path, image: str, made_before: Path | None = None) -> CleanRoot:
    """Fill `path` with a fresh Debian, or with a copy of one that debootstrap made before."""
    if image not in RELEASES:
        raise NoSuchBaseError(f"{image} is not known. Use one of: {', '.join(RELEASES)}.")
    if made_before is None:
        release = RELEASES[image]
        command = ["debootstrap", "--variant=minbase", release, str(path), *_mirror(release)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    else:
        subprocess.run(["cp", "-a", f"{made_before}/.", str(path)], check=True)
    mount_devices(path)
    shutil.copy("/etc/resolv.conf", path / "etc" / "resolv.conf")
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return CleanRoot(path, proxies)


def with_pip(root: CleanRoot, settings: PipSettings) -> Mapping[str, str]:
    """Give the root what this machine's pip has; the variables that name it there."""
    variables = dict(settings.environment)
    for path in settings.paths:
        if path.is_dir():
            root.bind(path)
            continue
        # A mounted file could not be replaced by the package that owns its name.
        place = f"/usr/local/share/of-the-host/{path.name}"
        root.copy(path, place, "root")
        variables = {name: value.replace(str(path), place) for name, value in variables.items()}
    return variables


def _mirror(release: str) -> list[str]:
    """The mirror that this machine's apt uses, if it is one of Debian; else debootstrap's own."""
    form = "$(CODENAME) $(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    found = [line.split()[1] for line in listed.splitlines() if line.split()[0] == release]
    return found[:1]


def mount_devices(root: Path) -> None:
    """Give a root what programs expect of the kernel: /proc and /dev."""
    mount("--types", "proc", "proc", str(root / "proc"))
    mount("--rbind", "/dev", str(root / "dev"))


def mount(*arguments: str) -> None:
    """Mount in this process's own namespace."""
    subprocess.run(["mount", *arguments], check=True)
