"""Tasks of other frontends on the command line: planned and checked as their claims will be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.terminal import Terminal


def travel(**details: Any) -> dict[str, Any]:
    images = [f"https://example.org/{name}.png" for name in "abc"]
    known = {
        "input_image_paths_resolved": images,
        "base_prompts_expanded": ["to the sea"],
        "segment_frames_expanded": [9],
        "parsed_resolution_wh": "64x64",
        "model_name": "wan_tiny_i2v",
        "seed_base": 7,
        "surprise": "\x1b[31m",
        **details,
    }
    return {"orchestrator_details": known, "\x1b[2J": "a name that clears the screen"}


def segment(index: int) -> dict[str, Any]:
    return {**travel(), "segment_index": index, "use_svi": True, "seed_to_use": 7}


def test_a_plan_says_what_does_not_act_and_what_was_changed(terminal: Terminal, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps({**travel(use_svi=True), "task_type": "travel_orchestrator"}), encoding="utf-8")
    said = terminal.run("plan", "--file", str(job))
    assert said.status == 0
    assert '"orchestrator_details.surprise"' in said.err
    assert "note: nothing acts on" in said.err
    assert "\x1b" not in said.err
    assert 'orchestrator_details.model_name: "wan_tiny_i2v" becomes "wan_tiny_i2v_svi2pro"' in said.out
    assert "in segments[1] the first 5 repeat the clip before, 8 are new" in said.out


def test_a_queued_segment_is_planned_with_the_task_that_it_waits_for(terminal: Terminal) -> None:
    first = terminal.place.enqueue(segment(0), task_type="travel_segment")
    second = terminal.place.enqueue(segment(1), task_type="travel_segment", dependant_on=(first,))
    plan = json.loads(terminal.good("plan", second, "--json"))
    assert plan["segments"][0]["num_frames"] == 13
    assert first in terminal.good("plan", second)


def test_a_segment_is_checked_before_it_is_queued(terminal: Terminal, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps(segment(1)), encoding="utf-8")
    flags = ("submit", "--file", str(job), "--task-type", "travel_segment")
    assert "svi_predecessor_video_url is null: give the video" in terminal.bad(*flags)
    first = terminal.place.enqueue(segment(0), task_type="travel_segment")
    task = terminal.good(*flags, "--dependant-on", first)
    assert terminal.place.view(task).dependant_on == (first,)
