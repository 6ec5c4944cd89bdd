"""From decoded frames to files: video, poster, contact sheet, latents, and the result that describes them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headless.job_listener import JobListener
from headless.media.contact_sheet import Labelled, write_contact_sheet
from headless.media.stills import write_poster
from headless.media.whole_file import remove_parts, whole_file
from headless.ports import Storage, StoredObject
from headless.segment import Picture
from headless.task import Phase

VIDEO_FILE = "video.mp4"
POSTER_FILE = "poster.webp"
CONTACT_SHEET_FILE = "contact_sheet.webp"
LATENTS_FILE = "latents.safetensors"
RESULT_FILE = "result.json"
_FILES = {
    "video": (VIDEO_FILE, "video/mp4"),
    "poster": (POSTER_FILE, "image/webp"),
    "contact_sheet": (CONTACT_SHEET_FILE, "image/webp"),
    "latents": (LATENTS_FILE, "application/octet-stream"),
}


@dataclass
class KeptFrames:
    """The few frames of a clip that are needed after it has been written: first, quarter points, last.

    `end`: the last frame that was generated, where it is cut off and not shown.
    """

    total: int
    pictures: dict[int, Picture] = field(default_factory=dict)
    end: Picture | None = None

    def offer(self, index: int, picture: Picture) -> None:
        """Keep the frame if it is one of those wanted."""
        if index in {0, self.total // 4, self.total // 2, 3 * self.total // 4, self.total - 1}:
            self.pictures[index] = picture

    @property
    def first(self) -> Picture:
        """Frame 0."""
        return self.pictures[0]

    @property
    def last(self) -> Picture:
        """The last frame."""
        return self.pictures[self.total - 1]


def write_stills(kept: KeptFrames, given: dict[str, Picture], title: str, folder: Path) -> None:
    """Poster and contact sheet into `folder`."""
    write_poster(kept.pictures[kept.total // 2], folder / POSTER_FILE)
    cells = [Labelled(f"frame {index}", picture) for index, picture in sorted(kept.pictures.items())]
    for name, picture in given.items():
        label = Labelled(name.replace("_", " "), picture, given=True)
        cells.insert(len(cells) if name == "end_image" else 0, label)
    write_contact_sheet(cells, folder / CONTACT_SHEET_FILE, title=title)


def alternative_file(segment: int, seed: int) -> str:
    """The file name of another clip for a segment."""
    return f"alternative-{segment}-{seed}.mp4"


def published_files(folder: Path) -> list[tuple[str, str, str]]:
    """What a finished task has: names, file names, and types."""
    usual = [(name, file, kind) for name, (file, kind) in _FILES.items() if (folder / file).exists()]
    others = sorted(path.name for path in folder.glob("alternative-*.mp4"))
    return [*usual, *((file.removesuffix(".mp4"), file, "video/mp4") for file in others)]


class Publisher:
    """Uploads the files of one attempt under its prefix, and copies them where the operator wants them."""

    def __init__(self, storage: Storage, prefix: str, folder: Path, listener: JobListener) -> None:
        self._storage = storage
        self._prefix = prefix
        self._folder = folder
        self._listener = listener
        self._stored: dict[str, StoredObject] = {}

    def upload(self) -> dict[str, Any]:
        """Upload every file that is there; name -> key, sha256, size. Raises `StorageUnavailable`."""
        present = published_files(self._folder)
        self._listener.on_phase(Phase.UPLOADING)
        for done, (name, file, kind) in enumerate(present, 1):
            self._stored[name] = self._storage.put(f"{self._prefix}/{file}", self._folder / file, kind)
            self._listener.on_share(done, len(present))
        return {
            name: {"key": stored.key, "sha256": stored.sha256, "bytes": stored.size}
            for name, stored in self._stored.items()
        }

    def upload_result(self, result: dict[str, Any]) -> None:
        """Upload the result as JSON beside the video."""
        path = self._folder / RESULT_FILE
        path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self._storage.put(f"{self._prefix}/{RESULT_FILE}", path, "application/json")

    def keep_copies(self, folder: Path, task_id: str, result: dict[str, Any]) -> None:
        """Leave the files in `folder` as `<task>.mp4`, `<task>.poster.webp` and so on, the result last."""
        remove_parts(folder, task_id)
        local = json.loads(json.dumps(result))
        for name, file, _ in published_files(self._folder):
            if name in local["files"]:
                suffix = Path(file).suffix
                target = f"{task_id}{suffix}" if name == "video" else f"{task_id}.{name}{suffix}"
                with whole_file(folder / target) as partial:
                    shutil.copyfile(self._folder / file, partial)
                local["files"][name]["name"] = target
        text = json.dumps(local, indent=2, ensure_ascii=False) + "\n"
        with whole_file(folder / f"{task_id}.json") as partial:
            partial.write_text(text, encoding="utf-8")
