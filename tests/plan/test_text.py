"""A plan as people and programs read it."""

from __future__ import annotations

import json
from typing import Any

from headless.params import GenerateParams
from headless.planning.as_json import chain_json, plan_json
from headless.planning.seeds import segment_seed
from headless.planning.text import chain_text
from tests.plan.conftest import ChainPlanner, Planner

FIELDS: dict[str, Any] = {
    "prompt": "a cat\nyawns",
    "model": "wan_2_2_i2v_lightning_svi_3_3",
    "start_image": "https://h/start.png?token=SECRET",
    "end_image": "storage://inputs/local/end.png",
    "num_frames": 82,
    "loras": {"https://h/x.safetensors?token=SECRET": "1;0.5,0.25"},
}


def test_the_text_names_everything_that_decides(chain: ChainPlanner) -> None:
    lines = chain_text(chain(sizes={"start_image": (1000, 500)}, **FIELDS)).splitlines()
    rows = {line[:14].strip(): line[16:] for line in lines}
    assert rows["model"].startswith("wan_2_2_i2v_lightning_svi_3_3 (")
    assert rows["prompt"] == '"a cat\\nyawns"'
    assert rows["start image"] == "https://h/start.png…"
    assert rows["end image"] == "storage://inputs/local/end.png"
    assert rows["size"] == "896 x 448 pixels, images crop"
    assert rows["video"] == "81 frames, 5.06 s at 16 frames per second"
    assert rows["steps"] == "6 (3 + 3), euler, flow shift 5"
    assert rows["guidance"] == "1 then 1"
    assert rows["seed"] == "4242 (chosen)"
    assert rows["svi2pro"] == "yes"
    assert rows["end frame mode"] == "extra_latent"
    assert rows["lora"] == "https://h/x.safetensors… at 1; 0.5, 0.25"
    assert rows["segment 0"] == "frames 0 to 80, of 81 made in 22 latents, seed 4242"
    assert rows["adjusted"] == "num_frames: 82 becomes 81, a clip has 4k+1 frames"
    assert sum(line.endswith(" (of the model)") for line in lines) == 4
    assert "SECRET" not in "\n".join(lines)


def test_a_plain_task_has_little_to_say(chain: ChainPlanner) -> None:
    text = chain_text(chain(seed=7, model="i2v_480p"))
    assert "none" in text
    assert "seed            7\n" in text
    assert "adjusted" not in text
    assert "40, unipc, flow shift 3" in text


def test_a_continuation_says_what_is_dropped(chain: ChainPlanner) -> None:
    task = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
    text = chain_text(chain(svi2pro=True, start_image="https://h/a.png", continue_from=task))
    assert "goes on from the latents of continue_from, the first 5 cut" in text
    assert "start_image as anchor at frame 0, latent 0" in text
    assert "last latent of continue_from at frames 1 to 4, latent 1, as a hint" in text
    assert f"continue from   {task}" in text


def test_the_json_is_json_and_keeps_secrets(plan: Planner) -> None:
    made = plan_json(plan(**FIELDS))
    text = json.dumps(made)
    assert json.loads(text) == made
    assert "SECRET" not in text
    assert made["num_frames"] == 81
    assert made["frames_out"] == 81
    assert made["duration_seconds"] == 5.062
    assert made["continues"] == "nothing"
    assert made["end_image"] == "storage://inputs/local/end.png"
    assert made["phase_steps"] == [3, 3]
    assert made["segments"] == [{"index": 0, "seed": 4242, "num_frames": 81, "new_frames": 81, "latents": 22}]
    assert made["adjustments"] == [
        {"field": "num_frames", "requested": 82, "used": 81, "why": "a clip has 4k+1 frames"}
    ]
    assert made["loras"][-1] == {
        "name": "https://h/x.safetensors…",
        "strength": "1.0;0.5,0.25",
        "of_model": False,
    }


def test_the_json_has_every_parameter_that_is_used(plan: Planner) -> None:
    made = plan_json(plan(**FIELDS))
    unused = {"anchor_image", "continue_from", "pad_video", "known_mask", "phase_config", "strict"}
    unused |= {"segments", "images", "prompts", "seconds", "continuation", "end_tail_latents", "color_lock"}
    unused |= {"color_lock_strength", "loop", "extend_from", "reroll"}
    assert set(GenerateParams.model_fields) - unused <= set(made)


def test_without_an_end_there_is_no_end_frame_mode(plan: Planner) -> None:
    assert plan_json(plan())["end_frame_mode"] is None


