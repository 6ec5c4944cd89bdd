"""What chains were expected to do, asserted where it holds over five seeds."""

from __future__ import annotations

from statistics import fmean

import pytest

from benchmarks.quality import chain_row, continuation_row
from benchmarks.trained.clips import Studio

SEEDS = range(100, 105)
"""Of scenes that the published tables do not have either."""
Drift = dict[str, list[float]]


@pytest.fixture(scope="module")
def drifts(studio: Studio) -> Drift:
    """Method -> how far the end of a chain of six clips is from its start image, for every seed."""
    methods = ("latents", "renewed", "last_frame")
    return {method: [chain_row(studio, method, seed)["delta_e"] for seed in SEEDS] for method in methods}


@pytest.mark.parametrize("other", ["renewed", "last_frame"])
def test_a_chain_drifts_less_with_its_anchor(other: str, drifts: Drift) -> None:
    assert fmean(drifts["latents"]) < fmean(drifts[other])


@pytest.mark.parametrize("seed", SEEDS)
def test_latents_keep_more_motion_across_a_seam_than_the_last_frame(seed: int, studio: Studio) -> None:
    kept = {m: continuation_row(studio, m, seed)["motion_kept"] for m in ("latents", "last_frame")}
    assert kept["latents"] > kept["last_frame"]
