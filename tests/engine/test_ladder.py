"""Memory that runs out: every stage is survived on the next rung, with the same bytes, and told."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import pytest
import structlog
import torch

from headless.engine.wan import WanEngine
from headless.errors import Cancelled, OutOfMemory
from headless.segment import Clip
from headless.task import Phase
from models.registry import Registry
from tests.engine.conftest import ROOT, Heard, ScriptedAllocator, frames_of, picture, request
from tests.tools.constructed import CONSTRUCTED

ASKED = request(end_image=picture(16, 16), start_image=picture(16, 16), width=16, height=16, num_frames=5)


def engine_with(
    registry: Registry, script: Sequence[str] = (), memory: str = "auto", room: int | None = None
) -> tuple[WanEngine, ScriptedAllocator]:
    allocator = ScriptedAllocator(list(script), room)
    return WanEngine(registry, [CONSTRUCTED], device="cpu", memory=memory, allocator=allocator), allocator


@pytest.fixture(scope="module")
def expected() -> Clip:
    from models.registry import load_models_def

    engine = WanEngine(load_models_def(ROOT / "configs"), [CONSTRUCTED], device="cpu")
    return frames_of(engine.generate(ASKED, Heard()))


@pytest.mark.parametrize("point", ["loading", "text", "conditioning", "step 1", "step 3", "decoding"])
def test_one_step_down_and_the_same_bytes(registry: Registry, expected: Clip, point: str) -> None:
    engine, allocator = engine_with(registry, [point])
    with structlog.testing.capture_logs() as logged:
        generation = engine.generate(ASKED, Heard())
        frames = frames_of(generation)
    assert np.array_equal(frames, expected)
    assert allocator.script == []
    assert generation.details["memory"] == "swap"
    told = {"from": "resident", "to": "swap", "while": point}
    assert generation.details["memory_steps_down"] == [told]
    assert [line["doing"] for line in logged if line["log_level"] == "warning"] == [point]
    assert generation.end_frame() is not None


def test_the_result_says_nothing_where_nothing_ran_out(registry: Registry) -> None:
    engine, _ = engine_with(registry)
    generation = engine.generate(ASKED, Heard())
    assert generation.details["memory"] == "resident"
    assert "memory_steps_down" not in generation.details
    assert generation.details["peak_bytes"] > 0


def test_the_plan_can_be_asked_for_at_any_time(registry: Registry) -> None:
    engine, _ = engine_with(registry, ["loading", "step 2"])
    assert engine.memory_told("wan_tiny_i2v") == {}

    def failing(event: str) -> None:
        if event == "step 2":
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        engine.generate(ASKED, Heard(on=failing))
    steps = [
        {"from": "resident", "to": "swap", "while": "loading"},
        {"from": "swap", "to": "stream", "while": "step 2"},
    ]
    assert engine.memory_told("wan_tiny_i2v") == {"memory": "stream", "memory_steps_down": steps}
    assert engine.memory_told("another") == {"memory_steps_down": steps}
    engine.load("wan_tiny_i2v", Heard())
    assert engine.memory_told("wan_tiny_i2v") == {"memory": "stream"}


def test_every_rung_is_tried_once_and_the_last_one_is_flagged(registry: Registry, expected: Clip) -> None:
    engine, _ = engine_with(registry, ["step 2", "loading", "decoding"])
    generation = engine.generate(ASKED, Heard())
    assert np.array_equal(frames_of(generation), expected)
    steps = [(step["from"], step["to"], step["while"]) for step in generation.details["memory_steps_down"]]
    assert steps == [
        ("resident", "swap", "step 2"),
        ("swap", "stream", "loading"),
        ("stream", "stream+tiles", "decoding"),
    ]
    assert generation.details["memory"] == "stream+tiles"
    assert "in tiles, whose borders may show" in generation.details["warnings"][0]
    assert engine._in_memory().vae.module.use_tiling


def test_when_no_rung_is_left_the_error_names_them_and_the_next_job_runs(
    registry: Registry, expected: Clip
) -> None:
    engine, allocator = engine_with(registry, ["text"] * 4)
    with pytest.raises(OutOfMemory, match=r"while text.*\(resident, swap, stream, stream\+tiles\)"):
        engine.generate(ASKED, Heard())
    assert allocator.script == []
    after = engine.generate(ASKED, Heard())
    assert np.array_equal(frames_of(after), expected)
    assert after.details["memory"] == "resident"


def test_out_of_memory_while_loading_on_every_rung(registry: Registry) -> None:
    engine, _ = engine_with(registry, ["loading"] * 4)
    with pytest.raises(OutOfMemory, match="while loading, under every memory plan"):
        engine.load(ASKED.model, Heard())
    assert engine.loaded_model is None


def test_a_lower_plan_stays_for_the_next_job_which_reports_no_step(registry: Registry) -> None:
    engine, _ = engine_with(registry, ["step 1"])
    engine.generate(ASKED, Heard())
    engine.load(ASKED.model, Heard())
    again = engine.generate(ASKED, Heard())
    assert again.details["memory"] == "swap"
    assert "memory_steps_down" not in again.details


def test_a_plan_that_was_asked_for_steps_down_too(registry: Registry, expected: Clip) -> None:
    engine, _ = engine_with(registry, ["step 4"], memory="swap")
    generation = engine.generate(ASKED, Heard())
    assert np.array_equal(frames_of(generation), expected)
    assert generation.details["memory"] == "stream"


def test_a_prompt_is_not_encoded_again_under_the_next_plan(registry: Registry) -> None:
    engine, _ = engine_with(registry, ["conditioning"])
    encoded: list[str] = []
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: encoded.append(type(module).__name__)
    )
    with contextlib.ExitStack() as stack:
        stack.callback(hook.remove)
        generation = engine.generate(ASKED, Heard())
    assert generation.details["memory"] == "swap"
    assert encoded.count("UMT5EncoderModel") == 1


def test_auto_looks_at_the_room_there_is(registry: Registry) -> None:
    for room, plan in ((None, "resident"), (10**12, "resident"), (10**10, "stream")):
        engine, _ = engine_with(registry, room=room)
        engine.load(ASKED.model, Heard())
        assert engine._in_memory().plan.value == plan


def test_memory_that_runs_out_within_a_forward_is_survived(registry: Registry, expected: Clip) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("no room for the activations")

    engine, allocator = engine_with(registry)
    engine.load(ASKED.model, Heard())
    engine._in_memory().memory.module("low").get_submodule("blocks.0.ffn").register_forward_hook(fail)
    generation = engine.generate(ASKED, Heard())
    assert np.array_equal(frames_of(generation), expected)
    assert generation.details["memory_steps_down"][0]["while"] == "step 3"
    assert allocator.begun.count("loading") == 2


def test_a_clip_is_decoded_on_where_it_stopped(registry: Registry, expected: Clip) -> None:
    engine, allocator = engine_with(registry)
    frames = iter(engine.generate(ASKED, Heard()).frames)
    first = [next(frames) for _ in range(3)]  # one of them of the second chunk
    allocator.script.append("decoding")
    assert np.array_equal(np.stack([*first, *frames]), expected)
    assert allocator.script == []


@pytest.mark.parametrize(("point", "phase"), [("step 2", Phase.LOADING), ("decoding", Phase.DECODING)])
def test_a_cancel_is_heard_before_the_next_rung(registry: Registry, point: str, phase: Phase) -> None:
    engine, allocator = engine_with(registry)
    engine.load(ASKED.model, Heard())
    allocator.script.append(point)

    def cancel(event: str) -> None:
        if event == phase.value and not allocator.script:
            raise Cancelled("by the user")

    with pytest.raises(Cancelled):
        frames_of(engine.generate(ASKED, Heard(on=cancel)))
    assert allocator.begun.count("loading") == 1
