"""Containers of a built image: what they write is gone with them, but for the volumes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scripts.image import clean_root
from scripts.image.clean_root import CleanRoot, Place
from scripts.image.dockerfile import Image


class TrialFailed(Exception):
    """The image does not do what it should."""


@dataclass(frozen=True)
class Container:
    """Programs in the image, as its user, in its folder, with its variables and `extra` ones."""

    root: CleanRoot
    image: Image

    def command(self, argv: Sequence[str], **extra: str) -> list[str]:
        """What to start."""
        variables = self.image.environment | extra
        return self.root.command(argv, Place(self.image.user, self.image.folder, variables))

    def ends(self, *argv: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """A program that has run to its end."""
        command = self.command(argv, **extra)
        return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def answer(self, *argv: str, **extra: str) -> str:
        """What a program prints; it must succeed."""
        done = self.ends(*argv, **extra)
        if done.returncode != 0:
            raise TrialFailed(f"{' '.join(argv)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def succeeds(self, *argv: str) -> bool:
        """Whether a program ends with 0."""
        return self.ends(*argv).returncode == 0

    def headless(self, *argv: str) -> str:
        """The command line in the image."""
        return self.answer(self.image.entrypoint[0], "-m", "headless", *argv)

    def worker(self, *argv: str) -> subprocess.Popen[str]:
        """A running worker, started as a container would start it."""
        return subprocess.Popen(
            self.command([*self.image.entrypoint, *argv]),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass(frozen=True)
class Host:
    """Starts containers of one image. `folder` holds what they write; the volumes last as long as it does."""

    built: CleanRoot
    image: Image
    folder: Path

    @contextmanager
    def container(self) -> Iterator[Container]:
        """A new container, removed when the block ends."""
        layers = {name: self.folder / name for name in ("upper", "work", "merged")}
        for path in layers.values():
            path.mkdir(parents=True)
        options = f"lowerdir={self.built.path},upperdir={layers['upper']},workdir={layers['work']}"
        clean_root.mount("--types", "overlay", "--options", options, "overlay", str(layers["merged"]))
        clean_root.mount_devices(layers["merged"])
        root = CleanRoot(layers["merged"], self.built.environment)
        for volume in self.image.volumes:
            clean_root.mount("--bind", str(self._volume(volume)), str(root.inside(str(volume))))
        try:
            yield Container(root, self.image)
        finally:
            subprocess.run(["umount", "--recursive", "--lazy", str(root.path)], check=True)
            root.path.rmdir()
            for name in ("upper", "work"):
                shutil.rmtree(layers[name])

    def _volume(self, volume: PurePosixPath) -> Path:
        """Where a volume lies; a new one begins as the folder in the image, contents and owner."""
        place = self.folder / "volumes" / volume.relative_to("/")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", str(self.built.inside(str(volume))), str(place)], check=True)
        return place
