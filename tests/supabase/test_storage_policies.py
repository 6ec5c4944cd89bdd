"""Who may store and read which objects. PostgreSQL decides, through the policies of the migrations."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.supabase.callers import Caller
from tests.supabase.conftest import ALICE, BOB, People
from tests.supabase.stack import Stack

Put = Callable[[Caller, str], httpx.Response]


def put_at_once(caller: Caller, key: str) -> httpx.Response:
    return caller.upload(key)


def put_resumably(caller: Caller, key: str) -> httpx.Response:
    return caller.begin_upload(key)


@pytest.fixture(params=[put_at_once, put_resumably], ids=["at once", "resumable"])
def put(request: pytest.FixtureRequest) -> Put:
    """Both ways to store."""
    way: Put = request.param
    return way


def refused(answer: httpx.Response) -> bool:
    return answer.is_error and "row-level security" in answer.text


def claim_of(people: People, owner: Caller, claimer: Caller) -> dict[str, Any]:
    """A task of `owner`, held by `claimer`."""
    assert owner.insert("tasks", {"params": {}}).status_code == 201
    claim: dict[str, Any] = claimer.rpc("claim_task_v1", worker_id="w", claim_id=str(uuid.uuid4())).json()
    return claim


def test_users_store_their_own_inputs_only(people: People, put: Put) -> None:
    assert put(people.alice, f"inputs/{ALICE}/start.png").is_success
    for key in (
        f"inputs/{BOB}/start.png",
        "inputs/service/start.png",
        "inputs/start.png",
        f"{ALICE}/start.png",
        f"outputs/{ALICE}/start.png",
        f"outputs/{ALICE}/{uuid.uuid4()}/1/movie.mp4",
        f"outputs/{BOB}/{uuid.uuid4()}/1/movie.mp4",
        f"inputs/{ALICE.upper()}/start.png",
    ):
        assert refused(put(people.alice, key)), key
    assert refused(put(people.worker, f"inputs/{ALICE}/start.png"))
    assert refused(put(people.nobody, f"inputs/{ALICE}/start.png"))


def test_users_read_their_own_files_only(people: People) -> None:
    people.alice.upload(f"inputs/{ALICE}/start.png", b"a picture")
    people.service.upload(f"outputs/{ALICE}/task/1/movie.mp4", b"a movie")
    people.service.upload("other/secret.bin", b"a secret")
    for key, content in {
        f"inputs/{ALICE}/start.png": b"a picture",
        f"outputs/{ALICE}/task/1/movie.mp4": b"a movie",
    }.items():
        assert people.alice.download(key).content == content
        for other in (people.bob, people.nobody, people.worker):
            assert other.download(key).is_error
            assert other.sign(key).is_error
    assert people.alice.download("other/secret.bin").is_error
    assert len(people.alice.list_objects()) == 2
    assert people.bob.list_objects() == people.nobody.list_objects() == people.worker.list_objects() == []
    assert people.bob.list_objects(f"inputs/{ALICE}/") == []


def test_outputs_are_admitted_of_the_current_attempt_only(
    people: People, supabase_stack: Stack, put: Put
) -> None:
    first = claim_of(people, people.alice, people.worker)["output_prefix"]
    assert put(people.worker, f"{first}/poster.webp").is_success
    supabase_stack.advance(61)
    assert put(people.worker, f"{first}/late.webp").is_success
    second = people.worker.rpc("claim_task_v1", worker_id="w2", claim_id="c2").json()["output_prefix"]
    assert refused(put(people.worker, f"{first}/movie.mp4"))
    assert refused(put(people.worker, f"{second}movie.mp4"))
    assert put(people.worker, f"{second}/movie.mp4").is_success
    assert put(people.worker, f"{second}/segments/0.safetensors").is_success


def test_nothing_is_admitted_after_the_end(people: People, put: Put) -> None:
    claim = claim_of(people, people.alice, people.worker)
    own = {"task_id": claim["task_id"], "attempt": claim["attempt"]}
    key = f"{claim['output_prefix']}/movie.mp4"
    people.worker.rpc("complete_task_v1", **own, object=key, sha256="0" * 64)
    assert refused(put(people.worker, f"{claim['output_prefix']}/more.mp4"))


def test_a_users_own_worker_stores_for_the_tasks_that_it_holds(people: People, put: Put) -> None:
    mine = claim_of(people, people.alice, people.alice)["output_prefix"]
    theirs = claim_of(people, people.bob, people.worker)["output_prefix"]
    assert put(people.alice, f"{mine}/movie.mp4").is_success
    assert refused(put(people.alice, f"{theirs}/movie.mp4"))
    assert refused(put(people.bob, f"{mine}/movie.mp4"))


def test_a_worker_reads_the_files_of_those_it_works_for(people: People) -> None:
    people.alice.upload(f"inputs/{ALICE}/start.png")
    people.bob.upload(f"inputs/{BOB}/start.png")
    claim = claim_of(people, people.alice, people.worker)
    assert people.worker.list_objects() == [f"inputs/{ALICE}/start.png"]
    assert people.worker.download(f"inputs/{ALICE}/start.png").is_success
    assert people.worker.download(f"inputs/{BOB}/start.png").is_error
    people.worker.rpc("release_task_v1", task_id=claim["task_id"], attempt=1, reason="drain")
    assert people.worker.list_objects() == []


@pytest.mark.parametrize("upsert", ["true", "false"])
def test_nothing_is_overwritten(people: People, upsert: str) -> None:
    claim = claim_of(people, people.alice, people.worker)
    key = f"{claim['output_prefix']}/movie.mp4"
    assert people.worker.upload(key, b"a movie").is_success
    assert people.alice.upload(f"inputs/{ALICE}/start.png", b"a picture").is_success
    headers = {"x-upsert": upsert}
    assert people.worker.upload(key, b"another", **headers).is_error
    assert people.alice.upload(f"inputs/{ALICE}/start.png", b"another", **headers).is_error
    assert people.alice.download(key).content == b"a movie"
    assert people.alice.download(f"inputs/{ALICE}/start.png").content == b"a picture"


def segment_of(owner: str, letter: str = "a") -> str:
    return f"segments/{owner}/{letter * 64}.safetensors"


def test_a_worker_adds_segments_of_owners_it_works_for(people: People, put: Put) -> None:
    assert refused(put(people.worker, segment_of(ALICE)))
    claim = claim_of(people, people.alice, people.worker)
    assert put(people.worker, segment_of(ALICE)).is_success
    assert refused(put(people.worker, segment_of(BOB)))
    assert refused(put(people.worker, segment_of("service")))
    people.worker.rpc("release_task_v1", task_id=claim["task_id"], attempt=1, reason="drain")
    assert refused(put(people.worker, segment_of(ALICE, "b")))


def test_a_users_own_worker_adds_segments_of_that_user(people: People, put: Put) -> None:
    assert refused(put(people.alice, segment_of(ALICE)))
    claim_of(people, people.alice, people.alice)
    claim_of(people, people.bob, people.worker)
    assert put(people.alice, segment_of(ALICE)).is_success
    assert refused(put(people.alice, segment_of(BOB)))
    assert refused(put(people.nobody, segment_of(ALICE, "b")))


@pytest.mark.parametrize(
    "name",
    [
        "a.safetensors",
        f"{'a' * 63}.safetensors",
        f"{'A' * 64}.safetensors",
        f"{'a' * 64}.pt",
        f"{'a' * 64}.safetensors.bin",
        f"deeper/{'a' * 64}.safetensors",
    ],
)
def test_a_segment_is_named_by_a_hash(people: People, name: str) -> None:
    claim_of(people, people.alice, people.worker)
    assert refused(people.worker.upload(f"segments/{ALICE}/{name}"))


def test_segments_are_read_by_their_user_and_by_workers_of_that_user(people: People) -> None:
    mine, theirs = segment_of(ALICE), segment_of(BOB)
    people.service.upload(mine, b"latents")
    people.service.upload(theirs, b"bob's latents")
    assert people.worker.list_objects("segments/") == []
    assert people.worker.download(mine).is_error
    claim_of(people, people.alice, people.worker)
    for reader in (people.alice, people.worker):
        assert reader.download(mine).content == b"latents"
        assert reader.download(theirs).is_error
        assert reader.sign(theirs).is_error
    for stranger in (people.bob, people.nobody):
        assert stranger.download(mine).is_error
        assert stranger.list_objects(f"segments/{ALICE}/") == []


def test_nobody_overwrites_a_segment(people: People) -> None:
    """The first who makes it wins; another's bytes would be another's video."""
    claim_of(people, people.alice, people.alice)
    key = segment_of(ALICE)
    assert people.worker.upload(key, b"latents").is_success
    for caller in (people.worker, people.alice):
        for upsert in ("true", "false"):
            assert caller.upload(key, b"others", **{"x-upsert": upsert}).is_error
    assert people.alice.download(key).content == b"latents"


def test_a_checkpoint_names_a_segment_of_the_tasks_own_owner(people: People) -> None:
    claim = claim_of(people, people.alice, people.worker)
    call = {"task_id": claim["task_id"], "attempt": claim["attempt"], "index": 0, "input_hash": "h"}
    told = people.worker.rpc("checkpoint_segment_v1", **call, object=segment_of(ALICE))
    assert told.json() == "ok"
    for wrong in (
        segment_of(BOB),
        f"segments/{ALICE}/a.safetensors",
        f"inputs/{ALICE}/{'a' * 64}.safetensors",
    ):
        told = people.worker.rpc("checkpoint_segment_v1", **call, object=wrong)
        assert told.is_error, wrong
        assert "must lie under outputs/" in told.text


def test_a_signed_url_opens_one_object(people: People, supabase_stack: Stack) -> None:
    people.alice.upload(f"inputs/{ALICE}/start.png", b"a picture")
    people.bob.upload(f"inputs/{BOB}/start.png", b"bob's")
    signed = people.alice.sign(f"inputs/{ALICE}/start.png").json()["signedURL"]
    root = f"{supabase_stack.url}/storage/v1"
    assert httpx.get(f"{root}{signed}").content == b"a picture"
    assert httpx.get(f"{root}{signed.replace(ALICE, BOB)}").is_error
    assert httpx.get(f"{root}{signed.split('?')[0]}").is_error


def test_the_bucket_is_private_and_has_no_policy_that_changes_objects(supabase_stack: Stack) -> None:
    assert supabase_stack.sql("select id, public from storage.buckets") == [("videos", False)]
    commands = supabase_stack.sql(
        "select distinct cmd from pg_policies where schemaname = 'storage' order by 1"
    )
    assert commands == [("INSERT",), ("SELECT",)]


def test_a_bucket_that_was_made_public_is_closed_again(supabase_stack: Stack) -> None:
    cluster = supabase_stack.cluster
    with cluster.another_database() as database, cluster.connect(database) as connection:
        connection.execute("update storage.buckets set public = true")
        cluster.migrate(database)
        assert connection.execute("select public from storage.buckets").fetchall() == [(False,)]
