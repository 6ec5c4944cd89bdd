"""The data file: its values separate the clips that set them, and what it says was measured is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headless.quality.thresholds import FILE, Threshold, Thresholds, load_thresholds
from tests.tools.set_thresholds import CLIPS_OF, Bench
from tests.tools.tiny_clips import tiny_clips

FEW = settings(deadline=None, max_examples=30)
DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "quality.md"


@pytest.fixture(scope="module")
def bench() -> Bench:
    """The clips, those of the tiny model too."""
    return Bench(load_thresholds(), tiny_clips())


def test_every_threshold_has_clips() -> None:
    assert set(CLIPS_OF) == set(Thresholds.model_fields) - {"format"}


@pytest.mark.parametrize("name", sorted(CLIPS_OF))
def test_what_the_file_says_is_what_is_measured(name: str, limits: Thresholds, bench: Bench) -> None:
    threshold: Threshold = getattr(limits, name)
    for told, names, flagged in (
        (threshold.accepted, CLIPS_OF[name][0], False),
        (threshold.flagged, CLIPS_OF[name][1], True),
    ):
        assert tuple(told) == names
        for clip, value in told.items():
            measured = bench.measured(name, clip)
            assert threshold.flagged_by(measured) is flagged, (clip, measured)
            if not clip.startswith("tiny model"):  # A network's last bits depend on the machine.
                assert measured == pytest.approx(value, abs=0.002)


def test_the_documentation_has_every_threshold(limits: Thresholds) -> None:
    rows = [line.split("|") for line in DOCUMENT.read_text(encoding="utf-8").splitlines()]
    told = {cells[1].strip(" `"): cells[2].strip() for cells in rows if len(cells) > 3}
    for name in CLIPS_OF:
        threshold: Threshold = getattr(limits, name)
        assert told[name] == f"{threshold.flags} {threshold.value:g}"


def _changed(tmp_path: Path, **changes: Any) -> Path:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    content["black_share"] |= changes
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"value": 0.6}, "accepts the clip 'black tail'"),
        ({"value": 0.05}, "flags the clip 'flash of black'"),
        ({"flags": "over"}, "black_share.flags"),
        ({"colour": 1}, "black_share.colour"),
        ({"accepted": {}}, "black_share.accepted"),
        ({"value": "a quarter"}, "black_share.value"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        load_thresholds(_changed(tmp_path, **changes))


@FEW
@given(st.floats(allow_nan=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_measurement_is_on_one_side(measured: float, value: float) -> None:
    above, below = (
        Threshold.model_construct(value=value, flags=side, unit="", meaning="", accepted={}, flagged={})
        for side in ("above", "below")
    )
    assert above.flagged_by(measured) == (measured > value)
    assert below.flagged_by(measured) == (measured < value)
    assert above.flagged_by(value) is below.flagged_by(value) is False


@pytest.mark.parametrize("flags", ["above", "below"])
def test_what_is_not_a_number_is_flagged(flags: str) -> None:
    limit = Threshold.model_construct(value=0.0, flags=flags, unit="", meaning="", accepted={}, flagged={})
    assert limit.flagged_by(float("nan"))
