"""The benchmark of methods scores what it says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import FEW_STEPS, LIGHTNING, METHODS, MODES, continuation_row, mode_row, rows
from benchmarks.trained.clips import Chain, Studio, changed_psnr, held_out, pictures


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio()


def test_a_mode_is_scored_against_its_own_end_image(studio: Studio) -> None:
    row = mode_row(studio, "extra_latent", 0)
    assert {"start_psnr", "end_psnr", "end_psnr_changed", "truth_psnr", "motion"} <= set(row)
    assert all(math.isfinite(value) for value in row.values())
    assert row["end_psnr_changed"] > mode_row(studio, "none", 0)["end_psnr_changed"]


@pytest.mark.parametrize(
    ("method", "new"), [("latents", 12), ("renewed", 12), ("pixels", 8), ("last_frame", 16)]
)
def test_a_continuation_has_the_frames_of_its_method(
    method: str, new: int, studio: Studio, tmp_path: Path
) -> None:
    assert method in METHODS
    chain = Chain(studio, held_out(0), 0, method, tmp_path)
    assert (chain.go_on(), chain.go_on()) == (17, new)
    assert len(chain.frames) == 17 + new


def test_rows_are_named_and_averaged(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.quality.mode_row", lambda studio, mode, number: {"x": float(number)})
    found = list(rows(studio, 4, "modes"))
    assert [row["method"] for row in found] == [*MODES, FEW_STEPS, LIGHTNING]
    assert {(row["table"], row["scenes"], row["x"]) for row in found} == {("end frame", 4, 1.5)}


def test_a_continuation_is_scored_at_its_seam(studio: Studio) -> None:
    row = continuation_row(studio, "last_frame", 0)
    assert row["new_frames"] == 16
    assert row["seam_difference"] >= 0


def test_only_what_changes_is_compared() -> None:
    truth = pictures(held_out(0), 0, 17)
    start, end = truth[0], truth[16]
    noisy = end.copy()
    changed = np.abs(end.astype(int) - start).max(axis=2) > 24
    noisy[~changed] = 0
    assert changed_psnr(noisy, end, start) == math.inf
    assert changed_psnr(start, end, start) < 15
    assert changed_psnr(start, start, start) == math.inf
