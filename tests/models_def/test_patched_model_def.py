"""A definition is changed for one block and put back exactly, whatever happens in it."""

from __future__ import annotations

import copy
import logging
from collections import UserDict
from typing import Any

import numpy as np
import pytest

from wan2gp_patch.models_def import UnknownModel, patched_model_def


class Loaded:
    """An engine or pipeline: any object with a `model_def`."""

    def __init__(self, model_def: Any) -> None:
        self.model_def = model_def


class Engine(Loaded):
    """One that also says which model it holds."""

    def __init__(self, model_def: Any, loaded_model: str | None) -> None:
        super().__init__(model_def)
        self.loaded_model = loaded_model


class BoomError(Exception):
    """Raised on purpose."""


class FailsOn(UserDict[str, Any]):
    """A mapping that refuses to set one key."""

    def __init__(self, data: dict[str, Any], key: str, error: BaseException) -> None:
        super().__init__(data)
        self.failing, self.error = key, error

    def __setitem__(self, key: str, value: Any) -> None:
        if key == getattr(self, "failing", None):
            raise self.error
        super().__setitem__(key, value)


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "svi" and r.levelno == level]


def test_the_two_log_lines_to_the_letter(caplog: pytest.LogCaptureFixture) -> None:
    models_def: dict[str, dict[str, Any]] = {"i2v_2_2": {"name": "x"}}
    with patched_model_def(models_def, "i2v_2_2", {"svi2pro": True}):
        assert lines(caplog) == ["[SVI2PRO] Patched wgp.models_def['i2v_2_2']['svi2pro'] = True (was: None)"]
    assert lines(caplog)[1:] == ["[SVI2PRO] Restored wgp.models_def['i2v_2_2']['svi2pro'] to None"]


def test_the_old_value_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with patched_model_def({"m": {"svi2pro": True}}, "m", {"svi2pro": False}):
        pass
    assert lines(caplog) == [
        "[SVI2PRO] Patched wgp.models_def['m']['svi2pro'] = False (was: True)",
        "[SVI2PRO] Restored wgp.models_def['m']['svi2pro'] to True",
    ]


def test_the_lines_show_though_the_root_logger_only_shows_warnings(caplog: pytest.LogCaptureFixture) -> None:
    logger, root = logging.getLogger("svi"), logging.getLogger()
    before = logger.level, root.level
    try:
        logger.setLevel(logging.NOTSET)
        root.setLevel(logging.WARNING)
        with patched_model_def({"m": {}}, "m", {"svi2pro": True}):
            pass
        assert len(lines(caplog)) == 2
    finally:
        logger.setLevel(before[0])
        root.setLevel(before[1])


def test_a_level_that_somebody_set_is_respected(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("svi")
    before = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with patched_model_def({"m": {}}, "m", {"svi2pro": True}):
            pass
        assert lines(caplog) == []
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(before)


def test_a_logger_of_the_callers_choice(caplog: pytest.LogCaptureFixture) -> None:
    other = logging.getLogger("elsewhere")
    with caplog.at_level(logging.INFO, "elsewhere"), patched_model_def({"m": {}}, "m", {"a": 1}, log=other):
        pass
    assert [r.name for r in caplog.records] == ["elsewhere", "elsewhere"]


def test_one_dict_in_both_places_is_patched_once(caplog: pytest.LogCaptureFixture) -> None:
    definition: dict[str, Any] = {"svi2pro": False}
    with patched_model_def({"m": definition}, "m", {"svi2pro": True}, loaded=Loaded(definition)):
        assert definition == {"svi2pro": True}
    assert definition == {"svi2pro": False}
    assert len(lines(caplog)) == 2


def test_two_dicts_go_back_to_their_own_values(caplog: pytest.LogCaptureFixture) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {}}
    loaded = Loaded({"svi2pro": False})
    with patched_model_def(models_def, "m", {"svi2pro": True}, loaded=loaded):
        assert models_def["m"] == {"svi2pro": True} == loaded.model_def
    assert models_def["m"] == {}
    assert loaded.model_def == {"svi2pro": False}
    assert "[SVI2PRO] Patched loaded.model_def['svi2pro'] = True (was: False)" in lines(caplog)
    assert "[SVI2PRO] Restored loaded.model_def['svi2pro'] to False" in lines(caplog)


@pytest.mark.parametrize("loaded", [None, object(), Loaded(None), Loaded("text"), Loaded(3)])
def test_a_loaded_object_without_a_definition_is_no_obstacle(loaded: object) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {}}
    with patched_model_def(models_def, "m", {"svi2pro": True}, loaded=loaded):
        assert models_def["m"] == {"svi2pro": True}
    assert models_def == {"m": {}}


def test_an_engine_that_holds_another_model_is_left_alone() -> None:
    engine = Engine({"name": "other"}, "other")
    with patched_model_def({"m": {}}, "m", {"svi2pro": True}, loaded=engine):
        assert engine.model_def == {"name": "other"}


@pytest.mark.parametrize("error", [BoomError("x"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_any_exception_restores_and_goes_on(error: BaseException) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {"keep": 1}}
    with (
        pytest.raises(type(error)) as caught,
        patched_model_def(models_def, "m", {"svi2pro": True, "keep": 2}),
    ):
        raise error
    assert caught.value is error
    assert models_def == {"m": {"keep": 1}}


def test_nested_blocks_unwind_last_in_first_out(caplog: pytest.LogCaptureFixture) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {"a": 0}}
    with patched_model_def(models_def, "m", {"a": 1, "b": 1}):
        with patched_model_def(models_def, "m", {"a": 2}):
            assert models_def["m"] == {"a": 2, "b": 1}
        assert models_def["m"] == {"a": 1, "b": 1}
    assert models_def == {"m": {"a": 0}}
    assert not lines(caplog, logging.WARNING)


def test_a_value_changed_inside_is_restored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {"svi2pro": None}}
    with patched_model_def(models_def, "m", {"svi2pro": True}):
        models_def["m"]["svi2pro"] = "someone else's"
    assert models_def == {"m": {"svi2pro": None}}
    (warning,) = lines(caplog, logging.WARNING)
    assert "wgp.models_def['m']['svi2pro']" in warning
    assert "True" in warning
    assert '"someone else\'s"' in warning


