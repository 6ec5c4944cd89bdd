"""What a key or token says of itself. Its signature is the server's business; no part of it is ever shown."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from headless.doctor.finding import Finding, fail, ok, warn
from headless.settings import Connection

GPU_WORKER: Final = "gpu_worker"
_SOON: Final = 600.0


def check_key(connection: Connection, now: float) -> Finding:
    """The finding `keys`. `now`: seconds since 1970."""
    if connection.token is None:
        return ok("keys", "a queue in a folder needs none")
    token = connection.token.get_secret_value()
    if token.startswith("sb_secret_"):
        return ok("keys", "a secret key: acts for every user")
    if token.startswith("sb_"):
        return fail("keys", "a publishable key, which cannot claim tasks", "Give a secret key or a token.")
    claims = claims_of(token)
    role = claims.get("role")
    if role in (None, "anon"):
        return fail(
            "keys",
            "this is no token of a role that may work" if role is None else "the anon key cannot claim tasks",
            "Give a secret key, a user's access token, or a token of gpu_worker.",
        )
    return _lasting(connection, str(role), claims.get("exp"), now)


def role_of(connection: Connection) -> str:
    """Whose rights the caller has: `service_role`, `authenticated`, `gpu_worker`; `local` in a folder."""
    if connection.token is None:
        return "local"
    claims = claims_of(connection.token.get_secret_value())
    return str(claims.get("role") or "service_role")


def claims_of(token: str) -> dict[str, Any]:
    """What a token says; nothing for a text that is no token."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _lasting(connection: Connection, role: str, expires: object, now: float) -> Finding:
    what = f"a token of the role {role}"
    if not isinstance(expires, int | float):
        left = "which does not expire"
    elif expires <= now:
        return fail("keys", f"{what}, which expired {_time(now - expires)} ago", _renew(role))
    elif expires - now < _SOON:
        return warn("keys", f"{what}, which expires in {_time(expires - now)}", _renew(role))
    else:
        left = f"for another {_time(expires - now)}"
    if connection.anon_key is None and role != "service_role":
        return warn(
            "keys",
            f"{what}, {left}, and no publishable key beside it",
            "A hosted project wants one: set SUPABASE_ANON_KEY.",
        )
    return ok("keys", f"{what}, {left}")


def _renew(role: str) -> str:
    if role == "authenticated":
        return "Sign in again. For a worker that stays, make a token of gpu_worker (docs/supabase.md)."
    return "Sign a new token (docs/supabase.md)."


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
