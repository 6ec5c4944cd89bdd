"""The connection to a Supabase project: supabase-py over one HTTP client whose headers fit the key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx
from supabase import Client, ClientOptions

from headless.adapters.supabase_credentials import Credentials, credentials_for
from headless.adapters.supabase_refusals import raise_refusal
from headless.errors import UsageError

_TIMEOUT: Final = httpx.Timeout(20.0, connect=5.0)
_LIMITS: Final = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=4.0)


@dataclass(frozen=True)
class SupabaseConnection:
    """One project, as one caller. `http` already sends the caller's headers."""

    url: str
    credentials: Credentials
    client: Client = field(repr=False)
    http: httpx.Client = field(repr=False)

    @property
    def owner(self) -> str:
        """Under whose name this caller's inputs lie: a user's id, or `service`."""
        return self.credentials.owner

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()


def connect(
    url: str, token: str, *, anon_key: str | None = None, transport: httpx.BaseTransport | None = None
) -> SupabaseConnection:
    """Prepare a connection; nothing is sent yet.

    `token` is a secret key, a user's access token or a worker's token, told apart by their shape; `anon_key`
    is the project's publishable key, which hosted projects want beside a token. Raises `UsageError`.
    """
    url = _checked(url)
    credentials = credentials_for(token, anon_key)
    http = httpx.Client(
        transport=transport,
        headers=credentials.headers(),
        timeout=_TIMEOUT,
        limits=_LIMITS,
        event_hooks={"request": [_keep_keys_out_of_bearer], "response": [raise_refusal]},
    )
    options = ClientOptions(
        headers=credentials.authorization(),
        auto_refresh_token=False,
        persist_session=False,
        postgrest_client_retry=False,
        httpx_client=http,
    )
    return SupabaseConnection(url, credentials, Client(url, credentials.api_key, options), http)


def _keep_keys_out_of_bearer(request: httpx.Request) -> None:
    """supabase-py repeats its key as a bearer token; a hosted project takes the new keys in `apikey` only."""
    if request.headers.get("Authorization", "").startswith("Bearer sb_"):
        del request.headers["Authorization"]


def _checked(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise UsageError(
            "the Supabase URL must look like https://PROJECT.supabase.co, with neither user name nor query"
        )
    return url.strip().rstrip("/")
