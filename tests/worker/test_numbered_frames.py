"""Pictures that carry their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headless.adapters.fake_faults import KINDS, read_faults
from headless.adapters.numbered_frames import draw_number, read_number


@given(
    number=st.integers(0, 65535), width=st.sampled_from([64, 96, 832]), height=st.sampled_from([48, 64, 480])
)
def test_a_number_is_read_back(number: int, width: int, height: int) -> None:
    picture = draw_number(number, width, height)
    assert picture.shape == (height, width, 3)
    assert read_number(picture) == number


def test_a_number_survives_noise() -> None:
    noise = np.random.default_rng(1).normal(0, 40, (64, 96, 3))
    noisy = np.clip(draw_number(12345, 96, 64) + noise, 0, 255).astype(np.uint8)
    assert read_number(noisy) == 12345


@pytest.mark.parametrize("number", [-1, 65536])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="0 to 65535"):
        draw_number(number, 64, 64)


def test_faults_are_read_from_a_prompt() -> None:
    first, second = read_faults("a cat [fault oom at step 2] yawns [fault bug at decoding]")
    assert (first.kind, first.where, first.step) == ("oom", "step", 2)
    assert (second.kind, second.where) == ("bug", "decoding")
    assert read_faults("a cat") == ()
    assert len(KINDS) == len(set(KINDS))


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="Use one of: oom"):
        read_faults("[fault meteor]")
