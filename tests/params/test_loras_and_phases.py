"""LoRAs and phase_config: what they set, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from headless.errors import BadParams, Unsafe
from headless.params import GenerateParams, parse

BASE: dict[str, Any] = {"prompt": "a cat", "model": "m"}
PHASES: dict[str, Any] = {
    "num_phases": 3,
    "steps_per_phase": [2, 2, 2],
    "flow_shift": 5,
    "sample_solver": "euler",
    "model_switch_phase": 2,
    "phases": [
        {"phase": 1, "guidance_scale": 3.0, "loras": [{"url": "a.safetensors", "multiplier": "0.75"}]},
        {
            "phase": 2,
            "guidance_scale": 1.5,
            "loras": [
                {"url": "a.safetensors", "multiplier": 1},
                {"url": "b.safetensors", "multiplier": "1,0.5"},
            ],
        },
        {"phase": 3, "guidance_scale": 1.0},
    ],
}


def parsed(**fields: Any) -> GenerateParams:
    return parse("generate", {**BASE, **fields})


def refused(**fields: Any) -> str:
    with pytest.raises(BadParams) as caught:
        parsed(**fields)
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../../../etc/passwd", "'..' part"),
        ("..\\..\\x.safetensors", "a part begins with"),
        ("/etc/shadow", "'.' or '..' part"),
        ("C:\\x.safetensors", "it holds"),
        ("//host/share", "part"),
        ("%2e%2e%2fx.safetensors", "it holds %"),
        ("%252e.safetensors", "it holds %"),
        ("\u2024\u2024/x.safetensors", "another standard form"),
        ("CON.safetensors", "device name"),
        (".", "'.' or '..' part"),
        ("x.safetensors ", "ends in"),
        ("x.safetensors\n", "do not print"),
        ("x" * 300 + ".safetensors", "1 to 255"),
        ("file:///etc/x.safetensors", "http(s) URL"),
        ("https://h/%2e%2e%2fx.safetensors", "http(s) URL"),
        ("https://h/%252e%252e%252fx.safetensors", "it holds %"),
        ("https://h/", "0 characters"),
        ("http://[::1/x.safetensors", "not a URL"),
    ],
)
def test_names_that_reach_out_of_the_folder_are_unsafe(name: str, why: str) -> None:
    with pytest.raises(Unsafe) as caught:
        parsed(loras=[{"name": name}])
    assert caught.value.message.startswith("loras[0].name is ")
    assert why in caught.value.message


@pytest.mark.parametrize("name", ["x.ckpt", "x.pt", "sub/x.PTH", "x.bin"])
def test_pickles_are_refused_with_the_command_that_converts_them(name: str) -> None:
    message = refused(loras=[{"name": name}])
    assert "is a pickle" in message
    assert "save_file" in message


@pytest.mark.parametrize("name", ["x", "x.gguf", "x.safetensors.zip", "safetensors"])
def test_other_files_are_refused(name: str) -> None:
    assert "does not end in .safetensors" in refused(loras=[{"name": name}])


@pytest.mark.parametrize(
    ("strength", "why"),
    [
        (True, "give a number from -10 to 10"),
        (None, "give a number from -10 to 10"),
        ([1], "give a number from -10 to 10"),
        ("", "is not a number"),
        ("1;", "is not a number"),
        ("1,,2", "is not a number"),
        ("nan", "is not a number"),
        ("1e308", "between -10 and 10"),
        ("1;0;1;0", "more than 3 phases"),
        ("0," * 100 + "0", "more than 100 values"),
        (11, "between -10 and 10"),
        (-10.5, "between -10 and 10"),
        (10**400, "give a number"),
        (float("inf"), "give a number"),
    ],
)
def test_strengths_that_are_none(strength: Any, why: str) -> None:
    message = refused(loras=[{"name": "x.safetensors", "strength": strength}])
    assert message.startswith("loras[0].strength is ")
    assert why in message


def test_a_lora_is_named_once() -> None:
    message = refused(loras=[{"name": "x.safetensors"}, {"name": "https://h/x.safetensors"}])
    assert message == "loras name x.safetensors twice: name it once."


def test_too_many_loras() -> None:
    assert "give up to 16 of" in refused(loras={f"{n}.safetensors": 1 for n in range(17)})


@pytest.mark.parametrize("loras", ["x.safetensors", 3, [3], [["x.safetensors", 1]], [{"nme": "x"}]])
def test_what_is_no_list_of_loras(loras: Any) -> None:
    assert refused(loras=loras).startswith("loras")


def test_an_unknown_field_of_a_lora() -> None:
    assert refused(loras=[{"name": "x.safetensors", "no-such": 1}]) == '"no-such" is not a field of loras[0].'


def test_phase_config_sets_the_canonical_fields() -> None:
    params = parsed(phase_config=PHASES)
    assert params.steps == 6
    assert params.flow_shift == 5.0
    assert (params.guidance_scale, params.guidance_scale_2) == (3.0, 1.5)
    assert {lora.name: lora.strengths for lora in params.loras} == {
        "a.safetensors": ((0.75,), (1.0,), (0.0,)),
        "b.safetensors": ((0.0,), (1.0, 0.5), (0.0,)),
    }
    assert params.phase_config is not None
    assert params.phase_config.steps_per_phase == (2, 2, 2)


def test_phase_config_may_say_less() -> None:
    config = {"num_phases": 1, "steps_per_phase": [4], "phases": [{"phase": 1, "guidance_scale": 1}]}
    params = parsed(phase_config=config, flow_shift=3.0)
    assert (params.steps, params.flow_shift, params.guidance_scale_2, params.loras) == (4, 3.0, None, ())


def test_phase_config_agrees_with_the_same_values() -> None:
    assert parsed(phase_config=PHASES, steps=6, flow_shift=5.0, guidance_scale=3).steps == 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 8}, "steps 6"),
        ({"flow_shift": 3.0}, "flow_shift 5"),
        ({"guidance_scale_2": 1}, "guidance_scale_2 1.5"),
        ({"loras": {"a.safetensors": 1}}, "loras a list of 2"),
    ],
)
def test_phase_config_that_disagrees(fields: dict[str, Any], message: str) -> None:
    refusal = refused(phase_config=PHASES, **fields)
    assert f"phase_config makes {message}" in refusal
    assert "two names of one field" in refusal


def changed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(PHASES), **fields}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(steps_per_phase=[3, 3]), "steps_per_phase has 2 entries; num_phases is 3"),
        (changed(phases=PHASES["phases"][:2]), "phases are numbered [1, 2]; num_phases 3 needs [1, 2, 3]"),
        (
            changed(model_switch_phase=3, num_phases=2, steps_per_phase=[1, 1], phases=PHASES["phases"][:2]),
            "legal values are 1 to 2",
        ),
        (changed(steps_per_phase=[50, 50, 1]), "adds up to 101"),
        (changed(sample_solver="__init__"), 'sample_solver is "__init__": give one of "unipc"'),
        (changed(num_phases=4), "num_phases is 4: give a whole number from 1 to 3."),
        (changed(num_phases="2"), 'num_phases is "2"'),
        (changed(steps_per_phase=[0, 2, 2]), "steps_per_phase[0] is 0: give a whole number from 1 to 100."),
        (changed(steps_per_phase="222"), 'steps_per_phase is "222": give a list of at most 3.'),
        (changed(extra=1), '"extra" is not a field of phase_config.'),
        ("euler", 'phase_config is "euler": give an object with num_phases, steps_per_phase, phases.'),
        ([], "phase_config is a list of 0"),
    ],
)
def test_a_wrong_phase_config(config: Any, message: str) -> None:
    assert message in refused(phase_config=config)


@pytest.mark.parametrize("multiplier", ["1;0", "x", 99, True, None])
def test_a_multiplier_is_for_one_phase(multiplier: Any) -> None:
    config = changed()
    config["phases"][0]["loras"][0]["multiplier"] = multiplier
    assert "phase_config.phases[0].loras[0]" in refused(phase_config=config)


def test_a_phase_names_a_lora_once() -> None:
    config = changed()
    config["phases"][0]["loras"] *= 2
    assert "names one LoRA twice" in refused(phase_config=config)


def test_a_lora_of_a_phase_is_as_safe_as_any_other() -> None:
    config = changed()
    config["phases"][0]["loras"][0]["url"] = "../x.safetensors"
    with pytest.raises(Unsafe, match=r"loras\[0\]\.name \(sent as phase_config\)"):
        parsed(phase_config=config)
