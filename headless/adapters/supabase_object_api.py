"""The calls of Supabase Storage that the worker makes, and what their refusals mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from headless.adapters.supabase_client import SupabaseConnection
from headless.errors import BadInput, HeadlessError, LeaseLost, StorageUnavailable, Unsafe, UsageError

TRANSFER: Final = httpx.Timeout(60.0, connect=5.0)
_SHOWN: Final = 300
_BUSY: Final = frozenset({408, 423, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 544})


class Taken(Exception):
    """There is an object under this key already."""


@dataclass(frozen=True)
class ObjectRefusal:
    """Why storage said no. It often answers HTTP 400 and puts the real status into the body."""

    status: int
    message: str

    @classmethod
    def read(cls, response: httpx.Response) -> ObjectRefusal:
        """The body is JSON, except for resumable uploads."""
        text = response.read().decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return cls(response.status_code, text.strip()[:_SHOWN] or response.reason_phrase)
        status = str(body.get("statusCode") or "")
        message = str(body.get("message") or body.get("error") or response.reason_phrase)
        return cls(int(status) if status.isdecimal() else response.status_code, message[:_SHOWN])

    @property
    def absent(self) -> bool:
        """Whether there is no such object, as far as the caller may know."""
        return self.status == 404 and "bucket" not in self.message.lower()

    def as_error(self, key: str) -> HeadlessError | Taken:
        """Whose fault it is, and what to do."""
        if self.status == 409:
            return Taken(key)
        if self.absent:
            return BadInput(f"there is no object {key!r} in storage")
        if "row-level security" in self.message:
            return _forbidden(key)
        if self.status in _BUSY:
            return StorageUnavailable(f"storage does not answer (HTTP {self.status}: {self.message})")
        if self.status == 413:
            return BadInput(
                f"the object {key!r} is larger than the bucket accepts ({self.message}); raise the bucket's "
                "file size limit"
            )
        if self.status == 404:
            return UsageError(
                f"storage has no such bucket ({self.message}); apply supabase/migrations as docs/supabase.md "
                "describes"
            )
        return UsageError(
            f"storage refused {key!r} (HTTP {self.status}: {self.message}); check the key or token, which "
            "may have expired"
        )


def _forbidden(key: str) -> HeadlessError:
    if key.startswith("outputs/"):
        return LeaseLost(f"storage refused {key!r}: another attempt owns the task now")
    return Unsafe(f"storage refused {key!r}: only keys under inputs/<your user id>/ may be written")


class ObjectApi:
    """One bucket over HTTP. Every call raises what `ObjectRefusal.as_error` says, `StorageUnavailable` when
    no answer comes, and `Taken` where an object would be overwritten."""

    def __init__(self, connection: SupabaseConnection, bucket: str) -> None:
        self.bucket = bucket
        self.root = f"{connection.url}/storage/v1"
        self._http = connection.http

    def exists(self, key: str) -> bool:
        """Whether the caller can see an object under this key."""
        response = self.send(key, "GET", f"object/info/{self._path(key)}", absent_is_fine=True)
        return response.is_success

    def upload(self, key: str, source: Path, content_type: str) -> None:
        """Store a small file in one request, never over another object."""
        with source.open("rb") as file:
            self.send(
                key,
                "POST",
                f"object/{self._path(key)}",
                content=file,
                headers={"Content-Type": content_type, "Cache-Control": "max-age=3600"},
            )

    @contextmanager
    def download(self, key: str) -> Iterator[httpx.Response]:
        """The object's bytes, to be read with `iter_bytes`."""
        url = f"{self.root}/object/authenticated/{self._path(key)}"
        with answered(), self._http.stream("GET", url, timeout=TRANSFER) as response:
            if response.is_error:
                raise ObjectRefusal.read(response).as_error(key)
            yield response

    def sign(self, key: str, seconds: int) -> str:
        """A URL that anyone can open for a while."""
        response = self.send(key, "POST", f"object/sign/{self._path(key)}", json={"expiresIn": seconds})
        return f"{self.root}{response.json()['signedURL']}"

    def send(
        self, key: str, method: str, path: str, *, absent_is_fine: bool = False, **request: Any
    ) -> httpx.Response:
        """One request about an object. `path` follows `/storage/v1/`."""
        with answered():
            response = self._http.request(method, f"{self.root}/{path}", timeout=TRANSFER, **request)
        if response.is_success:
            return response
        refusal = ObjectRefusal.read(response)
        if absent_is_fine and refusal.absent:
            return response
        raise refusal.as_error(key)

    def _path(self, key: str) -> str:
        return f"{quote(self.bucket, safe='')}/{quote(key)}"


@contextmanager
def answered() -> Iterator[None]:
    """An answer that never came, or broke off."""
    try:
        yield
    except httpx.HTTPError as error:
        raise StorageUnavailable(f"storage does not answer: {type(error).__name__}") from error
