"""A root that is only a folder: files are really copied, programs are noted instead of run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.image import dockerfile
from scripts.image.build import build
from scripts.image.clean_root import CleanRoot, Place
from tests.scripts.tracked import REPOSITORY

IMAGE = dockerfile.read((REPOSITORY / "Dockerfile").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class FolderRoot(CleanRoot):
    """Notes who ran what."""

    ran: list[tuple[str, str]] = field(default_factory=list)

    def run(self, argv: Sequence[str], place: Place | None = None) -> None:
        """Note it."""
        self.ran.append(((place or Place()).user, argv[-1]))


def built(path: Path) -> FolderRoot:
    """The image's files in a folder."""
    root = FolderRoot(path)
    build(root, IMAGE, REPOSITORY, {})
    return root
