"""Who can see and do what, asked over HTTP."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.supabase.conftest import ALICE, BOB, People
from tests.supabase.stack import Stack

TABLES = ("tasks", "task_attempts", "task_segments", "task_outputs", "workers", "task_status_v1")
SHA = "ab" * 32


def queue_for(caller: Any, **fields: Any) -> str:
    """Queue a task as a frontend does, by an insert."""
    answer = caller.insert("tasks", {"params": {"prompt": "a cat"}, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()[0]["id"])


def run_to_the_end(service: Any) -> dict[str, Any]:
    """Claim, checkpoint and complete one task."""
    claim: dict[str, Any] = service.rpc(
        "claim_task_v1", worker_id="w", claim_id=str(uuid.uuid4()), capability={}
    ).json()
    own = {"task_id": claim["task_id"], "attempt": claim["attempt"]}
    prefix = claim["output_prefix"]
    checkpoint = {"index": 0, "input_hash": "h", "object": f"{prefix}/0.safetensors"}
    assert service.rpc("checkpoint_segment_v1", **own, **checkpoint).json() == "ok"
    finished = service.rpc("complete_task_v1", **own, object=f"{prefix}/movie.mp4", sha256=SHA, result={})
    assert finished.json() == "done"
    return claim


def test_a_user_sees_own_rows_and_no_others(people: People) -> None:
    task = queue_for(people.alice)
    assert people.alice.rpc("claim_task_v1", worker_id="mine", claim_id="c0").json()["task_id"] == task
    people.service.rpc("release_task_v1", task_id=task, attempt=1, reason="again")
    run_to_the_end(people.service)
    for table in TABLES:
        assert len(people.alice.select(table).json()) >= 1, table
        assert people.bob.select(table).json() == [], table
    assert {row["owner"] for row in people.alice.select("workers").json()} == {ALICE}


def test_a_user_changes_nothing_of_anyone(people: People) -> None:
    task = queue_for(people.alice)
    for caller in (people.alice, people.bob):
        assert caller.update("tasks", {"status": "Complete"}, id=f"eq.{task}").status_code == 403
        assert caller.delete("tasks", id=f"eq.{task}").status_code == 403
        for table, row in {
            "task_attempts": {"task_id": task, "attempt": 9, "worker_id": "w", "claim_id": "c"},
            "task_segments": {
                "task_id": task,
                "index": 0,
                "input_hash": "h",
                "object_key": "k",
                "attempt": 1,
            },
            "task_outputs": {"task_id": task, "attempt": 1, "object_key": "k", "sha256": SHA},
            "workers": {"owner": ALICE, "worker_id": "w"},
        }.items():
            assert caller.insert(table, row).status_code == 403, table
    assert people.service.select("tasks").json()[0]["status"] == "Queued"


@pytest.mark.parametrize(
    "forged",
    [
        {"user_id": BOB},
        {"status": "Complete"},
        {"status": "In Progress"},
        {"attempts": 99},
        {"fence": 99},
        {"priority": 11},
        {"priority": 2**31 - 1},
        {"priority": 2**31},
        {"id": "00000000-0000-4000-8000-000000000007"},
        {"owner": BOB},
        {"worker_id": "w"},
        {"claim_id": "c"},
        {"output_location": "outputs/x"},
        {"result": {}},
        {"crash_count": 5},
        {"created_at": "1970-01-01"},
        {"run_after": "1970-01-01"},
        {"lease_expires_at": "2999-01-01"},
        {"sequence": -1},
        {"waiting_for": 0},
    ],
    ids=lambda forged: "-".join(f"{name}={value}" for name, value in forged.items())[:40],
)
def test_a_user_forges_no_column(people: People, forged: dict[str, Any]) -> None:
    answer = people.alice.insert("tasks", {"params": {}, **forged})
    assert answer.status_code in (400, 403), answer.text
    assert people.service.select("tasks").json() == []


def test_a_user_may_say_what_is_true(people: People) -> None:
    queue_for(people.alice, user_id=ALICE, status="Queued", priority=10, task_type="generate")
    (row,) = people.alice.select("tasks").json()
    assert (row["user_id"], row["priority"], row["status"]) == (ALICE, 10, "Queued")


def test_a_user_enqueues_for_nobody_else(people: People) -> None:
    assert people.alice.rpc("enqueue_task_v1", params={}, user_id=BOB).status_code == 403
    assert people.alice.rpc("enqueue_task_v1", params={}, priority=11).status_code == 400
    assert people.alice.rpc("enqueue_task_v1", params={}, user_id=ALICE).status_code == 200
    assert people.service.rpc("enqueue_task_v1", params={}, user_id=BOB, priority=500).status_code == 200
    assert [row["user_id"] for row in people.bob.select("tasks").json()] == [BOB]


def test_another_users_task_is_no_dependency(people: People) -> None:
    task = queue_for(people.alice)
    refused = people.bob.insert("tasks", {"params": {}, "dependant_on": [task]})
    unknown = people.bob.insert("tasks", {"params": {}, "dependant_on": [str(uuid.uuid4())]})
    assert refused.status_code == unknown.status_code == 409
    assert refused.json()["message"].split(",")[1] == unknown.json()["message"].split(",")[1]


def test_a_user_cancels_and_copies_only_own_tasks(people: People) -> None:
    task = queue_for(people.alice)
    assert people.bob.rpc("cancel_task_v1", task_id=task).json() == "unknown"
    assert people.alice.rpc("cancel_task_v1", task_id=task).json() == "cancelled"
    assert people.bob.rpc("retry_task_v1", task_id=task).json() is None
    assert people.alice.rpc("retry_task_v1", task_id=task).json() is not None
    assert people.bob.select("tasks").json() == []


def test_a_users_own_worker_claims_only_that_users_tasks(people: People) -> None:
    queue_for(people.bob)
    assert people.alice.rpc("claim_task_v1", worker_id="w", claim_id="c1").json() is None
    mine = queue_for(people.alice)
    claim = people.alice.rpc("claim_task_v1", worker_id="w", claim_id="c2").json()
    assert (claim["task_id"], claim["owner"]) == (mine, ALICE)
    assert people.alice.rpc("claim_task_v1", worker_id="w", claim_id="c3").json() is None


def test_anothers_attempt_is_lost_to_a_users_worker(people: People) -> None:
    task = queue_for(people.bob)
    claim = people.service.rpc("claim_task_v1", worker_id="w", claim_id="c").json()
    own = {"task_id": task, "attempt": claim["attempt"]}
    key = f"{claim['output_prefix']}/movie.mp4"
    finished = {"object": key, "sha256": SHA, "result": {}}
    calls: dict[str, dict[str, Any]] = {
        "renew_lease_v1": {"progress": {}},
        "checkpoint_segment_v1": {"index": 0, "input_hash": "h", "object": key},
        "complete_task_v1": finished,
        "fail_task_v1": {"error_class": "X", "message": "m", "retry": False},
        "release_task_v1": {"reason": "r"},
    }
    for function, arguments in calls.items():
        assert people.alice.rpc(function, **own, **arguments).json() == "lost", function
    assert people.service.rpc("complete_task_v1", **own, **finished).json() == "done"
    assert people.alice.rpc("complete_task_v1", **own, **finished).json() == "lost"
    assert people.alice.rpc("claim_task_v1", worker_id="w", claim_id="c").json() is None


def test_an_expired_lease_of_another_user_is_not_taken(people: People, supabase_stack: Stack) -> None:
    queue_for(people.bob)
    people.service.rpc("claim_task_v1", worker_id="w", claim_id="c1")
    supabase_stack.advance(120)
    assert people.alice.rpc("claim_task_v1", worker_id="w", claim_id="c2").json() is None
    assert people.bob.rpc("claim_task_v1", worker_id="w", claim_id="c3").json()["attempt"] == 2


def test_a_worker_publishes_nothing_but_its_own_objects(people: People) -> None:
    task = queue_for(people.alice)
    claim = people.alice.rpc("claim_task_v1", worker_id="w", claim_id="c").json()
    own = {"task_id": task, "attempt": claim["attempt"]}
    for key in (
        f"outputs/{BOB}/{task}/1/movie.mp4",
        f"outputs/{ALICE}/{task}/2/movie.mp4",
        f"inputs/{ALICE}/movie.mp4",
        claim["output_prefix"],
    ):
        answer = people.alice.rpc("complete_task_v1", **own, object=key, sha256=SHA, result={})
        assert answer.status_code == 400
        assert "must lie under" in answer.json()["message"]
        checkpoint = {"index": 0, "input_hash": "h", "object": key}
        assert people.alice.rpc("checkpoint_segment_v1", **own, **checkpoint).status_code == 400
    assert people.alice.select("tasks").json()[0]["status"] == "In Progress"


def test_a_worker_token_runs_tasks_of_everyone(people: People) -> None:
    queue_for(people.alice)
    queue_for(people.bob)
    owners = {run_to_the_end(people.worker)["owner"] for _ in range(2)}
    assert owners == {ALICE, BOB}


def test_a_worker_token_does_nothing_else(people: People) -> None:
    task = queue_for(people.alice)
    for table in (*TABLES, "queue_depth_v1"):
        assert people.worker.select(table).status_code == 403, table
    assert people.worker.insert("tasks", {"params": {}}).status_code == 403
    assert people.worker.rpc("enqueue_task_v1", params={}).status_code == 403
    assert people.worker.rpc("cancel_task_v1", task_id=task).status_code == 403
    assert people.worker.rpc("retry_task_v1", task_id=task).status_code == 403


def test_nobody_gets_nothing(people: People) -> None:
    task = queue_for(people.alice)
    for table in (*TABLES, "queue_depth_v1"):
        assert people.nobody.select(table).status_code == 401, table
    assert people.nobody.insert("tasks", {"params": {}}).status_code == 401
    assert people.nobody.rpc("claim_task_v1", worker_id="w", claim_id="c").status_code == 401
    own = {"task_id": task, "attempt": 1}
    finished = people.nobody.rpc("complete_task_v1", **own, object="k", sha256=SHA, result={})
    assert finished.status_code == 401
    assert people.nobody.rpc("cancel_task_v1", task_id=task).status_code == 401


def test_what_is_private_is_not_served(people: People) -> None:
    for caller in (people.alice, people.worker, people.service):
        assert caller.rpc("claim", p_worker_id="w", p_claim_id="c", p_capability={}).status_code == 404
        assert caller.select("settings").status_code == 404
        assert caller.select("users").status_code == 404


def test_depth_counts_what_the_caller_may_see(people: People) -> None:
    queue_for(people.alice)
    queue_for(people.bob)
    queue_for(people.bob)
    assert people.alice.select("queue_depth_v1").json()[0]["waiting"] == 1
    assert people.service.select("queue_depth_v1").json()[0]["waiting"] == 3


def test_a_place_in_the_queue_counts_everyone(people: People) -> None:
    queue_for(people.bob)
    queue_for(people.bob, priority=3)
    task = queue_for(people.alice)
    (row,) = people.alice.select("task_status_v1", id=f"eq.{task}").json()
    assert row["queue_position"] == 3


def test_even_a_service_cannot_undo_a_final_state(people: People) -> None:
    task = queue_for(people.alice)
    run_to_the_end(people.service)
    answer = people.service.update("tasks", {"status": "Queued"}, id=f"eq.{task}")
    assert answer.status_code == 400
    assert "never changes" in answer.json()["message"]


def test_a_deleted_task_ends_what_waits_for_it_and_is_lost_to_its_worker(people: People) -> None:
    parent = queue_for(people.alice)
    child = queue_for(people.alice, dependant_on=[parent])
    people.service.rpc("claim_task_v1", worker_id="w", claim_id="c")
    assert people.service.delete("tasks", id=f"eq.{parent}").status_code == 204
    assert people.service.rpc("renew_lease_v1", task_id=parent, attempt=1, progress={}).json() == "lost"
    (row,) = people.alice.select("tasks", id=f"eq.{child}").json()
    assert (row["status"], row["error_class"]) == ("Failed", "DEPENDENCY_FAILED")
    assert "deleted" in row["error_message"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"prompt": "x" * 2_200_000}, "at most 2097152"),
        (json.loads("[" * 150 + "]" * 150), "100 levels"),
        ({"loras": [{"strength": 10**400}]}, "beyond 1e308"),
        ({"seed": -(10**4290)}, "beyond 1e308"),
        (10**400, "beyond 1e308"),
    ],
)
def test_parameters_that_no_worker_could_read_are_refused_at_the_door(
    people: People, params: object, says: str
) -> None:
    answer = people.alice.insert("tasks", {"params": params})
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    task = queue_for(people.service)
    assert people.service.update("tasks", {"params": params}, id=f"eq.{task}").status_code == 400


def test_the_largest_numbers_are_handed_out(people: People) -> None:
    people.alice.insert("tasks", {"params": [10**308, -(10**308), 1e-300]})
    claim = people.worker.rpc("claim_task_v1", worker_id="w", claim_id="c").json()
    assert claim["params"] == [10**308, -(10**308), 1e-300]


@pytest.mark.parametrize("params", [None, [], "{}", 7, True])
def test_parameters_that_a_worker_refuses_are_queued_and_handed_out(people: People, params: object) -> None:
    people.alice.insert("tasks", {"params": params})
    claim = people.worker.rpc("claim_task_v1", worker_id="w", claim_id="c").json()
    assert claim["params"] == params
