"""Whatever is patched, nested and raised: afterwards everything is as before."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wan2gp_patch.models_def import patched_model_def

keys = st.sampled_from(["svi2pro", "sliding_window", "svi_pad_empty_frames_with_anchor", "x"])
values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "on"])
    | st.lists(st.integers(), max_size=2)
)
definitions = st.dictionaries(keys, values)


class Loaded:
    """Holds a definition of its own, or the registry's."""

    def __init__(self, model_def: dict[str, Any]) -> None:
        self.model_def = model_def


class Boom(BaseException):
    """Raised inside on purpose."""


def enter(
    depth: list[dict[str, Any]], models_def: dict[str, dict[str, Any]], loaded: Loaded, meddle: Any
) -> None:
    if not depth:
        meddle(models_def["m"])
        return
    with patched_model_def(models_def, "m", depth[0], loaded=loaded):
        for key, value in depth[0].items():
            assert models_def["m"][key] == value == loaded.model_def[key]
        enter(depth[1:], models_def, loaded, meddle)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    definition=definitions,
    own=st.none() | definitions,
    depth=st.lists(definitions, max_size=4),
    meddling=definitions,
    fails=st.booleans(),
)
def test_everything_is_as_before(
    definition: dict[str, Any],
    own: dict[str, Any] | None,
    depth: list[dict[str, Any]],
    meddling: dict[str, Any],
    fails: bool,
) -> None:
    models_def = {"m": definition, "other": {"svi2pro": True}}
    loaded = Loaded(definition if own is None else own)
    before = copy.deepcopy((models_def, loaded.model_def))
    patched = {key for changes in depth for key in changes}

    def meddle(target: dict[str, Any]) -> None:
        target.update({key: value for key, value in meddling.items() if key in patched})
        if fails:
            raise Boom

    if fails:
        with pytest.raises(Boom):
            enter(depth, models_def, loaded, meddle)
    else:
        enter(depth, models_def, loaded, meddle)
    assert (models_def, loaded.model_def) == before
    assert repr((models_def, loaded.model_def)).count("True") == repr(before).count("True")
