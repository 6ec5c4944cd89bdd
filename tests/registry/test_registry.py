"""Definition files become `models_def`: inheritance, overriding, and what is wrong with a file."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from headless.ports import ModelRegistry
from models.definition import BadDefinition, UnknownModel
from models.registry import Registry, load_models_def
from tests.registry.files import define
from wan2gp_patch.models_def import patched_model_def


def why(registry: Registry, id_: str) -> str:
    """What is wrong with a definition."""
    with pytest.raises(BadDefinition) as caught:
        registry.definition(id_)
    assert id_ not in registry.names()
    assert id_ not in registry.models_def
    return str(caught.value)


def test_a_registry_is_what_the_worker_expects(tmp_path: Path) -> None:
    define(tmp_path, "a", {"svi2pro": True, "files": {"vae": "x"}}, steps=4, flow_shift=5)
    registry: ModelRegistry = load_models_def(tmp_path)
    definition = registry.definition("a")
    assert (definition.id, definition.name, definition.architecture) == ("a", "A", "i2v_2_2")
    assert definition.model_def["svi2pro"] is True
    assert dict(definition.settings) == {"steps": 4, "flow_shift": 5}
    assert registry.names() == ("a",)
    assert registry.models_def["a"]["settings"] == {"steps": 4, "flow_shift": 5}


def test_a_definition_is_a_read_only_view_through_which_a_patch_shows(tmp_path: Path) -> None:
    define(tmp_path, "a")
    registry = load_models_def(tmp_path)
    definition = registry.definition("a")
    before = copy.deepcopy(registry.models_def)
    with patched_model_def(registry.models_def, "a", {"svi2pro": True}):
        assert definition.model_def["svi2pro"] is True
    assert "svi2pro" not in definition.model_def
    assert registry.models_def == before
    with pytest.raises(TypeError):
        definition.model_def["svi2pro"] = True  # type: ignore[index] # refused at run time too


def test_an_unknown_model_names_the_nearest(tmp_path: Path) -> None:
    define(tmp_path, "i2v_2_2")
    define(tmp_path, "tiny")
    registry = load_models_def(tmp_path)
    with pytest.raises(UnknownModel, match=r"model 'i2v_22' is not known here. Did you mean i2v_2_2\?"):
        registry.definition("i2v_22")
    with pytest.raises(UnknownModel, match=r"Known models: i2v_2_2, tiny\."):
        registry.definition("zzz")


def test_text_refers_to_another_models_list_over_several_models(tmp_path: Path) -> None:
    define(tmp_path, "base", {"URLs": ["https://h/a"], "URLs2": ["https://h/b"], "files": {"vae": "v"}})
    define(tmp_path, "middle", {"URLs": "base", "files": "base", "loras": ["x.safetensors"]})
    define(tmp_path, "top", {"URLs": "middle", "URLs2": "base", "loras": "middle", "files": "middle"})
    top = load_models_def(tmp_path).models_def["top"]
    assert top["URLs"] == ["https://h/a"]
    assert top["URLs2"] == ["https://h/b"]
    assert top["loras"] == ["x.safetensors"]
    assert top["files"] == {"vae": "v"}


def test_what_is_inherited_is_a_copy(tmp_path: Path) -> None:
    define(tmp_path, "base", {"URLs": ["https://h/a"]})
    define(tmp_path, "top", {"URLs": "base"})
    models_def = load_models_def(tmp_path).models_def
    models_def["top"]["URLs"].append("https://h/b")
    assert models_def["base"]["URLs"] == ["https://h/a"]


def test_a_circle_is_refused_by_name(tmp_path: Path) -> None:
    define(tmp_path, "a", {"URLs": "b"})
    define(tmp_path, "b", {"URLs": "c"})
    define(tmp_path, "c", {"URLs": "a"})
    define(tmp_path, "fine", {"URLs": ["https://h/a"]})
    registry = load_models_def(tmp_path)
    assert "URLs goes in a circle: a -> b -> c -> a." in why(registry, "a")
    assert "URLs goes in a circle: b -> c -> a -> b." in why(registry, "b")
    assert registry.names() == ("fine",)


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ("base", "refers to base, which has no URLs of its own"),
        ("bas", "is 'bas', which is no model's id (did you mean base?)"),
        ("https://h/a.safetensors", "give a list, or the id of the model"),
        ("wrong", "and that definition is wrong: "),
        ("top", "circle: top -> top."),
    ],
)
def test_references_that_lead_nowhere(tmp_path: Path, urls: str, message: str) -> None:
    define(tmp_path, "base")
    (tmp_path / "wrong.json").write_text("[]")
    define(tmp_path, "top", {"URLs": urls})
    assert message in why(load_models_def(tmp_path), "top")


def test_a_later_folder_replaces_whole_files(tmp_path: Path) -> None:
    define(tmp_path / "shipped", "a", {"svi2pro": True}, steps=4)
    define(tmp_path / "shipped", "b", {"URLs": "a"})
    define(tmp_path / "user", "a", {"URLs": ["https://h/mine"]}, steps=8)
    registry = load_models_def(tmp_path / "shipped", tmp_path / "user")
    assert "svi2pro" not in registry.models_def["a"]
    assert registry.definition("a").settings["steps"] == 8
    assert registry.models_def["b"]["URLs"] == ["https://h/mine"]


def test_a_broken_replacement_does_not_fall_back_to_the_shipped_one(tmp_path: Path) -> None:
    define(tmp_path / "shipped", "a")
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "a.json").write_text("{")
    registry = load_models_def(tmp_path / "shipped", tmp_path / "user")
    assert "is not JSON" in why(registry, "a")


def test_a_good_replacement_heals_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "a.json").write_text("{")
    define(tmp_path / "user", "a")
    registry = load_models_def(tmp_path / "shipped", tmp_path / "user")
    assert registry.names() == ("a",)
    assert dict(registry.broken) == {}


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match="is not a folder"):
        load_models_def(tmp_path / "none")


def test_unknown_keys_are_kept_and_listed(tmp_path: Path) -> None:
    define(tmp_path, "a", {"group": "wan", "modules": [1]}, lset_name="x", steps=4)
    registry = load_models_def(tmp_path)
    assert registry.models_def["a"]["group"] == "wan"
    assert registry.definition("a").settings["lset_name"] == "x"
    assert registry.warnings == ("a.json: kept, but nothing reads lset_name, model.group, model.modules.",)


def test_setting_names_of_wan2gp_are_read(tmp_path: Path) -> None:
    define(
        tmp_path,
        "a",
        num_inference_steps=6,
        guidance2_scale=1,
        guidance3_scale=1,
        video_length=81,
        resolution="832x480",
        sample_solver="euler",
    )
    registry = load_models_def(tmp_path)
    assert dict(registry.definition("a").settings) == {
        "steps": 6,
        "guidance_scale_2": 1,
        "guidance_scale_3": 1,
        "num_frames": 81,
        "width": 832,
        "height": 480,
        "solver": "euler",
    }
    assert registry.warnings == ()


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ({"name": ""}, {}, "name is ''"),
        ({"name": 3}, {}, "name is '3'"),
        ({"architecture": "a/b"}, {}, "architecture is 'a/b'"),
        ({"svi2pro": "yes"}, {}, "svi2pro is 'yes'"),
        ({"svi2pro": 1}, {}, "svi2pro is '1'"),
        ({"URLs": [3]}, {}, "URLs.0 is '3'"),
        ({"URLs": {"a": 1}}, {}, "URLs is"),
        ({"files": {"unet": "x"}}, {}, "unknown parts ['unet']"),
        ({"loras": [], "loras_multipliers": [1]}, {}, "1 loras_multipliers for 0 loras"),
        ({"loras": ["a"], "loras_multipliers": ["x"]}, {}, "is not a number"),
        ({"end_frame_mode": "none"}, {}, "end_frame_mode is 'none'"),
        ({"settings": {}}, {}, "settings stand beside"),
        ({}, {"steps": "6"}, "steps is '6'"),
        ({}, {"steps": 0}, "steps is '0'"),
        ({}, {"width": 100}, "width is '100'"),
        ({}, {"resolution": "wide"}, "resolution is 'wide'"),
        ({}, {"resolution": 3}, "resolution is 3"),
        ({}, {"overlap": 5}, "overlap is '5'"),
        ({}, {"flow_shift": 0}, "flow_shift is '0'"),
        ({}, {"solver": "__init__"}, "solver is '__init__'"),
        ({}, {"steps": 5, "steps_per_phase": [2, 2]}, "adds up to 4, and steps is 5"),
        ({}, {"guidance_phases": 3, "steps_per_phase": [2, 2]}, "has 2 entries for guidance_phases 3"),
        ({}, {"sigmas": [0.5, 0.5]}, "they must fall"),
        ({}, {"sigmas": [1.5, 0.5]}, "less than or equal to 1"),
        ({}, {"sigmas": [1.0, 0.5], "steps": 4}, "there are 2 sigmas, and steps is 4"),
        ({}, {"num_frames": 81, "max_frames": 77}, "num_frames 81 is more than max_frames 77"),
        ({}, {"steps": 6, "num_inference_steps": 8}, "another name of steps disagree"),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, model: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    path = define(tmp_path, "a", model, **settings)
    text = why(load_models_def(tmp_path), "a")
    assert message in text
    assert text.startswith(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[]", "holds list, not an object"),
        ("{}", 'no "model" section'),
        ('{"model": 3}', 'no "model" section'),
        ('{"model": {"name": "a", "name": "b"}}', "the key 'name' stands there twice"),
        ('{"model": {}, "steps": NaN}', "NaN is not a number"),
        ("[" * 100_000, "is not JSON"),
        ('{"model": {}}', "name: Field required"),
        ("x" * 1_000_001, "larger than"),
        ("\ufeff\x00", "is not JSON"),
    ],
    ids=["empty", "list", "nothing", "number", "twice", "nan", "deep", "bare", "large", "binary"],
)
def test_what_is_no_definition_file(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    assert message in why(load_models_def(tmp_path), "a")


def test_a_name_that_is_no_id(tmp_path: Path) -> None:
    define(tmp_path, "a b")
    assert "the file's name is the model's id" in why(load_models_def(tmp_path), "a b")


def test_a_folder_or_a_dangling_link_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    (tmp_path / "b.json").symlink_to(tmp_path / "gone")
    registry = load_models_def(tmp_path)
    assert "is not a file" in why(registry, "a")
    assert "is not a file" in why(registry, "b")


def test_a_fine_tune_takes_the_other_parts_of_its_architecture(tmp_path: Path) -> None:
    base = {"transformer": "t", "transformer_2": "t2", "vae": "v", "text_encoder": "e", "tokenizer": "k"}
    define(tmp_path, "i2v_2_2", {"files": base})
    define(tmp_path, "tune", {"URLs": ["https://h/a"], "URLs2": ["https://h/b"]})
    define(tmp_path, "own_vae", {"URLs": ["https://h/a"], "files": {"vae": "mine"}})
    define(tmp_path, "elsewhere", {"architecture": "other"})
    models_def = load_models_def(tmp_path).models_def
    assert models_def["tune"]["files"] == {"vae": "v", "text_encoder": "e", "tokenizer": "k"}
    assert models_def["own_vae"]["files"] == {"vae": "mine", "text_encoder": "e", "tokenizer": "k"}
    assert models_def["i2v_2_2"]["files"] == base
    assert "files" not in models_def["elsewhere"]


def test_hidden_files_are_no_definitions(tmp_path: Path) -> None:
    define(tmp_path, "a")
    (tmp_path / "._a.json").write_bytes(b"\x00\x05\x16\x07")
    registry = load_models_def(tmp_path)
    assert registry.names() == ("a",)
    assert dict(registry.broken) == {}


def test_a_definition_of_wan2gp_as_users_have_them(tmp_path: Path) -> None:
    define(
        tmp_path,
        "finetune",
        {
            "URLs": ["https://h/high_mbf16.safetensors", "https://h/high_quanto_mbf16_int8.safetensors"],
            "URLs2": ["https://h/low_mbf16.safetensors"],
            "group": "wan2_2",
            "image_outputs": False,
        },
        guidance_phases=2,
        switch_threshold=900,
        guidance_scale=1,
        guidance2_scale=1,
        num_inference_steps=4,
        flow_shift=5,
        sample_solver="",
        loras_multipliers="1;0 0;1",
        activated_loras=["https://h/x.safetensors"],
        seed=-1,
    )
    registry = load_models_def(tmp_path)
    assert registry.names() == ("finetune",)
    assert (
        "activated_loras, loras_multipliers, model.group, model.image_outputs, seed" in registry.warnings[0]
    )
