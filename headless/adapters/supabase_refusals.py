"""What an answer of PostgREST or of the gateway in front of it means for the worker."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

import httpx

from headless.errors import BadParams, HeadlessError, QueueUnavailable, UsageError

_SHOWN: Final = 300
_BUSY_STATUSES: Final = frozenset({408, 425, 429})
_BUSY_SQLSTATE: Final = re.compile(r"(08|40|53|55|57|58)[0-9A-Z]{3}|PGRST00[0-9]")
_MISSING: Final = frozenset({"PGRST202", "PGRST205", "42883", "42P01", "3F000"})
_TOKEN_REFUSED: Final = ("PGRST301", "PGRST302", "PGRST303")


class NotInstalledError(UsageError):
    """The functions and tables of the queue are not there, or not there yet."""


@dataclass(frozen=True)
class Refusal:
    """An answer that is not a success: HTTP status, SQLSTATE or PostgREST's code, and its sentence."""

    status: int
    code: str
    message: str

    @classmethod
    def read(cls, response: httpx.Response) -> Refusal:
        """The body may be PostgREST's JSON, a gateway's JSON, or a proxy's page."""
        try:
            body = json.loads(response.read())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return cls(response.status_code, "", response.reason_phrase or "no explanation")
        message = body.get("message") or body.get("msg") or body.get("error") or "no explanation"
        return cls(response.status_code, str(body.get("code") or ""), str(message)[:_SHOWN])

    @property
    def _cut_off(self) -> bool:
        """PostgREST blames the request, without a code, when the database goes away in the middle of it."""
        return self.status == 400 and not self.code

    def as_error(self) -> HeadlessError:
        """Whose fault it is, and what to do."""
        if self.code in _MISSING:
            return NotInstalledError(
                f"the queue is not installed in this Supabase project ({self.message}); "
                "apply supabase/migrations as docs/supabase.md describes"
            )
        if self.status in _BUSY_STATUSES or _BUSY_SQLSTATE.fullmatch(self.code) or self._cut_off:
            return QueueUnavailable(f"the queue is busy (HTTP {self.status}: {self.message})")
        if (self.status == 401 and self.code != "42501") or self.code in _TOKEN_REFUSED:
            return UsageError(
                f"Supabase refused the key or token ({self.message}). A key must belong to this project; an "
                "access token expires after an hour, and needs the project's publishable key beside it "
                "(SUPABASE_ANON_KEY)"
            )
        if self.status in (401, 403):
            return UsageError(
                f"this key or token may not do that ({self.message}). Reading and queueing needs a secret "
                "key or a user's access token; a token of gpu_worker can only claim and finish tasks"
            )
        if self.status >= 500:
            return QueueUnavailable(f"the queue does not answer (HTTP {self.status}: {self.message})")
        if self.status == 404:
            return UsageError(
                f"there is no Supabase project at this URL ({self.message}); check --supabase-url"
            )
        return BadParams(self.message)


def raise_refusal(response: httpx.Response) -> None:
    """Response hook of the HTTP client: only PostgREST's successes pass."""
    if response.is_error and "/rest/v1/" in response.request.url.path:
        raise Refusal.read(response).as_error()
