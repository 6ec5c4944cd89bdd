"""JSON web tokens as a Supabase project signs them, and as an attacker would forge them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping


def sign(claims: Mapping[str, object], secret: str, *, algorithm: str = "HS256") -> str:
    """A token with these claims; `algorithm` other than HS256 only changes what the header says."""
    text = f"{_encode({'alg': algorithm, 'typ': 'JWT'})}.{_encode(claims)}"
    return f"{text}.{_signature(text, secret)}"


def unsigned(claims: Mapping[str, object]) -> str:
    """A token that claims to need no signature."""
    return f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{_encode(claims)}."


def user_claims(user_id: str, seconds: float = 3600) -> dict[str, object]:
    """What a signed-in user's token says; negative seconds make it expired."""
    now = int(time.time())
    return {"role": "authenticated", "sub": user_id, "aud": "authenticated", "exp": now + int(seconds)}


def _encode(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _signature(text: str, secret: str) -> str:
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
