"""What is read of a task, and how errors that come later speak of it."""

from __future__ import annotations

import pytest

from headless.errors import BadInput, BadParams, HeadlessError, InputUnavailable, InternalError
from headless.params import Parsed, parse
from tests.params.dialect_payloads import A

SENT = {
    "num_frames": "video_length",
    "prompt": "prompt",
    "segments[1].num_frames": "segment_frames_expanded[1]",
    "segments[1].end_image": "images[2]",
    "segments[11].end_image": "images[12]",
}


def told(error: HeadlessError, sources: dict[str, str] | None = None) -> HeadlessError:
    """The error that leaves."""
    params = parse("i2v", {"prompt": "a cat", "image_start": A})
    parsed = Parsed(params, sources=SENT if sources is None else sources)
    with pytest.raises(HeadlessError) as caught, parsed.told_as_sent():
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("message", "added"),
    [
        ("num_frames is 1001: too long.", " (num_frames was sent as video_length)"),
        (
            "segments[1]: num_frames is 1001: too long.",
            " (segments[1].num_frames was sent as segment_frames_expanded[1])",
        ),
        ("segments[1].end_image: no picture", " (segments[1].end_image was sent as images[2])"),
        ("segments[11].end_image: no picture", " (segments[11].end_image was sent as images[12])"),
        ("prompt is empty.", ""),
        ("my_num_frames is no field.", ""),
        ("video_length is num_frames.", ""),
        ("the disk is full", ""),
    ],
)
def test_an_error_adds_the_names_that_were_sent(message: str, added: str) -> None:
    assert told(BadParams(message)).message == message + added


@pytest.mark.parametrize("kind", [BadParams, BadInput, InputUnavailable])
def test_it_stays_the_error_that_it_is(kind: type[HeadlessError]) -> None:
    assert type(told(kind("num_frames is wrong."))) is kind


def test_other_errors_and_other_tasks_are_left_alone() -> None:
    defect, refusal = InternalError("num_frames"), BadParams("num_frames is wrong.")
    assert told(defect) is defect
    assert told(refusal, {}) is refusal


def test_only_a_few_names_are_added() -> None:
    sources = {f"field_{index}": f"sent_{index}" for index in range(9)}
    assert told(BadParams(" ".join(sources)), sources).message.count("was sent as") == 3
