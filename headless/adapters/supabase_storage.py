"""Objects in a private bucket of Supabase Storage: uploads never overwrite, and are read back."""

from __future__ import annotations

import errno
import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import tenacity

from headless import keys
from headless.adapters.supabase_client import SupabaseConnection
from headless.adapters.supabase_object_api import ObjectApi, Taken
from headless.adapters.supabase_resumable import CHUNK_BYTES, ResumableUploads, Upload
from headless.errors import BadInput, DiskFull, StorageUnavailable, Unsafe
from headless.ports import StoredObject

T = TypeVar("T")

BUCKET: Final = "videos"
SIGNED_SECONDS: Final = 24 * 3600
_BLOCK: Final = 1 << 20
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class SupabaseStorage:
    """`headless.ports.Storage` over Supabase Storage.

    Files up to 6 MiB go up in one request, larger ones in resumable chunks. A call that is not answered is
    repeated a few times; an upload that got through unheard is recognised by its bytes. Raises
    `StorageUnavailable`, and `LeaseLost` when storage no longer admits outputs of this attempt.
    """

    def __init__(
        self,
        connection: SupabaseConnection,
        *,
        bucket: str = BUCKET,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = ObjectApi(connection, bucket)
        self._resumable = ResumableUploads(self._api, connection.http)
        self._sent: set[str] = set()
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(StorageUnavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=4),
            stop=tenacity.stop_after_attempt(6),
            sleep=sleep,
            reraise=True,
        )

    def put(self, key: str, source: Path, content_type: str) -> StoredObject:
        """Store a file and verify it. An existing key with the same bytes is fine; other bytes: `Unsafe`."""
        keys.safe_key(key)
        sha256, size = _measured(source)
        upload = Upload(key, source, content_type, size, sha256)
        self._persist(lambda: self._put(upload))
        return StoredObject(key, sha256, size)

    def fetch(self, key: str, destination: Path, limit_bytes: int) -> StoredObject:
        """Copy an object to a local file. `BadInput` when absent or larger than `limit_bytes`."""
        keys.safe_key(key)
        return self._persist(lambda: self._fetch(key, destination, limit_bytes))

    def exists(self, key: str) -> bool:
        """Whether there is such an object, and the caller may read it."""
        keys.safe_key(key)
        return self._persist(lambda: self._api.exists(key))

    def locate(self, key: str) -> str:
        """A URL that opens the object for a day. It needs no key, so treat it like one."""
        keys.safe_key(key)
        return self._persist(lambda: self._api.sign(key, SIGNED_SECONDS))

    def _persist(self, call: Callable[[], T]) -> T:
        return self._retrying(call)

    def _put(self, upload: Upload) -> None:
        try:
            if upload.size > CHUNK_BYTES:
                self._resumable.send(upload)
            else:
                self._api.upload(upload.key, upload.source, upload.content_type)
        except Taken:
            pass
        else:
            self._sent.add(upload.key)
        self._verify(upload)
        self._resumable.forget(upload)
        self._sent.discard(upload.key)

    def _verify(self, upload: Upload) -> None:
        """Other bytes are storage's fault if ours were sent a moment ago, else somebody's object."""
        if self._read_back(upload.key) == upload.sha256:
            return
        if upload.key in self._sent:
            self._resumable.forget(upload)
            raise StorageUnavailable(f"storage gave back other bytes than were sent for {upload.key!r}")
        raise Unsafe(
            f"the object {upload.key!r} exists with other bytes, or where you may not read it; "
            "objects are never overwritten"
        )

    def _read_back(self, key: str) -> str | None:
        """SHA-256 of the stored bytes; `None` when there is nothing that the caller may read."""
        digest = hashlib.sha256()
        try:
            with self._api.download(key) as response:
                for block in response.iter_bytes(_BLOCK):
                    digest.update(block)
        except BadInput:
            return None
        return digest.hexdigest()

    def _fetch(self, key: str, destination: Path, limit_bytes: int) -> StoredObject:
        with self._api.download(key) as response:
            _refuse_above(limit_bytes, int(response.headers.get("Content-Length", 0)), key)
            with _replacing(destination) as file:
                digest, size = hashlib.sha256(), 0
                for block in response.iter_bytes(_BLOCK):
                    size += len(block)
                    _refuse_above(limit_bytes, size, key)
                    digest.update(block)
                    file.write(block)
        return StoredObject(key, digest.hexdigest(), size)


@contextmanager
def _replacing(destination: Path) -> Iterator[BinaryIO]:
    """A new file that takes its name only when all went well."""
    part = destination.with_name(f"{destination.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(destination)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in _NO_ROOM:
            raise DiskFull(f"no room is left for {destination}; free some space") from error
        raise
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _measured(source: Path) -> tuple[str, int]:
    """SHA-256 and size of a local file."""
    digest, size = hashlib.sha256(), 0
    try:
        with source.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise BadInput(f"there is no file {str(source)!r} to store") from error
    return digest.hexdigest(), size


def _refuse_above(limit_bytes: int, size: int, key: str) -> None:
    if size > limit_bytes:
        raise BadInput(f"the object {key!r} has {size} bytes or more; at most {limit_bytes} are accepted")