def test_a_key_deleted_inside_comes_back_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {"sliding_window": {"size": 81}}}
    with patched_model_def(models_def, "m", {"sliding_window": False}):
        del models_def["m"]["sliding_window"]
    assert models_def == {"m": {"sliding_window": {"size": 81}}}
    assert len(lines(caplog, logging.WARNING)) == 1


def test_the_same_object_comes_back_not_a_copy() -> None:
    window = {"size": 81}
    models_def: dict[str, dict[str, Any]] = {"m": {"sliding_window": window}}
    with patched_model_def(models_def, "m", {"sliding_window": None}):
        pass
    assert models_def["m"]["sliding_window"] is window


def test_true_is_not_one(caplog: pytest.LogCaptureFixture) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {}}
    with patched_model_def(models_def, "m", {"svi2pro": True}):
        models_def["m"]["svi2pro"] = 1
    assert len(lines(caplog, logging.WARNING)) == 1


def test_values_that_do_not_compare_are_restored_too(caplog: pytest.LogCaptureFixture) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {}}
    with patched_model_def(models_def, "m", {"mask": np.zeros(2)}):
        models_def["m"]["mask"] = np.zeros(2)
    assert models_def == {"m": {}}
    assert len(lines(caplog, logging.WARNING)) == 1


def test_an_unknown_model_is_refused_before_anything_is_changed() -> None:
    models_def: dict[str, dict[str, Any]] = {"i2v_2_2": {}, "tiny": {}}
    loaded = Loaded({"name": "x"})
    before = copy.deepcopy((models_def, loaded.model_def))
    block = patched_model_def(models_def, "i2v_22", {"svi2pro": True}, loaded=loaded)
    with pytest.raises(UnknownModel) as caught, block:
        pytest.fail("the block must not run")
    assert str(caught.value) == "There is no model definition 'i2v_22' to change. Known: i2v_2_2."
    assert isinstance(caught.value, KeyError)
    assert (models_def, loaded.model_def) == before


def test_an_unknown_model_where_there_is_none() -> None:
    with pytest.raises(UnknownModel, match="Known: none"), patched_model_def({}, "m", {}):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("error", [BoomError("x"), KeyboardInterrupt()])
def test_failure_half_way_unwinds_what_was_changed(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    definition: dict[str, Any] = {"a": 0}
    loaded = Loaded(FailsOn({"a": 5}, "b", error))
    block = patched_model_def({"m": definition}, "m", {"a": 1, "b": 2}, loaded=loaded)
    with pytest.raises(type(error)), block:
        pytest.fail("nothing runs without what was asked for")
    assert definition == {"a": 0}
    assert dict(loaded.model_def) == {"a": 5}
    assert not lines(caplog, logging.WARNING)


def test_an_error_while_restoring_does_not_stop_the_rest() -> None:
    sticky = FailsOn({"a": 0}, "none", BoomError("stuck"))
    loaded = Loaded({"a": 7})
    with (
        pytest.raises(BoomError, match="stuck"),
        patched_model_def({"m": sticky}, "m", {"a": 1, "b": 2}, loaded),
    ):
        sticky.failing = "a"
    assert dict(sticky) == {"a": 1}
    assert loaded.model_def == {"a": 7}


def test_no_changes_do_nothing(caplog: pytest.LogCaptureFixture) -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {"a": 1}}
    with patched_model_def(models_def, "m", {}):
        assert models_def == {"m": {"a": 1}}
    assert lines(caplog) == []


def test_a_later_change_of_the_changes_has_no_effect() -> None:
    changes: dict[str, Any] = {"a": 1}
    models_def: dict[str, dict[str, Any]] = {"m": {}}
    with patched_model_def(models_def, "m", changes):
        changes["b"] = 2
    assert models_def == {"m": {}}


def test_a_model_loaded_inside_the_block_does_not_keep_the_change() -> None:
    """The engine copies the changed definition when it loads: the copy must not outlive the block."""
    models_def: dict[str, dict[str, Any]] = {"m": {"name": "x"}}
    engine = Engine({}, None)
    with patched_model_def(models_def, "m", {"svi2pro": True}, loaded=engine):
        engine.model_def, engine.loaded_model = copy.deepcopy(models_def["m"]), "m"
        assert engine.model_def["svi2pro"] is True
    assert engine.model_def == {"name": "x"}
    assert models_def == {"m": {"name": "x"}}


def test_another_model_loaded_inside_the_block_keeps_its_own_value() -> None:
    models_def: dict[str, dict[str, Any]] = {"m": {}, "svi": {"svi2pro": True}}
    engine = Engine(models_def["m"], "m")
    with patched_model_def(models_def, "m", {"svi2pro": True}, loaded=engine):
        engine.model_def, engine.loaded_model = models_def["svi"], "svi"
    assert models_def == {"m": {}, "svi": {"svi2pro": True}}


def test_a_definition_removed_inside_is_restored_where_it_is() -> None:
    definition: dict[str, Any] = {}
    models_def = {"m": definition}
    with patched_model_def(models_def, "m", {"svi2pro": True}):
        del models_def["m"]
    assert definition == {}
    assert models_def == {}
