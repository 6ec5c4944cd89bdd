"""`doctor` against a project: every kind of key, a revoked grant, a missing bucket, missing migrations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from headless.doctor.finding import Health
from headless.doctor.token import check_key, role_of
from headless.settings import Connection
from tests.cli.terminal import Said
from tests.doctor.test_local import doctor, healths
from tests.supabase import tokens
from tests.supabase.stack import Stack

ALICE = "a11ce000-0000-4000-8000-000000000001"
SERVICE = ("keys", "queue", "grants", "storage")


def ask(stack: Stack, token: str, *arguments: str) -> Said:
    said = doctor(
        "--supabase-url",
        stack.url,
        "--json",
        *arguments,
        SUPABASE_ACCESS_TOKEN=token,
        SUPABASE_ANON_KEY=stack.keys.publishable,
    )
    assert token not in said.out + said.err
    assert token.rpartition(".")[2] not in said.out + said.err
    return said


def key_of(stack: Stack, kind: str) -> str:
    keys = stack.keys
    return {
        "secret": keys.secret,
        "service": keys.legacy_service,
        "user": keys.user(ALICE),
        "worker": keys.worker(),
    }[kind]


@pytest.mark.parametrize("kind", ["secret", "service", "user", "worker"])
def test_every_kind_of_key_is_healthy(supabase_stack: Stack, kind: str) -> None:
    for _ in range(2):
        said = ask(supabase_stack, key_of(supabase_stack, kind))
        assert said.status == 0, said.out
        assert {check: healths(said)[check] for check in SERVICE} == dict.fromkeys(SERVICE, "ok")


@contextmanager
def without(stack: Stack, undo: str, redo: str) -> Iterator[None]:
    """A project in which something is amiss."""
    stack.sql(undo)
    try:
        yield
    finally:
        stack.sql(redo)


def test_a_revoked_grant_is_found(supabase_stack: Stack) -> None:
    call = "execute on function public.fail_task_v1(uuid, bigint, text, text, boolean, jsonb)"
    with without(supabase_stack, f"revoke {call} from gpu_worker", f"grant {call} to gpu_worker"):
        said = ask(supabase_stack, supabase_stack.keys.worker())
    assert said.status == 1
    assert (healths(said)["queue"], healths(said)["grants"]) == ("ok", "fail")
    assert "may not fail: " in said.out
    assert "supabase/migrations" in said.out


def test_a_bucket_that_is_not_there(supabase_stack: Stack) -> None:
    said = ask(supabase_stack, supabase_stack.keys.secret, "--supabase-bucket", "nowhere")
    assert said.status == 1
    assert healths(said)["storage"] == "fail"
    assert "--supabase-bucket" in said.out


def test_keys_that_cannot_work_are_told_before_anything_is_asked(supabase_stack: Stack) -> None:
    keys = supabase_stack.keys
    expired = tokens.sign(tokens.user_claims(ALICE, -60), keys.jwt_secret)
    for token, says in (
        (expired, "expired"),
        (keys.publishable, "publishable"),
        (keys.legacy_anon, "the anon key"),
        ("nonsense", "no token"),
    ):
        said = ask(supabase_stack, token)
        assert said.status == 1
        assert says in said.out
        assert healths(said)["queue"] == "skipped"


def test_a_key_of_another_project(supabase_stack: Stack) -> None:
    said = ask(supabase_stack, "sb_secret_" + "0123456789abcdef" * 2)
    assert said.status == 1
    assert healths(said)["queue"] == "fail"
    assert healths(said)["storage"] == "skipped"


def test_no_token_at_all(supabase_stack: Stack) -> None:
    said = doctor("--supabase-url", supabase_stack.url, "--json")
    assert said.status == 1
    assert "needs a token" in said.out


@pytest.mark.parametrize(
    ("claims", "anon", "health", "says"),
    [
        ({"role": "authenticated", "exp": 1_000}, "sb_publishable_x", Health.FAIL, "expired 2 h ago"),
        ({"role": "authenticated", "exp": 10_090}, "sb_publishable_x", Health.WARN, "expires in 90 s"),
        ({"role": "gpu_worker", "exp": 13_600}, "sb_publishable_x", Health.OK, "for another 60 min"),
        ({"role": "gpu_worker", "exp": 100_000}, None, Health.WARN, "no publishable key"),
        ({"role": "gpu_worker"}, "sb_publishable_x", Health.OK, "does not expire"),
        ({"sub": "x"}, None, Health.FAIL, "no token of a role"),
    ],
)
def test_what_tokens_say(claims: dict[str, object], anon: str | None, health: Health, says: str) -> None:
    connection = Connection(
        supabase_url="http://127.0.0.1",
        token=SecretStr(tokens.sign(claims, "x" * 32)),
        anon_key=SecretStr(anon) if anon else None,
    )
    found = check_key(connection, 10_000.0)
    assert found.health is health
    assert says in found.what
    assert role_of(connection) == claims.get("role", "service_role")


def test_a_text_with_dots_is_no_token() -> None:
    for text in ("a.b.c", "a.W10.c"):
        connection = Connection(supabase_url="http://127.0.0.1", token=SecretStr(text))
        assert check_key(connection, time.time()).health is Health.FAIL
