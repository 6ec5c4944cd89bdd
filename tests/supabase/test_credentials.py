"""Which headers a key needs, and what a refused one is answered. No message ever shows a key."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Callable

import httpx
import pytest

from headless.adapters.supabase_client import SupabaseConnection, connect
from headless.adapters.supabase_queue import SupabaseQueue
from headless.errors import BadParams, HeadlessError, QueueUnavailable, UsageError
from headless.task import Capability, NewTask
from tests.supabase import tokens
from tests.supabase.conftest import ALICE
from tests.supabase.stack import Keys, Stack

KEYS = Keys.make()
URL = "http://127.0.0.1:9"


def no_sleep(_: float) -> None:
    """Retries need not wait here."""


class Recorder:
    """Keeps the last request and gives one answer."""

    def __init__(self, status: int = 200, body: object = None) -> None:
        self.status = status
        self.body = body
        self.calls = 0
        self.headers: httpx.Headers = httpx.Headers()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        self.headers = request.headers
        if isinstance(self.body, str):
            return httpx.Response(self.status, text=self.body)
        return httpx.Response(self.status, content=json.dumps(self.body))

    def connection(self, token: str, anon_key: str | None = None) -> SupabaseConnection:
        return connect(URL, token, anon_key=anon_key, transport=httpx.MockTransport(self))

    def queue(self, token: str = KEYS.secret) -> SupabaseQueue:
        return SupabaseQueue(self.connection(token), sleep=no_sleep)


def test_a_secret_key_is_never_a_bearer_token() -> None:
    recorder = Recorder()
    connection = recorder.connection(KEYS.secret)
    SupabaseQueue(connection).claim("w", "c", Capability())
    assert recorder.headers["apikey"] == KEYS.secret
    assert "authorization" not in recorder.headers
    connection.http.get(f"{URL}/storage/v1/object/videos/x")
    assert "authorization" not in recorder.headers
    assert connection.owner == "service"


def test_an_older_service_key_is_key_and_token() -> None:
    recorder = Recorder()
    connection = recorder.connection(KEYS.legacy_service)
    SupabaseQueue(connection).claim("w", "c", Capability())
    assert recorder.headers["apikey"] == KEYS.legacy_service
    assert recorder.headers["authorization"] == f"Bearer {KEYS.legacy_service}"
    assert connection.owner == "service"


@pytest.mark.parametrize("anon_key", [KEYS.publishable, KEYS.legacy_anon], ids=["new", "older"])
def test_an_access_token_goes_beside_the_public_key(anon_key: str) -> None:
    recorder = Recorder()
    token = KEYS.user(ALICE)
    connection = recorder.connection(token, anon_key)
    SupabaseQueue(connection).claim("w", "c", Capability())
    assert recorder.headers["apikey"] == anon_key
    assert recorder.headers["authorization"] == f"Bearer {token}"
    assert connection.owner == SupabaseQueue(connection).owner == ALICE


def test_an_access_token_alone_is_its_own_key() -> None:
    recorder = Recorder()
    token = KEYS.worker()
    connection = recorder.connection(f" {token}\n")
    SupabaseQueue(connection).claim("w", "c", Capability())
    assert recorder.headers["apikey"] == token
    assert connection.owner == "service"


def _header_of(claims: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "not-a-key",
        KEYS.publishable,
        KEYS.legacy_anon,
        "a.b.c",
        "a.%%%.c",
        f"x.{_header_of([])}.y",
        f"x.{_header_of({})}.y",
        f"x.{_header_of({'role': 'authenticated'})}.y",
        "sb_secret_with\nnewline",
        "sb_secret_\N{SNOWMAN}",
    ],
    ids=range(11),
)
def test_what_cannot_run_a_worker_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(UsageError) as refused:
        connect(URL, token)
    shown = "".join(traceback.format_exception(refused.value))
    assert not token or token not in shown


def test_a_broken_public_key_is_refused() -> None:
    with pytest.raises(UsageError, match="publishable key"):
        connect(URL, KEYS.user(ALICE), anon_key="two words")


@pytest.mark.parametrize(
    "url",
    ["", "project.supabase.co", "ftp://x.y", "https://", "https://user:password@x.y", "https://x.y?apikey=1"],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="https://PROJECT"):
        connect(url, KEYS.secret)


def test_a_connection_shows_no_key() -> None:
    for token in (KEYS.secret, KEYS.user(ALICE), KEYS.legacy_service):
        connection = connect(URL, token, anon_key=KEYS.publishable)
        shown = f"{connection!r} {connection.credentials!r} {vars(SupabaseQueue(connection))!r}"
        assert token not in shown
        assert KEYS.publishable not in shown
        connection.close()


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (401, {"message": "Invalid API key"}, UsageError, "refused the key"),
        (401, {"code": "PGRST301", "message": "JWT expired"}, UsageError, "JWT expired"),
        (401, "<html>401</html>", UsageError, "refused the key"),
        (403, {"code": "42501", "message": "permission denied for table tasks"}, UsageError, "may not do"),
        (401, {"code": "42501", "message": "permission denied for table tasks"}, UsageError, "may not do"),
        (404, {"code": "PGRST202", "message": "Could not find the function"}, UsageError, "migrations"),
        (404, {"code": "42P01", "message": "relation does not exist"}, UsageError, "migrations"),
        (404, {"message": "no Route matched"}, UsageError, "--supabase-url"),
        (404, "<html>not here</html>", UsageError, "--supabase-url"),
        (400, {"code": "22P05", "message": "unsupported Unicode escape"}, BadParams, "Unicode"),
        (409, {"code": "23503", "message": "dependant_on names x"}, BadParams, "dependant_on"),
        (400, {"code": "", "message": "", "hint": None, "details": None}, QueueUnavailable, "busy"),
        (429, {"message": "slow down"}, QueueUnavailable, "busy"),
        (500, {"code": "40P01", "message": "deadlock detected"}, QueueUnavailable, "deadlock"),
        (503, {"code": "PGRST002", "message": "no schema cache"}, QueueUnavailable, "schema cache"),
        (503, "<html>503</html>", QueueUnavailable, "503"),
        (520, [1, 2], QueueUnavailable, "520"),
        (200, "<html>a captive portal</html>", QueueUnavailable, "no queue"),
        (200, [], QueueUnavailable, "no queue"),
        (200, "", QueueUnavailable, "no queue"),
    ],
)
def test_every_answer_says_whose_fault_it_is(
    status: int, body: object, error: type[HeadlessError], says: str
) -> None:
    recorder = Recorder(status, body)
    with pytest.raises(error, match=says):
        recorder.queue().claim("w", "c", Capability())
    assert recorder.calls == (6 if error is QueueUnavailable else 1)


def _no_task() -> httpx.Response:
    return httpx.Response(200, content=b"null", headers={"Content-Type": "application/json"})


def test_a_queue_that_has_answered_before_is_waited_for() -> None:
    """PostgREST knows no function for a moment while it reads a schema that was migrated."""
    answers = [httpx.Response(404, json={"code": "PGRST202"}) for _ in range(3)]
    answers = [_no_task(), *answers, _no_task()]
    connection = connect(URL, KEYS.secret, transport=httpx.MockTransport(lambda _: answers.pop(0)))
    queue = SupabaseQueue(connection, sleep=no_sleep)
    assert queue.claim("w", "first", Capability()) is None
    assert queue.claim("w", "second", Capability()) is None
    assert answers == []
    queue.close()


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("no"), httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut")]
)
def test_an_answer_that_never_comes_is_waited_for_a_few_times(failure: httpx.TransportError) -> None:
    calls: list[float] = []

    def fail(request: httpx.Request) -> httpx.Response:
        raise failure

    connection = connect(URL, KEYS.secret, transport=httpx.MockTransport(fail))
    with pytest.raises(QueueUnavailable, match=type(failure).__name__):
        SupabaseQueue(connection, sleep=calls.append).claim("w", "c", Capability())
    assert len(calls) == 5
    assert all(0 <= seconds <= 4 for seconds in calls)


def test_a_project_that_is_not_there(supabase_stack: Stack) -> None:
    with pytest.raises(QueueUnavailable):
        SupabaseQueue(connect(URL, KEYS.secret), sleep=no_sleep).queued()
    elsewhere = connect(f"{supabase_stack.url}/elsewhere", supabase_stack.keys.secret)
    with pytest.raises(UsageError, match="--supabase-url"):
        SupabaseQueue(elsewhere).queued()
    elsewhere.close()


def edited(token: str, **changes: object) -> str:
    """The token with other claims and the old signature."""
    header, claims, signature = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return f"{header}.{_header_of({**content, **changes})}.{signature}"


@pytest.mark.parametrize(
    "forge",
    [
        lambda keys: keys.user(ALICE, seconds=-60),
        lambda keys: tokens.unsigned(tokens.user_claims(ALICE)),
        lambda keys: tokens.unsigned({"role": "service_role"}),
        lambda keys: tokens.sign(tokens.user_claims(ALICE), "another secret of thirty-two letters"),
        lambda keys: tokens.sign(tokens.user_claims(ALICE), keys.jwt_secret, algorithm="HS512"),
        lambda keys: edited(keys.user(ALICE), role="service_role"),
        lambda keys: edited(keys.user(ALICE), role="gpu_worker"),
        lambda keys: edited(keys.user(ALICE), sub="b0b00000-0000-4000-8000-000000000002"),
    ],
    ids=["expired", "none", "none-service", "wrong key", "wrong algorithm", "service", "worker", "user"],
)
def test_a_forged_token_gets_nothing(supabase_stack: Stack, forge: Callable[[Keys], str]) -> None:
    keys = supabase_stack.keys
    token = forge(keys)
    connection = connect(supabase_stack.url, token, anon_key=keys.publishable)
    with pytest.raises(UsageError) as refused:
        SupabaseQueue(connection, sleep=no_sleep).claim("w", "c", Capability())
    assert token not in str(refused.value)
    answer = connection.http.get(f"{supabase_stack.url}/storage/v1/object/authenticated/videos/inputs/x")
    assert answer.json()["statusCode"] == "401"
    connection.close()


def test_a_wrong_secret_key_gets_nothing(supabase_stack: Stack) -> None:
    connection = connect(supabase_stack.url, KEYS.secret)
    with pytest.raises(UsageError, match="Invalid API key"):
        SupabaseQueue(connection).claim("w", "c", Capability())
    connection.close()


def test_a_token_without_the_public_key_is_told_so(supabase_stack: Stack) -> None:
    connection = connect(supabase_stack.url, supabase_stack.keys.user(ALICE))
    with pytest.raises(UsageError, match="SUPABASE_ANON_KEY"):
        SupabaseQueue(connection).queued()
    connection.close()


def test_an_older_service_key_still_works(supabase_stack: Stack) -> None:
    queue = SupabaseQueue(connect(supabase_stack.url, supabase_stack.keys.legacy_service))
    task = queue.enqueue(NewTask({"prompt": "a cat"}))
    claim = queue.claim("w", "c", Capability())
    assert claim is not None
    assert (claim.task_id, claim.owner) == (task, "service")
    queue.close()