CHAIN: dict[str, Any] = {
    "model": "wan_tiny_i2v_svi2pro",
    "prompt": "a cat",
    "start_image": "https://h/start.png?token=SECRET",
    "num_frames": 33,
    "segments": [
        {"prompt": "walks"},
        {"end_image": "https://h/end.png?token=SECRET", "loras": {"x.safetensors": 0.5}},
        {"svi2pro": False, "seed": 3},
    ],
    "end_tail_latents": 1,
    "color_lock": "anchor",
    "color_lock_strength": 0.5,
    "reroll": {"1": [11, 12]},
}


def test_the_text_of_a_chain_tells_every_segment(chain: ChainPlanner) -> None:
    text = chain_text(chain(**CHAIN))
    rows = [line[23:].strip() for line in text.splitlines()]
    for line in (
        "93 frames, 5.81 s at 16 frames per second",
        "anchor, strength 0.5",
        "frames 0 to 32, of 37 made in 10 latents, seed 4242",
        'prompt "walks"',
        "start_image as anchor at frame 0, latent 0",
        f"frames 33 to 60, of 37 made in 11 latents, seed {segment_seed(4242, 1)}",
        "goes on from the latents of segment 0, the first 5 cut",
        "last latent of segment 0 at frames 1 to 4, latent 1, as a hint",
        "segments[1].end_image after the last frame, latent 10",
        "the last 4 cut, 1 latent",
        "lora x.safetensors at 0.5",
        "also with seed 11, 12",
        "goes on from the last frame of segment 1, the first 1 cut",
        "svi2pro no",
    ):
        assert line in rows, line
    assert [line.split("  ")[0] for line in text.splitlines() if line.startswith("segment ")] == [
        "segment 0",
        "segment 1",
        "segment 2",
    ]
    assert "segments[1].end_image  https://h/end.png…" in text
    assert "SECRET" not in text


def test_the_text_of_a_loop(chain: ChainPlanner) -> None:
    text = chain_text(
        chain(start_image="https://h/a.png", num_frames=33, seconds=4, loop=True, end_frame_mode="slot")
    )
    assert "64 frames, 4.00 s at 16 frames per second, in a loop" in text
    assert "the last 1 cut, which is the first of the video" in text
    assert 'prompt          "a cat"' in text
    extended = chain_text(chain(extend_from="https://h/a.mp4", num_frames=33))
    assert "after the earlier video" in extended


def test_the_json_of_a_chain_tells_what_differs(chain: ChainPlanner) -> None:
    plan = chain(**CHAIN)
    made = chain_json(plan)
    assert json.loads(json.dumps(made)) == made
    assert "SECRET" not in json.dumps(made)
    assert (made["frames_out"], made["duration_seconds"], made["seed"]) == (93, 5.812, 4242)
    assert (made["color_lock"], made["color_lock_strength"], made["loop"]) == ("anchor", 0.5, False)
    assert made["segments[1].end_image"] == "https://h/end.png…"
    one, two, three = made["segments"]
    assert (one["prompt"], two["prompt"]) == ("walks", "a cat")
    assert ("loras" in one, two["loras"][-1]["name"], "loras" in three) == (False, "x.safetensors", False)
    assert ("svi2pro" in two, three["svi2pro"]) == (False, False)
    assert [own["continues"] for own in made["segments"]] == ["nothing", "latents", "last_frame"]
    assert [own["seed"] for own in made["segments"]] == [clip.seed for clip in plan.clips]
    assert two["inputs"] == {"start_image": "start_image", "end_image": "segments[1].end_image"}
    assert two["alternatives"] == [11, 12]
    assert [slot["role"] for slot in two["slots"]] == ["anchor", "before", "end"]
    assert [(own["head_frames"], own["shown_frames"], own["tail_frames"]) for own in made["segments"]] == [
        (0, 33, 4),
        (5, 28, 4),
        (1, 32, 4),
    ]
    assert two["adjustments"][0]["field"] == "end_image"
    assert made["adjustments"][0]["field"] == "segments[1].end_image"


def test_the_json_of_one_clip_is_that_of_its_plan_and_more(chain: ChainPlanner) -> None:
    made = chain(**FIELDS)
    alone, whole = plan_json(made.first), chain_json(made)
    (told,), (own,) = alone.pop("segments"), whole.pop("segments")
    assert {name: whole[name] for name in alone} == alone
    assert {name: own[name] for name in told} == told
