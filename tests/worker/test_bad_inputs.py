"""What is wrong with a task is told on the task, and the worker goes on with the next one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from headless.errors import BadParams
from headless.task import Json
from tests.media.web_server import Connection, Request, WebServer
from tests.worker.place import Place

NO_TASK = "00000000-0000-4000-8000-00000000dead"
GARBAGE: dict[str, Json] = {f"field {n} \u202e\t{n * 7919}": "x" * 40 for n in range(1500)}


@dataclass(frozen=True)
class Bad:
    """A task that cannot run: what its parameters change, and what its row says afterwards."""

    changes: dict[str, Json]
    error_class: str
    says: tuple[str, ...]
    whole: bool = False
    """Whether `changes` holds the parameters themselves, under the key `params`."""
    envelope: dict[str, Any] = field(default_factory=dict)


def _whole(params: Json, *says: str) -> Bad:
    return Bad({"params": params}, "BAD_PARAMS", says, whole=True)


BAD: dict[str, Bad] = {
    "an image that the server does not have": Bad(
        {"start_image": "{server}/gone.png"}, "BAD_INPUT", ("start_image", "{server}/gone.png", "404")
    ),
    "an image that storage does not have": Bad(
        {"start_image": f"storage://inputs/local/{'0' * 64}.png"},
        "BAD_INPUT",
        ("start_image", "there is no object", "0" * 64),
    ),
    "an end image that is missing": Bad(
        {"end_image": "{server}/gone.png"}, "BAD_INPUT", ("end_image", "404")
    ),
    "a text file named .png": Bad({"start_image": "{text}"}, "BAD_INPUT", ("start_image", "JPEG", "PNG")),
    "an empty answer": Bad({"start_image": "{server}/empty.png"}, "BAD_INPUT", ("start_image", "empty")),
    "half a picture": Bad({"start_image": "{half}"}, "BAD_INPUT", ("start_image",)),
    "an unknown model": Bad({"model": "wan_tiny_i2w"}, "BAD_PARAMS", ("wan_tiny_i2w", "wan_tiny_i2v")),
    "a LoRA that does not exist": Bad(
        {"loras": [{"name": "paintng.safetensors"}]},
        "BAD_PARAMS",
        ("loras", "paintng.safetensors", "Did you mean painting.safetensors?", "--models-dir"),
    ),
    "a LoRA that is none": Bad(
        {"loras": [{"name": "text.safetensors"}]}, "BAD_PARAMS", ("loras", "text.safetensors")
    ),
    "a LoRA that climbs": Bad(
        {"loras": [{"name": "../../etc/passwd.safetensors"}]}, "UNSAFE", ("loras", "passwd")
    ),
    "a LoRA from a host that is not allowed": Bad(
        {"loras": [{"name": "https://example.org/a.safetensors"}]},
        "UNSAFE",
        ("loras", "example.org", "huggingface.co", "--lora-hosts"),
    ),
    "an unknown field": Bad(
        {"num_framez": 5}, "BAD_PARAMS", ("num_framez is not a field", "did you mean num_frames?")
    ),
    "a private address": Bad(
        {"start_image": "http://10.1.2.3/cat.png"},
        "UNSAFE",
        ("start_image", "10.1.2.3", "private", "--allow-hosts"),
    ),
    "a loopback address": Bad(
        {"start_image": "http://127.0.0.1/cat.png"}, "UNSAFE", ("start_image", "loopback")
    ),
    "a metadata service": Bad(
        {"start_image": "http://169.254.169.254/latest/meta-data"}, "UNSAFE", ("start_image", "link-local")
    ),
    "a redirect to a private address": Bad(
        {"start_image": "{server}/away"}, "UNSAFE", ("start_image", "192.168.0.1")
    ),
    "a file of the worker's machine": Bad(
        {"start_image": "/etc/passwd"}, "UNSAFE", ("start_image", "/etc/passwd", "storage://")
    ),
    "a file URL": Bad({"start_image": "file:///etc/passwd"}, "UNSAFE", ("start_image", "file")),
    "somebody else's file": Bad(
        {"start_image": f"storage://inputs/somebody/{'0' * 64}.png"},
        "UNSAFE",
        ("start_image", "somebody else", "inputs/local/"),
    ),
    "somebody else's output": Bad(
        {"continue_from": f"storage://outputs/somebody/{NO_TASK}/1/video.mp4", "start_image": None},
        "UNSAFE",
        ("continue_from", "somebody else"),
    ),
    "a value out of range": Bad({"steps": 0}, "BAD_PARAMS", ("steps is 0", "1", "100")),
    "a value of another kind": Bad({"steps": "four"}, "BAD_PARAMS", ("steps", '"four"', "1", "100")),
    "a choice that is none": Bad(
        {"end_frame_mode": "middle"},
        "BAD_PARAMS",
        ('"middle"', "in_chunk", "extra_latent", "slot", "repeat_4"),
    ),
    "two names that disagree": Bad(
        {"video_length": 9}, "BAD_PARAMS", ("num_frames is 5", "video_length is 9", "one of them")
    ),
    "a task to continue that is not there": Bad(
        {"continue_from": NO_TASK, "svi2pro": True}, "BAD_PARAMS", ("continue_from", NO_TASK)
    ),
    "one frame with an end": Bad(
        {"num_frames": 1, "end_image": "{picture}"}, "BAD_PARAMS", ("num_frames is 1", "at least 5")
    ),
    "no parameters": _whole(None, "params is null", "object"),
    "parameters as text": _whole(
        json.dumps({"prompt": "a", "model": "b"}), "params is text", "object itself"
    ),
    "parameters as a list": _whole([1, 2], "params", "a list of 2"),
    "an empty object": _whole({}, "prompt is missing", "model is missing"),
    "100 kB of garbage": _whole(GARBAGE, "is not a field"),
    "another kind of task": Bad(
        {}, "BAD_PARAMS", ('task_type is "train"', '"generate"'), envelope={"task_type": "train"}
    ),
}


@dataclass(frozen=True)
class Ran:
    """The place after the worker has seen everything."""

    place: Place
    tasks: dict[str, str]
    last: str
    replacements: dict[str, str]
    status: int


def _serve(connection: Connection, request: Request) -> None:
    match request.target:
        case "/empty.png":
            connection.answer("200 OK")
        case "/away":
            connection.answer("302 Found", Location="http://192.168.0.1/cat.png")
        case _:
            connection.answer("404 Not Found", b"not here")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Every bad task queued, a good one behind them, and one worker that meets them all."""
    place = Place(tmp_path_factory.mktemp("bad") / "place")
    loras = place.folder / "models" / "loras"
    loras.mkdir(parents=True)
    (loras / "text.safetensors").write_text("not a LoRA")
    (loras / "painting.safetensors").write_text("not a LoRA either")
    whole = place.picture()
    half = (place.local / "files" / whole.removeprefix("storage://")).read_bytes()
    with WebServer(_serve) as server:
        replacements = {
            "{server}": server.url("").rstrip("/"),
            "{text}": place.store(b"I am a picture, believe me.\n"),
            "{half}": place.store(half[: len(half) // 2]),
            "{picture}": whole,
        }
        tasks = {name: _enqueue(place, bad, replacements) for name, bad in BAD.items()}
        last = place.enqueue(place.job())
        status = place.work("--models-dir", str(place.folder / "models"), "--allow-hosts", server.host)
    return Ran(place, tasks, last, replacements, status)


def _enqueue(place: Place, bad: Bad, replacements: dict[str, str]) -> str:
    if bad.whole:
        return place.enqueue(bad.changes["params"])
    changes = {
        name: _replaced(value, replacements) if isinstance(value, str) else value
        for name, value in bad.changes.items()
    }
    return place.enqueue(place.job(**changes), **bad.envelope)


def _replaced(text: str, replacements: dict[str, str]) -> str:
    for name, value in replacements.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize("name", BAD)
def test_the_task_says_what_is_wrong(ran: Ran, name: str) -> None:
    bad, view = BAD[name], ran.place.view(ran.tasks[name])
    message = view.error_message or ""
    assert (view.status.value, view.error_class) == ("Failed", bad.error_class), message
    for words in bad.says:
        assert _replaced(words, ran.replacements) in message
    assert len(message) < 3000
    assert view.attempts == 1
    assert view.output_location is None


def test_the_worker_went_on_to_the_last_task(ran: Ran) -> None:
    assert ran.status == 0
    assert ran.place.result(ran.last)["frames"] == 5


def test_no_bad_task_left_an_output(ran: Ran) -> None:
    outputs = ran.place.local / "files" / "outputs" / "local"
    assert [path.name for path in outputs.iterdir()] == [ran.last]


def test_parameters_that_no_queue_takes_are_refused_at_once(place: Place) -> None:
    with pytest.raises(BadParams, match="at most 1000000"):
        place.enqueue({"prompt": "x" * 1_000_001})


def test_a_task_that_failed_cannot_be_continued(place: Place) -> None:
    first = place.enqueue(place.job(steps=0))
    second = place.enqueue(place.job(svi2pro=True, continue_from=first))
    assert place.work() == 0
    message = place.view(second).error_message or ""
    assert "continue_from" in message
    assert "Failed" in message


def test_a_task_without_latents_cannot_be_continued(place: Place) -> None:
    first = place.enqueue(place.job())
    assert place.work() == 0
    with place.queue() as queue, queue.file.transaction() as db:
        db.execute("UPDATE tasks SET result = '{\"files\": {}}' WHERE id = ?", (first,))
    second = place.enqueue(place.job(svi2pro=True, continue_from=first))
    assert place.work() == 0
    assert "left no latents" in (place.view(second).error_message or "")


def test_a_server_that_is_down_is_tried_again_later(place: Place) -> None:
    def overloaded(connection: Connection, request: Request) -> None:
        connection.answer("503 Service Unavailable", Retry_After="0")

    with WebServer(overloaded) as server:
        task = place.enqueue(place.job(start_image=server.url()))
        assert place.work("--allow-hosts", server.host, until="--once") == 0
        assert len(server.requests) > 1
    view = place.view(task)
    assert (view.status.value, view.error_class) == ("Queued", "INPUT_UNAVAILABLE")
    assert "start_image" in (view.error_message or "")
    assert "503" in (view.error_message or "")
    assert place.outcome(task) == "retried"


def test_an_image_over_http_is_used(place: Place) -> None:
    picture = place.local / "files" / place.picture(seed=5).removeprefix("storage://")

    def serve(connection: Connection, request: Request) -> None:
        connection.answer("200 OK", picture.read_bytes(), Content_Type="image/png")

    with WebServer(serve) as server:
        task = place.enqueue(place.job(start_image=server.url("/cat.png?token=very-secret")))
        assert place.work("--allow-hosts", server.host) == 0
    result = place.result(task)
    assert result["inputs"]["start_image"] == picture.stem
    assert "very-secret" not in json.dumps(result)
    assert b"very-secret" not in place.stored(task, "video.mp4").read_bytes()


def test_an_input_above_the_limit_is_refused(place: Place) -> None:
    task = place.enqueue(place.job(start_image=place.store(b"\x89PNG\r\n\x1a\n" + bytes(1_100_000))))
    assert place.work("--max-input-mb", "1") == 0
    message = place.view(task).error_message or ""
    assert "start_image" in message
    assert "1000000" in message
