"""Which object keys are safe."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless import keys
from headless.errors import Unsafe

SHA = "0123456789abcdef" * 4
TASK = "4f0f1f3a-8e9e-4d0d-9c4c-6f0a8f3f2b11"


def test_keys_say_whose_and_what() -> None:
    assert keys.input_key("local", SHA, ".png") == f"inputs/local/{SHA}.png"
    assert keys.input_key("local", SHA) == f"inputs/local/{SHA}"
    assert keys.segment_key("local", SHA) == f"segments/local/{SHA}.safetensors"
    assert keys.output_prefix("local", TASK, 3) == f"outputs/local/{TASK}/3"
    assert keys.output_key("local", TASK, 3, "movie.mp4") == f"outputs/local/{TASK}/3/movie.mp4"


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "photo (1).png",
        "inputs/user@example.org/x",
        "_x/y-z",
        "a..b",
        "x.tar.gz",
        "console",
        "com",
        "0",
    ],
)
def test_harmless_keys_pass_unchanged(key: str) -> None:
    assert keys.safe_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a/./b",
        ".hidden",
        "...",
        "a\\b",
        "..\\..\\x",
        "C:\\x",
        "C:/x",
        "//host/share",
        "%2e%2e%2f",
        "a/%252e",
        "\u2024\u2024/x",
        "\uff0e\uff0e/x",
        "é",
        "a\u202eb",
        "a\0b",
        "a\nb",
        "a\n",
        "\x7f",
        "a b ",
        " a",
        "a.",
        "a,",
        "CON",
        "con.txt",
        "x/NUL",
        "Lpt1.a.b",
        "com0",
        "a*b",
        "a?b",
        "a|b",
        "a<b>",
        'a"b',
        "a#b",
        "x" * 201,
        "/".join(["x" * 100] * 10),
        "\udcff",
    ],
)
def test_everything_else_is_unsafe(key: str) -> None:
    with pytest.raises(Unsafe):
        keys.safe_key(key)


@pytest.mark.parametrize("value", [None, 5, b"a", ["a"]])
def test_what_is_no_text_is_unsafe(value: Any) -> None:
    with pytest.raises(Unsafe):
        keys.safe_key(value)
    with pytest.raises(Unsafe):
        keys.safe_segment(value)


@pytest.mark.parametrize("sha256", ["", "abc", SHA.upper(), SHA + "0", SHA[:-1] + "\n", SHA[:-1] + "g"])
def test_inputs_and_segments_are_named_by_a_hash(sha256: str) -> None:
    for key in (keys.input_key, keys.segment_key):
        with pytest.raises(Unsafe, match="SHA-256"):
            key("local", sha256)


@pytest.mark.parametrize("extension", ["png", ".", ".PNG", ".p/g", "..", ".png\n", ".tar.gz", "." + "x" * 11])
def test_an_extension_is_a_dot_and_a_few_letters(extension: str) -> None:
    with pytest.raises(Unsafe, match="extension"):
        keys.input_key("local", SHA, extension)


@pytest.mark.parametrize("owner", ["", "..", "a/b", "a\\b", "%2e"])
def test_an_owner_is_one_part(owner: str) -> None:
    with pytest.raises(Unsafe):
        keys.input_key(owner, SHA)
    with pytest.raises(Unsafe):
        keys.segment_key(owner, SHA)
    with pytest.raises(Unsafe):
        keys.output_prefix(owner, TASK, 1)


@pytest.mark.parametrize("attempt", [0, -1, True, 1.0, "1"])
def test_an_attempt_counts_from_one(attempt: Any) -> None:
    with pytest.raises(Unsafe, match="attempt"):
        keys.output_prefix("local", TASK, attempt)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".x"])
def test_an_output_name_is_one_part(name: str) -> None:
    with pytest.raises(Unsafe):
        keys.output_key("local", TASK, 1, name)


@settings(database=None)
@given(st.text(max_size=60))
def test_a_safe_key_is_only_itself(key: str) -> None:
    try:
        assert keys.safe_key(key) == key
    except Unsafe:
        return
    assert key.isascii()
    assert key.isprintable()
    assert not {"", ".", ".."} & set(key.split("/"))
    assert not set(key) & set('\\%:*?"<>|#')
