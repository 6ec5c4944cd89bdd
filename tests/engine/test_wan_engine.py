"""The engine's promises: exact counts, repeatable bytes, nothing carried over, a stop that works."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from headless.engine.wan import WanEngine, pick_device
from headless.errors import BadInput, BadParams, Cancelled, ModelMissing, UsageError
from headless.task import Phase
from models.registry import Registry
from tests.engine.conftest import ROOT, Heard, frames_of, picture, request
from tests.tools.constructed import CONSTRUCTED
from wan2gp_patch.models_def import patched_model_def


def test_nothing_is_loaded_at_first(engine: WanEngine) -> None:
    assert engine.loaded_model is None
    assert engine.model_def == {}


def test_load_takes_a_copy_of_the_definition(engine: WanEngine, registry: Registry) -> None:
    engine.load("wan_tiny_i2v", Heard())
    assert engine.loaded_model == "wan_tiny_i2v"
    assert engine.model_def == registry.models_def["wan_tiny_i2v"]
    assert engine.model_def is not registry.models_def["wan_tiny_i2v"]
    assert engine.model_def["settings"] is not registry.models_def["wan_tiny_i2v"]["settings"]


def test_a_second_load_of_the_same_files_keeps_the_networks(engine: WanEngine) -> None:
    first, second = Heard(), Heard()
    engine.load("wan_tiny_i2v", first)
    engine.load("wan_tiny_i2v_svi2pro", second)
    assert (first.phases, second.phases) == ([Phase.LOADING], [])
    assert engine.loaded_model == "wan_tiny_i2v_svi2pro"
    assert engine.model_def["svi2pro"] is True


@pytest.mark.parametrize("mode", ["in_chunk", "extra_latent", "slot", "repeat_4"])
def test_every_end_frame_mode_gives_exactly_the_frames_asked_for(engine: WanEngine, mode: str) -> None:
    generation = engine.generate(request(end_image=picture(), end_frame_mode=mode), Heard())
    assert frames_of(generation).shape == (9, 64, 64, 3)
    assert (generation.num_frames, generation.new_frames) == (9, 9)
    assert generation.end_frame_mode == mode
    assert (generation.end_frame() is not None) == (mode == "extra_latent")


def test_phases_steps_and_previews_are_told(engine: WanEngine) -> None:
    heard = Heard()
    frames_of(engine.generate(request(), heard))
    assert list(dict.fromkeys(heard.phases)) == [
        Phase.LOADING,
        Phase.ENCODING,
        Phase.DENOISING,
        Phase.DECODING,
    ]
    assert heard.steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(preview.shape == (8, 8, 3) and preview.dtype == np.uint8 for preview in heard.previews)
    assert np.abs(heard.previews[-1].astype(int) - picture()[4::8, 4::8]).mean() < 60


def test_details_say_what_ran(engine: WanEngine) -> None:
    generation = engine.generate(request(end_image=picture()), Heard())
    frames_of(generation)
    details = generation.details
    assert details["latents"] == 4
    assert details["sequence_length"] == 4 * 8 * 8 // 4
    assert details["expert_steps"] == {"high": 2, "low": 2}
    assert details["forwards"] == 4
    assert details["timesteps"] == [999.0, 937.0, 833.0, 624.0]
    assert (details["memory"], details["dtype"], details["svi2pro"]) == ("resident", "float32", False)
    assert set(details["timings"]) == {"text", "conditioning", "denoising", "decoding"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(engine: WanEngine) -> None:
    first, again, other = (
        frames_of(engine.generate(request(seed=seed, end_image=picture()), Heard())) for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_memory_plan_gives_the_same_bytes(registry: Registry) -> None:
    plans = ["resident", "swap", "stream"]
    engines = [WanEngine(registry, [CONSTRUCTED], device="cpu", memory=plan) for plan in plans]
    generations = [engine.generate(request(guidance_scale=3.0), Heard()) for engine in engines]
    first, *others = (frames_of(generation) for generation in generations)
    assert all(np.array_equal(first, other) for other in others)
    assert [generation.details["memory"] for generation in generations] == plans


def test_guidance_costs_a_second_forward_and_changes_the_clip(engine: WanEngine) -> None:
    plain = engine.generate(request(), Heard())
    guided = engine.generate(request(guidance_scale=4.0), Heard())
    assert (plain.details["forwards"], guided.details["forwards"]) == (4, 6)
    assert not np.array_equal(frames_of(plain), frames_of(guided))


def test_without_guidance_the_negative_prompt_is_not_even_encoded(
    engine: WanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.load("wan_tiny_i2v", Heard())
    text = engine._in_memory().text
    encoded: list[str] = []
    real = text.encode

    def listening(prompt: str) -> torch.Tensor:
        encoded.append(prompt)
        return real(prompt)

    monkeypatch.setattr(text, "encode", listening)
    engine.generate(request(), Heard())
    assert encoded == ["a red disc over the sea"]
    engine.generate(request(guidance_scale_2=2.0), Heard())
    assert encoded[1:] == ["a red disc over the sea", "blurry"]


@pytest.mark.parametrize("solver", ["unipc", "dpm++", "euler", "euler_wan2gp"])
def test_every_solver_runs(engine: WanEngine, solver: str) -> None:
    generation = engine.generate(request(solver=solver), Heard())
    assert frames_of(generation).std() > 10
    assert generation.details["solver"] == solver


def test_a_fixed_split_of_the_steps_is_kept(engine: WanEngine) -> None:
    generation = engine.generate(request(phase_steps=(3, 1)), Heard())
    assert generation.details["expert_steps"] == {"high": 3, "low": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"solver": "heun"}, "legal values are unipc"),
        ({"phase_steps": (3, 3)}, "add up to 4"),
        ({"end_image": picture(), "end_frame_mode": "both"}, "legal values are in_chunk"),
        ({"prefix": np.stack([picture()] * 9)}, "num_frames must be at least 13"),
        ({"previous_latents": Path("x.safetensors")}, "svi2pro"),
        ({"flow_shift": -1.0}, "flow_shift is -1.0"),
    ],
)
def test_bad_requests_name_the_field(engine: WanEngine, changes: dict[str, object], says: str) -> None:
    with pytest.raises(BadParams, match=says):
        engine.generate(request(**changes), Heard())


@pytest.mark.parametrize("where", ["loading", "encoding", "denoising", "step 1", "step 4", "decoding"])
def test_a_cancel_stops_the_run_where_it_is_and_the_next_run_is_as_ever(
    registry: Registry, where: str
) -> None:
    def cancel(event: str) -> None:
        if event == where:
            raise Cancelled("by the user")

    engine = WanEngine(registry, [CONSTRUCTED], device="cpu")
    stopped = Heard(on=cancel)
    with pytest.raises(Cancelled):
        frames_of(engine.generate(request(end_image=picture()), stopped))
    if where == "step 1":
        assert stopped.steps == [(1, 4)]
    fresh = WanEngine(registry, [CONSTRUCTED], device="cpu")
    after, alone = (frames_of(e.generate(request(end_image=picture()), Heard())) for e in (engine, fresh))
    assert np.array_equal(after, alone)


def test_a_job_with_svi2pro_leaves_no_trace_on_the_next(registry: Registry, engine: WanEngine) -> None:
    alone = frames_of(WanEngine(registry, [CONSTRUCTED], device="cpu").generate(request(), Heard()))
    engine.load("wan_tiny_i2v", Heard())
    changes = {"svi2pro": True}
    with patched_model_def(registry.models_def, "wan_tiny_i2v", changes, loaded=engine):
        with_svi = engine.generate(request(end_image=picture(colour=(0, 0, 0))), Heard())
        frames_of(with_svi)
    after = engine.generate(request(), Heard())
    assert with_svi.details["svi2pro"] is True
    assert after.details["svi2pro"] is False
    assert np.array_equal(frames_of(after), alone)


def test_the_definition_and_not_the_request_decides_about_svi(registry: Registry, engine: WanEngine) -> None:
    engine.load("wan_tiny_i2v", Heard())
    plain = frames_of(engine.generate(request(), Heard()))
    with patched_model_def(registry.models_def, "wan_tiny_i2v", {"svi2pro": True}, loaded=engine):
        svi = frames_of(engine.generate(request(), Heard()))
    assert not np.array_equal(plain, svi)


def test_frames_are_decoded_outside_any_inference_mode_of_the_reader(engine: WanEngine) -> None:
    frames = iter(engine.generate(request(), Heard()).frames)
    next(frames)
    assert not torch.is_inference_mode_enabled()


def test_the_handoff_holds_the_sampled_latents_without_the_end_latent(
    engine: WanEngine, tmp_path: Path
) -> None:
    generation = engine.generate(request(end_image=picture()), Heard())
    assert generation.save_handoff is not None
    generation.save_handoff(tmp_path / "a.safetensors")
    generation.save_handoff(tmp_path / "b.safetensors")
    with safe_open(str(tmp_path / "a.safetensors"), framework="pt") as file:
        latents = file.get_tensor("latents")
    assert latents.shape == (16, 3, 8, 8)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_run_is_taken_up_after_the_sampling(engine: WanEngine, tmp_path: Path) -> None:
    asked = request(end_image=picture())
    first = engine.generate(asked, Heard())
    assert first.save_sampled is not None
    first.save_sampled(tmp_path / "sampled")
    heard = Heard()
    again = engine.generate(replace(asked, sampled_latents=tmp_path / "sampled"), heard)
    assert heard.steps == []
    assert np.array_equal(frames_of(again), frames_of(first))
    assert again.end_frame() is not None
    with pytest.raises(BadInput, match="4 latent frames instead of 3"):
        engine.generate(request(sampled_latents=tmp_path / "sampled"), Heard())


def test_an_unknown_device_or_plan_is_refused(registry: Registry) -> None:
    for device in ("tpu", "cuda:x", "cpu:1", ""):
        with pytest.raises(UsageError, match="legal values are auto, cpu, cuda"):
            pick_device(device)
    with pytest.raises(UsageError, match="--memory mmgp:3 needs a CUDA device and the package mmgp"):
        WanEngine(registry, [], device="cpu", memory="mmgp:3")
    for plan in ("lots", "mmgp", "mmgp:6", "stream+tiles", ""):
        with pytest.raises(UsageError, match=r"legal values are auto, resident, swap, mmgp:1, .*, stream"):
            WanEngine(registry, [], memory=plan)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(UsageError, match="sees 0 of them"):
        pick_device("cuda")


def test_missing_files_are_named(registry: Registry, tmp_path: Path) -> None:
    engine = WanEngine(registry, [tmp_path], device="cpu")
    with pytest.raises(ModelMissing, match=r"transformer of wan_tiny_i2v is not on this machine: no .*tiny"):
        engine.load("wan_tiny_i2v", Heard())
    assert engine.loaded_model is None


def test_versions_name_what_decides_the_result(engine: WanEngine) -> None:
    versions = engine.versions()
    assert versions["engine"] == "wan"
    assert versions["torch"].startswith("2.13.0")
    assert {"diffusers", "transformers", "device"} < set(versions)


def test_generate_before_load_loads(engine: WanEngine) -> None:
    engine.generate(request(), Heard())
    assert engine.loaded_model == "wan_tiny_i2v"


def test_another_process_gives_the_same_bytes(engine: WanEngine) -> None:
    code = (
        "import hashlib; from tests.engine.conftest import *;"
        "e = WanEngine(load_models_def(ROOT / 'configs'), [CONSTRUCTED], device='cpu');"
        "print(hashlib.sha256(frames_of(e.generate(request(), Heard())).tobytes()).hexdigest())"
    )
    here = hashlib.sha256(frames_of(engine.generate(request(), Heard())).tobytes()).hexdigest()
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[-1] == here
