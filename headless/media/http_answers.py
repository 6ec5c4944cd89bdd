"""What an HTTP status other than 200 means for an input: wrong, not now, or worth another try."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NoReturn

from headless.errors import BadInput, InputUnavailable

_ABSENT = frozenset({404, 410})
_REFUSED = frozenset({401, 403})
_TEMPORARY = frozenset({408, 425, 429})
_BAD_REQUEST = 400
_SERVER_ERRORS = range(500, 600)


class TransientError(Exception):
    """This attempt failed; another may not. `retry_after`: the pause in seconds that the server asks for."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def judge_status(shown: str, status: int, retry_after: str | None, body: bytes) -> NoReturn:
    """Raise what a status means. `shown` is the field and the redacted URL; `body` the answer's beginning.

    404 and 410: `BadInput`. 401 and 403: `InputUnavailable`, since signed links expire. 408, 425, 429 and
    5xx: `TransientError`. Anything else: `BadInput`. Supabase Storage answers 400 for a missing object and
    for an expired signature and puts what it means into the body.
    """
    if status == _BAD_REQUEST:
        status = _status_in_body(body)
    if status in _ABSENT:
        raise BadInput(f"{shown} does not exist (HTTP {status})")
    if status in _REFUSED:
        raise InputUnavailable(
            f"{shown} may not be read (HTTP {status}); a signed link may have expired: create a new one"
        )
    if status in _TEMPORARY or status in _SERVER_ERRORS:
        raise TransientError(f"the server answered {status}", parse_retry_after(retry_after))
    raise BadInput(f"{shown} could not be read: the server answered {status} instead of 200")


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from now of a Retry-After header (seconds or an HTTP date); `None` if absent or malformed."""
    if value is None:
        return None
    if value.isdecimal():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _status_in_body(body: bytes) -> int:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return _BAD_REQUEST
    if not isinstance(answer, dict):
        return _BAD_REQUEST
    if answer.get("error") in ("InvalidJWT", "InvalidSignature"):
        return 403
    inner = str(answer.get("statusCode", _BAD_REQUEST))
    return int(inner) if inner.isdecimal() and 400 <= int(inner[:4]) <= 599 else _BAD_REQUEST
