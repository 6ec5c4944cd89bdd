"""Resumable uploads (TUS 1.0.0) in the chunks that Supabase Storage wants.

Where an upload stands is kept in a small file beside the source, so that it goes on after a restart.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog

from headless.adapters.supabase_object_api import TRANSFER, ObjectApi, ObjectRefusal, answered
from headless.errors import StorageUnavailable

CHUNK_BYTES: Final = 6 * 1024 * 1024
_ENDPOINT: Final = "upload/resumable"
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_GONE: Final = frozenset({403, 404, 410})
_STALLS: Final = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Upload:
    """What is to be stored: a file with its size in bytes and SHA-256."""

    key: str
    source: Path
    content_type: str
    size: int
    sha256: str


@dataclass(frozen=True)
class _Position:
    """An upload that has begun: its identity on the server, and the end of the last chunk that was sent."""

    key: str
    sha256: str
    name: str
    sent: int


class ResumableUploads:
    """Sends large files. After a `StorageUnavailable` the next call goes on where the server stands."""

    def __init__(self, api: ObjectApi, http: httpx.Client) -> None:
        self._api = api
        self._http = http

    def send(self, upload: Upload) -> None:
        """Send the file to its end. Raises as `ObjectApi` does."""
        position, offset = self._resume(upload) or self._create(upload)
        stalls = 0
        while offset < upload.size:
            position = self._remember(upload, position, min(offset + CHUNK_BYTES, upload.size))
            reached = self._send_chunk(upload, position, offset)
            stalls = 0 if reached > offset else stalls + 1
            if stalls == _STALLS or reached > position.sent:
                self.forget(upload)
                raise StorageUnavailable(
                    f"storage lost count of the upload of {upload.key!r}; it starts over"
                )
            offset = reached

    def forget(self, upload: Upload) -> None:
        """Drop the note beside the source: the upload is done, or of no use."""
        _note(upload.source).unlink(missing_ok=True)

    def _create(self, upload: Upload) -> tuple[_Position, int]:
        metadata = {
            "bucketName": self._api.bucket,
            "objectName": upload.key,
            "contentType": upload.content_type,
            "cacheControl": "3600",
        }
        pairs = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
        response = self._api.send(
            upload.key,
            "POST",
            _ENDPOINT,
            headers={**_TUS, "Upload-Length": str(upload.size), "Upload-Metadata": ",".join(pairs)},
        )
        # Only the last part is used: the caller's token never follows a location to another host.
        name = urlsplit(response.headers.get("Location", "")).path.rsplit("/", 1)[-1]
        if not name:
            raise StorageUnavailable("storage began an upload without saying where")
        return self._remember(upload, _Position(upload.key, upload.sha256, name, 0), 0), 0

    def _resume(self, upload: Upload) -> tuple[_Position, int] | None:
        position = _read_note(upload)
        if position is None:
            return None
        offset = self._offset(position)
        if offset is None or offset > position.sent:
            self.forget(upload)
            return None
        return position, offset

    def _offset(self, position: _Position) -> int | None:
        """How much the server holds, or `None` when it knows nothing of this upload."""
        with answered():
            response = self._http.head(self._url(position), headers=_TUS, timeout=TRANSFER)
        if response.status_code in _GONE:
            return None
        if response.is_error:
            raise StorageUnavailable(f"storage does not answer (HTTP {response.status_code})")
        return _reported(response)

    def _send_chunk(self, upload: Upload, position: _Position, offset: int) -> int:
        """Send up to `position.sent`; how much the server holds afterwards."""
        with upload.source.open("rb") as file:
            file.seek(offset)
            chunk = file.read(position.sent - offset)
        headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        with answered():
            response = self._http.patch(self._url(position), content=chunk, headers=headers, timeout=TRANSFER)
        if response.is_success:
            return _reported(response)
        if response.status_code in _GONE and response.status_code != 403:
            self.forget(upload)
            raise StorageUnavailable(f"the upload of {upload.key!r} has expired; it starts over")
        if response.status_code == 409:
            held = self._offset(position)
            if held is not None and held != offset:
                return held
        raise ObjectRefusal.read(response).as_error(upload.key)

    def _remember(self, upload: Upload, position: _Position, sent: int) -> _Position:
        """Note what will have been sent, before it is: more than that, the server cannot rightly hold."""
        position = _Position(position.key, position.sha256, position.name, max(sent, position.sent))
        note = _note(upload.source)
        part = note.with_name(f"{note.name}.part")
        try:
            part.write_text(json.dumps(asdict(position)), encoding="utf-8")
            part.replace(note)
        except OSError as error:
            log.warning("an interrupted upload will start over", file=str(note), why=error.strerror)
        return position

    def _url(self, position: _Position) -> str:
        return f"{self._api.root}/{_ENDPOINT}/{position.name}"


def _note(source: Path) -> Path:
    return source.with_name(f"{source.name}.upload")


def _read_note(upload: Upload) -> _Position | None:
    """The note of this very file and key; an unreadable one only costs what was sent before."""
    try:
        position = _Position(**json.loads(_note(upload.source).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return position if (position.key, position.sha256) == (upload.key, upload.sha256) else None


def _reported(response: httpx.Response) -> int:
    text = response.headers.get("Upload-Offset", "")
    if not text.isdecimal():
        raise StorageUnavailable("storage did not say how much of the upload it holds")
    return int(text)
