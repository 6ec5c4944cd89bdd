"""Strengths per phase and per step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.lora_strengths import parse_strengths, spread


@pytest.mark.parametrize(
    ("value", "strengths"),
    [
        (1, ((1.0,),)),
        (-0.5, ((-0.5,),)),
        ("1;0", ((1.0,), (0.0,))),
        (" 1 ; 0.5 , .2 ", ((1.0,), (0.5, 0.2))),
        ("1;0;1e-3", ((1.0,), (0.0,), (0.001,))),
        ("+1.", ((1.0,),)),
    ],
)
def test_strengths(value: Any, strengths: Any) -> None:
    assert parse_strengths(value) == strengths


@pytest.mark.parametrize(
    "value", [None, True, [1], {}, "", ";", "1;", "x", "0x1", "1_0", "١", "nan", "inf", 11, 10**400]
)
def test_what_is_no_strength(value: Any) -> None:
    with pytest.raises(ValueError, match=r"give a number|is not a number|lies between"):
        parse_strengths(value)


def test_spreading_gives_every_value_as_equal_a_share_as_steps_allow() -> None:
    assert spread((1.0, 0.5), 4) == (1.0, 1.0, 0.5, 0.5)
    assert spread((1.0, 0.5), 3) == (1.0, 1.0, 0.5)
    assert spread((0.7,), 3) == (0.7, 0.7, 0.7)
    assert spread((1.0, 0.5), 0) == ()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(count=st.integers(1, 20), extra=st.integers(0, 50))
def test_spreading_uses_every_value_in_order(count: int, extra: int) -> None:
    values = tuple(float(n) for n in range(count))
    laid = spread(values, count + extra)
    assert list(dict.fromkeys(laid)) == list(values)
    assert sorted(laid) == list(laid)
    shares = [laid.count(value) for value in values]
    assert max(shares) - min(shares) <= 1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=5), min_size=1, max_size=3))
def test_what_is_written_is_read_back(phases: list[list[float]]) -> None:
    text = ";".join(",".join(repr(value) for value in phase) for phase in phases)
    assert parse_strengths(text) == tuple(map(tuple, phases))
