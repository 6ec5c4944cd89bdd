"""Anyone who speaks to the project over HTTP, as a frontend or an attacker would: no adapter in between."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from tests.supabase.stack import Stack


class Caller:
    """Requests with one token, beside the project's publishable key."""

    def __init__(self, stack: Stack, token: str | None, *, api_key: str | None = None) -> None:
        headers = {"apikey": api_key or stack.keys.publishable}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(base_url=stack.url, headers=headers, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def rpc(self, function: str, **arguments: Any) -> httpx.Response:
        """Call an SQL function."""
        return self._http.post(f"/rest/v1/rpc/{function}", json=arguments)

    def select(self, relation: str, **filters: str) -> httpx.Response:
        """Read rows."""
        return self._http.get(f"/rest/v1/{relation}", params=filters)

    def insert(self, relation: str, row: Any, **headers: str) -> httpx.Response:
        """Add rows, and read back what was added."""
        return self._http.post(
            f"/rest/v1/{relation}", json=row, headers={"Prefer": "return=representation", **headers}
        )

    def update(self, relation: str, change: Mapping[str, Any], **filters: str) -> httpx.Response:
        """Change rows, and read back what was changed."""
        return self._http.patch(
            f"/rest/v1/{relation}",
            json=change,
            params=filters,
            headers={"Prefer": "return=representation"},
        )

    def delete(self, relation: str, **filters: str) -> httpx.Response:
        """Remove rows."""
        return self._http.delete(f"/rest/v1/{relation}", params=filters)

    def upload(self, key: str, content: bytes = b"bytes", **headers: str) -> httpx.Response:
        """Store an object."""
        return self._http.post(f"/storage/v1/object/videos/{key}", content=content, headers=headers)

    def begin_upload(self, key: str, size: int = 7_000_000) -> httpx.Response:
        """Begin a resumable upload."""
        encoded = {"bucketName": "videos", "objectName": key, "contentType": "video/mp4"}
        return self._http.post(
            "/storage/v1/upload/resumable",
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Length": str(size),
                "Upload-Metadata": ",".join(f"{name} {_base64(value)}" for name, value in encoded.items()),
            },
        )

    def download(self, key: str) -> httpx.Response:
        """Read an object."""
        return self._http.get(f"/storage/v1/object/authenticated/videos/{key}")

    def sign(self, key: str) -> httpx.Response:
        """Ask for a URL that needs no token."""
        return self._http.post(f"/storage/v1/object/sign/videos/{key}", json={"expiresIn": 60})

    def list_objects(self, prefix: str = "") -> list[str]:
        """Names of the objects that the caller may see."""
        answer = self._http.post("/storage/v1/object/list/videos", json={"prefix": prefix})
        return [entry["name"] for entry in answer.raise_for_status().json()]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
