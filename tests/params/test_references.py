"""References to media: their shape is checked before anything is fetched."""

from __future__ import annotations

from typing import Any

import pytest

from headless.errors import BadParams, Unsafe
from headless.params import parse

BASE: dict[str, Any] = {"prompt": "a cat yawns", "model": "wan_tiny_i2v"}
TASK = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


def refused(**fields: Any) -> str:
    """The message with which the fields are refused."""
    with pytest.raises(BadParams) as caught:
        parse("generate", {**BASE, **fields})
    return caught.value.message


@pytest.mark.parametrize(
    "reference", ["storage://inputs/local/a b.png", "HTTPS://EXAMPLE.org/x", "http://1.2.3.4:80/x"]
)
def test_references_of_a_legal_shape(reference: str) -> None:
    assert parse("generate", {**BASE, "start_image": reference}).start_image == reference


@pytest.mark.parametrize("field", ["start_image", "pad_video", "continue_from"])
@pytest.mark.parametrize(
    "reference",
    [
        "file:///proc/self/environ",
        "FILE://x",
        "ftp://h/x",
        "data:image/png;base64,AAAA",
        "s3://bucket/x",
        "gopher://h/x",
        "C:\\x.png",
        "/etc/passwd",
        "~/x.png",
        "../../x.png",
        "\\\\host\\share",
        "//host/share",
        "storage://inputs/local/../x",
        "storage://inputs/local/%2e%2e/x",
        "storage://inputs//x",
        "storage:///etc/passwd",
        "storage://inputs/local",
        "storage://secrets/local/x",
        "http://user:password@example.org/x",
        "http://example.org\\@127.0.0.1/x",
    ],
)
def test_references_that_reach_too_far_are_unsafe(field: str, reference: str) -> None:
    with pytest.raises(Unsafe) as caught:
        parse("generate", {**BASE, field: reference})
    assert caught.value.message.startswith(f"{field} is ")
    assert "password" not in caught.value.message or "user name or password" in caught.value.message


def test_unsafe_wins_over_other_problems_and_comes_first() -> None:
    with pytest.raises(Unsafe) as caught:
        parse("generate", {**BASE, "fps": 0, "end_image": "file:///etc/passwd"})
    assert caught.value.message.startswith("end_image is ")
    assert "fps is 0" in caught.value.message


@pytest.mark.parametrize("reference", ["cat.png", "", "x" * 9000, "https://", "abc"])
def test_what_is_no_reference_is_a_wrong_parameter(reference: str) -> None:
    assert refused(start_image=reference).startswith("start_image is ")


def test_a_local_file_is_answered_with_the_command_that_stores_it() -> None:
    assert "python -m headless submit" in refused(start_image="cat.png")


def test_a_signed_url_does_not_leak_into_the_message() -> None:
    message = refused(start_image="ftp//h/x?token=SECRET", fps=0)
    assert "fps is 0" in message
    with pytest.raises(Unsafe) as caught:
        parse("generate", {**BASE, "start_image": "ftp://h/x?token=SECRET"})
    assert "SECRET" not in caught.value.message


def test_continue_from_takes_a_task_id_in_any_case() -> None:
    assert parse("generate", {**BASE, "continue_from": TASK.upper()}).continue_from == TASK
    assert "the id of a finished task" in refused(continue_from="task-7")
