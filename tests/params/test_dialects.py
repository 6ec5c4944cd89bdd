"""What holds for every task type of other frontends: nothing breaks the parser, and the page tells it all."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headless.errors import BadParams, Unsafe
from headless.params import parse_task
from headless.params.dialects import DIALECTS
from tests.params.dialect_payloads import LEFT_LATENTS, individual, orchestrated, phase_config, segment

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
SVI = {"use_svi": True, "continuation_config": {"strategy": "svi_latent_chaining", "overlap_frames": 4}}
FLAT: dict[str, Any] = {
    "prompt": "a cat",
    "image_start": "https://example.org/a.png",
    "image_end": ["https://example.org/b.png"],
    "resolution": "832x480",
    "video_length": 81,
    "seed": 7,
    "activated_loras": ["style.safetensors"],
    "loras_multipliers": "1",
    **SVI,
}
CLIP = {**FLAT, "phase_config": phase_config()}
PAYLOADS: dict[str, dict[str, Any]] = {
    "i2v": FLAT,
    "i2v_22": {**FLAT, "phase_config": phase_config(), "additional_loras": {"style.safetensors": 1}},
    "wan_2_2_i2v": {"prompt": "a cat", "image_url": "https://example.org/a.png", "num_frames": 81},
    "individual_travel_segment": individual(**SVI, svi_strength=1),
    "travel_segment": segment(1, **SVI, svi_predecessor_video_url="https://example.org/v.mp4"),
    "travel_orchestrator": orchestrated(
        **SVI,
        phase_config=phase_config(),
        phase_configs_expanded=[phase_config(), None],
        loras_per_segment_expanded=[None, [{"path": "style.safetensors", "strength": 1}]],
        text_before_prompts="film",
    ),
}
ODD: tuple[Any, ...] = (
    True,
    0,
    -1,
    1.5,
    10**40,
    "x",
    "{}",
    [7],
    [None],
    [[]],
    [{}],
    {"a": {}},
    {"phases": [7]},
)


class Asked(dict[str, Any]):
    """An object that remembers which of its fields were looked for."""

    def __init__(self, fields: dict[str, Any], names: set[str]) -> None:
        super().__init__(fields)
        self.names = names

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where anything is in a payload."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*path, key)
            yield from places(value[key], (*path, key))


def with_value(payload: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(payload)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def test_there_is_a_payload_of_each_type() -> None:
    assert set(PAYLOADS) == set(DIALECTS)


@pytest.mark.parametrize("task_type", DIALECTS)
def test_each_is_read_and_leaves_its_payload_alone(task_type: str) -> None:
    payload = copy.deepcopy(PAYLOADS[task_type])
    parsed = parse_task(task_type, payload, LEFT_LATENTS)
    assert payload == PAYLOADS[task_type]
    assert parsed == parse_task(task_type, payload, LEFT_LATENTS)
    assert parsed.ignored_fields == tuple(sorted(set(parsed.ignored_fields)))


@pytest.mark.parametrize("task_type", DIALECTS)
def test_whatever_stands_in_a_field_is_translated_or_a_problem(task_type: str) -> None:
    """Values are checked afterwards, as those of every task; here nothing may fail on the way."""
    translate, payload = DIALECTS[task_type], PAYLOADS[task_type]
    for path in places(payload):
        for value in ODD:
            translate(with_value(payload, path, value), LEFT_LATENTS)


def message_of(task_type: str, payload: dict[str, Any]) -> str | None:
    """Why a payload is refused; nothing where it is taken. Any other error is the test's failure."""
    try:
        parse_task(task_type, payload, LEFT_LATENTS)
    except (BadParams, Unsafe) as error:
        return error.message
    return None


@pytest.mark.parametrize("task_type", DIALECTS)
def test_whatever_stands_in_a_field_is_refused_or_taken(task_type: str) -> None:
    payload = PAYLOADS[task_type]
    messages = [message_of(task_type, with_value(payload, path, "/etc/shadow")) for path in places(payload)]
    assert max(len(message or "") for message in messages) in range(1, 4000)


@pytest.mark.parametrize("payload", [{}, {"orchestrator_details": {}}, {"orchestrator_details": None}])
@pytest.mark.parametrize("task_type", DIALECTS)
def test_an_empty_task_is_told_what_it_lacks(task_type: str, payload: dict[str, Any]) -> None:
    assert re.search("is missing: give|is null: give", message_of(task_type, payload) or "")


@pytest.mark.parametrize("task_type", DIALECTS)
def test_the_page_names_every_field_that_is_looked_for(task_type: str) -> None:
    names: set[str] = set()
    payload = PAYLOADS[task_type]
    for nested in ("orchestrator_details", "individual_segment_params"):
        if nested in payload:
            payload = {**payload, nested: Asked(payload[nested], names)}
    DIALECTS[task_type](Asked(payload, names), LEFT_LATENTS)
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", PAGE))))
    assert names - told == set()


def test_a_result_has_room_for_what_did_not_act() -> None:
    """Names are the user's: there may be very many, and they may be long."""
    flood = {f"field {index:05}": index for index in range(5000)} | {"x" * 5000: 1}
    told = parse_task("i2v", {**FLAT, **flood}).as_json()
    assert len(json.dumps(told)) < 50_000
    listed = told["ignored_fields"]
    assert isinstance(listed, list)
    assert (listed[0], listed[-1]) == ("field 00000", "and 4801 more")
    long = parse_task("i2v", {**FLAT, "x" * 5000: 1}).as_json()["ignored_fields"]
    assert long == ["x" * 200 + "..."]
    assert parse_task("i2v", FLAT).as_json() == {}


def test_what_was_changed_is_told_shortly_and_without_secrets() -> None:
    many: dict[str, Any] = {
        f"https://example.org/{index}.safetensors?token=secret": 1 for index in range(2000)
    }
    parsed = parse_task("i2v", {**CLIP, "activated_loras": None, "loras": many})
    loras = next(entry for entry in parsed.adjustments if entry.field == "loras")
    assert isinstance(loras.requested, str)
    assert len(loras.requested) < 300
    huge = parse_task("i2v", {**CLIP, "phase_config": phase_config(num_phases=10**400)})
    assert len(repr(huge.adjustments)) < 2000
    assert "secret" not in repr((parsed.adjustments, huge.adjustments))
