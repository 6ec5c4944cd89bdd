"""Tasks in the shape in which existing frontends queue them, with addresses of example.org."""

from __future__ import annotations

from typing import Any

from headless.task import Continued, TaskStatus

A, B, C = (f"https://example.org/{name}.png?token=secret" for name in "abc")
PARENT = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
MODEL = "wan_2_2_i2v_lightning_baseline_2_2_2"
STYLE = "https://example.org/loras/style.safetensors"
LEFT_LATENTS = Continued(
    TaskStatus.COMPLETE,
    "outputs/local/parent/1/latents.safetensors",
    "outputs/local/parent/1/video.mp4",
    PARENT,
)
LEFT_VIDEO = Continued(TaskStatus.COMPLETE, None, "outputs/local/parent/1/video.mp4", PARENT)


def phase_config(**fields: Any) -> dict[str, Any]:
    """Two phases of three steps; an empty row of the form among the LoRAs."""
    return {
        "num_phases": 2,
        "steps_per_phase": [3, 3],
        "flow_shift": 5.0,
        "sample_solver": "euler",
        "model_switch_phase": 1,
        "phases": [
            {
                "phase": 1,
                "guidance_scale": 1,
                "loras": [{"url": STYLE, "multiplier": "1.2"}, {"url": "", "multiplier": "1"}],
            },
            {"phase": 2, "guidance_scale": 1, "loras": []},
        ],
        **fields,
    }


def orchestrated(**details: Any) -> dict[str, Any]:
    """A travel through three images, in `orchestrator_details`; `None` leaves a field out."""
    known = {
        "generation_source": "batch",
        "orchestrator_task_id": "sm_travel_orchestrator_1",
        "run_id": "20260101",
        "input_image_paths_resolved": [A, B, C],
        "num_new_segments_to_generate": 2,
        "base_prompts_expanded": ["to the sea", ""],
        "base_prompt": "a journey",
        "negative_prompts_expanded": ["", "blurred"],
        "segment_frames_expanded": [61, 49],
        "frame_overlap_expanded": [10, 10],
        "parsed_resolution_wh": "832x480",
        "model_name": MODEL,
        "model_type": "i2v",
        "seed_base": 789,
        "steps": 20,
        "fps_helpers": 16,
        "openai_api_key": "sk-secret",
        "independent_segments": True,
        **details,
    }
    return {
        "orchestrator_details": {name: value for name, value in known.items() if value is not None},
        "generation_name": "holiday",
    }


def segment(index: int = 0, **fields: Any) -> dict[str, Any]:
    """One segment of that travel, as an orchestrator elsewhere queues it; `None` leaves a field out."""
    known = {
        "orchestrator_task_id_ref": "sm_travel_orchestrator_1",
        "segment_index": index,
        "base_prompt": "to the sea",
        "negative_prompt": "blurred",
        "num_frames": 61,
        "segment_frames_target": 61,
        "parsed_resolution_wh": "832x480",
        "model_name": MODEL,
        "seed_to_use": 789,
        "fps_helpers": 16,
        "num_inference_steps": 6,
        "guidance_scale": 1,
        "guidance2_scale": 1,
        "flow_shift": 5,
        "orchestrator_details": orchestrated()["orchestrator_details"],
        **fields,
    }
    return {name: value for name, value in known.items() if value is not None}


def individual(**own: Any) -> dict[str, Any]:
    """A segment that a user wants made again: what the form says stands in `individual_segment_params`."""
    known = {
        "input_image_paths_resolved": [B, C],
        "start_image_url": B,
        "end_image_url": C,
        "base_prompt": "over the hills",
        "num_frames": 49,
        "seed_to_use": 12,
        "random_seed": False,
        "phase_config": phase_config(),
        **own,
    }
    kept = {name: value for name, value in known.items() if value is not None}
    return {**segment(1), "use_svi": False, "individual_segment_params": kept}
