"""Which headers a key or token needs, decided from its shape. Nothing here ever shows one."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Final

from headless.errors import UsageError

SERVICE_OWNER: Final = "service"

_PRINTABLE: Final = re.compile(r"[A-Za-z0-9._~+/=-]+", re.ASCII)
_WANTED: Final = (
    "give a secret key (sb_secret_... or the older service_role key), a user's access token, "
    "or a token of the role gpu_worker"
)


@dataclass(frozen=True)
class Credentials:
    """Headers of every request, and whose tasks they speak for.

    `user_id` is set for a user's access token only. `role` is the database role that acts.
    """

    api_key: str = field(repr=False)
    bearer: str | None = field(repr=False)
    role: str
    user_id: str | None = None

    @property
    def owner(self) -> str:
        """Under whose name inputs lie: `inputs/<owner>/...`."""
        return self.user_id or SERVICE_OWNER

    def headers(self) -> dict[str, str]:
        """The key goes into `apikey`; only a token is ever a bearer token."""
        return {"apikey": self.api_key, **self.authorization()}

    def authorization(self) -> dict[str, str]:
        """The bearer token, where there is one."""
        return {"Authorization": f"Bearer {self.bearer}"} if self.bearer else {}


def credentials_for(token: str, anon_key: str | None = None) -> Credentials:
    """Read a key or token. `anon_key` is the project's publishable (or anon) key, sent beside a token.

    Raises `UsageError`, without the token, for one that cannot run a worker.
    """
    token = _clean("the Supabase key or token", token)
    public = _clean("the publishable key", anon_key) if anon_key else None
    if token.startswith("sb_secret_"):
        return Credentials(api_key=token, bearer=None, role="service_role")
    if token.startswith("sb_"):
        raise UsageError(f"a publishable key cannot claim tasks: {_WANTED}")
    claims = _claims(token)
    role = claims.get("role")
    if role == "service_role":
        return Credentials(api_key=token, bearer=token, role="service_role")
    if role == "anon":
        raise UsageError(f"the anon key cannot claim tasks: {_WANTED}")
    if not isinstance(role, str):
        raise UsageError(f"the Supabase token names no role: {_WANTED}")
    return Credentials(public or token, token, role, _user_id(claims) if role == "authenticated" else None)


def _user_id(claims: dict[str, object]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise UsageError("the access token names no user; sign in and use the session's access_token")
    return subject


def _clean(what: str, value: str) -> str:
    """Also keeps line ends out of headers, whose errors would show the value."""
    value = value.strip()
    if not _PRINTABLE.fullmatch(value):
        raise UsageError(f"{what} is empty or holds characters that no key has; copy it again")
    return value


def _claims(token: str) -> dict[str, object]:
    """What a token says. Its signature is the server's business."""
    parts = token.split(".")
    if len(parts) != 3:
        raise UsageError(f"the Supabase key is neither sb_secret_... nor a token: {_WANTED}")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"the Supabase token cannot be read: {_WANTED}") from error
    if not isinstance(claims, dict):
        raise UsageError(f"the Supabase token cannot be read: {_WANTED}")
    return claims
