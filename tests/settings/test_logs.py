"""What a log line carries, and what it never does."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from headless.logs import Redactor, configure

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_carry_the_task_and_the_attempt() -> None:
    stream = io.StringIO()
    configure(debug=False, log_format="auto", stream=stream)
    with bound_contextvars(task="t-1", attempt=3):
        structlog.get_logger("a").info("hello", step=2)
        logging.getLogger("svi").info("[SVI2PRO] Patched %s", "x")
    structlog.get_logger("a").info("outside")
    first, second, third = _lines(stream)
    assert first["event"] == "hello"
    assert (first["task"], first["attempt"], first["step"]) == ("t-1", 3, 2)
    assert second["event"] == "[SVI2PRO] Patched x"
    assert (second["task"], second["attempt"]) == ("t-1", 3)
    assert "task" not in third


@pytest.mark.parametrize(("debug", "count"), [(True, 1), (False, 0)])
def test_debug_lines_only_with_debug(debug: bool, count: int) -> None:
    stream = io.StringIO()
    configure(debug=debug, log_format="json", stream=stream)
    logging.getLogger("svi").debug("[SVI_DEBUG] latents %s", (16, 21, 4, 4))
    assert len(_lines(stream)) == count


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    configure(debug=False, log_format="text", stream=stream)
    structlog.get_logger("a").info("hello")
    assert "hello" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_secrets_never_pass() -> None:
    stream = io.StringIO()
    configure(debug=True, log_format="json", stream=stream, secrets=[SECRET])
    log = structlog.get_logger("a")
    log.info(f"token {SECRET}", nested={"list": [SECRET, 1]}, url=f"https://x/y?token={SECRET}&a=b")
    logging.getLogger("b").warning("key %s", "sb_secret_abcdefghijklm")
    logging.getLogger("b").warning("jwt %s", "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl")
    try:
        raise ValueError(f"with {SECRET}")
    except ValueError:
        log.exception("failed")
    written = stream.getvalue()
    assert SECRET not in written
    assert "sb_secret_" not in written
    assert "eyJ" not in written
    assert written.count("***") >= 6


def test_user_text_is_never_a_format() -> None:
    stream = io.StringIO()
    configure(debug=False, log_format="json", stream=stream)
    nasty = "%s %n {0} {self.__class__} ${jndi:ldap://x}"
    structlog.get_logger("a").info("prompt", prompt=nasty)
    logging.getLogger("a").info("%s", nasty)
    first, second = _lines(stream)
    assert first["prompt"] == nasty
    assert second["event"] == nasty


def test_a_short_word_is_not_taken_for_a_secret() -> None:
    assert Redactor(["ab"]).text("about") == "about"
