"""Measure the clips that set the thresholds, and write what was measured beside the values.

    python -m tests.tools.set_thresholds [--check]

The values themselves are chosen by a person; this fails where one does not separate its clips. `--check`
writes nothing and says what has changed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from headless.quality.clip_meter import measure
from headless.quality.fidelity import psnr, ssim
from headless.quality.frame_look import FrameLook, difference, look_at
from headless.quality.thresholds import FILE, Thresholds, load_thresholds
from headless.segment import Clip, Picture
from tests.tools.quality_clips import BORDER, CLIPS, LIKENESSES, picture, scene
from tests.tools.tiny_clips import TinyClip, tiny_clips

MIST, SKY = "mist", "overcast sky"
TINY, NOTHING = "tiny model, start and end", "tiny model, no images"
TINY_START, TINY_END = "tiny model, start", "tiny model, end"

Sides = tuple[tuple[str, ...], tuple[str, ...]]

CLIPS_OF: Mapping[str, Sides] = MappingProxyType(
    {
        "black_luma": (("night", "dusk", TINY), ("black", "black with noise")),
        "black_share": (("moving", "flash of black", "night"), ("black", "black tail")),
        "grey_luma_std": ((MIST, TINY), ("grey", "grey with noise", NOTHING)),
        "grey_chroma": ((SKY, TINY), ("grey", "grey with noise", NOTHING)),
        "grey_luma_distance": (("dusk", "snow"), ("grey", "grey with noise", NOTHING)),
        "grey_share": (("moving", MIST, SKY, "snow", TINY), ("grey tail", "grey with noise", NOTHING)),
        "frozen_difference": (
            ("slow", "held with grain", "small ball", "night", TINY),
            ("frozen", "frozen with rounding"),
        ),
        "frozen_share": (("slow", "night", TINY), ("frozen", "frozen with rounding", "frozen tail")),
        "not_finite_frames": (("moving",), ("one frame of NaN",)),
        "picture_psnr": (
            ("blurred", "darker", "less contrast", "noisy", TINY_START, TINY_END),
            ("another scene", "plain grey", "plain black", "pure noise", NOTHING),
        ),
        "picture_ssim": (
            ("blurred", "darker", "less contrast", "numbered", TINY_START, TINY_END),
            ("another scene", "plain grey", "plain black", "pure noise", NOTHING),
        ),
        "run_length": (("moving", "flash of black"), ("grey tail", "black tail", "frozen tail")),
        "seam_difference": (("moving", "slow", "snow"), ("jump",)),
        "seam_colour": (("moving", "slow", "warmer light"), ("jump", "colour jump")),
        "drift_delta_e": (("moving", "warmer light"), ("drifting",)),
    }
)
"""Threshold -> names of the clips that it must accept, and of those that it must flag."""


class Bench:
    """Measures clips by name."""

    def __init__(self, limits: Thresholds, tiny: Mapping[str, TinyClip]) -> None:
        self._limits = limits
        self._tiny = tiny

    def measured(self, threshold: str, clip: str) -> float:
        """The measurement of `clip` that `threshold` is about; of many frames, the one nearest to a flaw."""
        return round(self._of(threshold, clip), 3)

    def _of(self, threshold: str, clip: str) -> float:
        if threshold == "not_finite_frames":
            return float(clip == "one frame of NaN")
        if threshold.startswith("picture_"):
            return _LIKENESS[threshold](*self._pair(clip))
        if threshold in _LOOKS:
            return min(_LOOKS[threshold](look_at(frame)) for frame in self._clip(clip))
        if threshold == "frozen_difference":
            looks = [look_at(frame) for frame in self._clip(clip)]
            return min(difference(*pair) for pair in pairwise(looks))
        return self._over_the_clip(threshold, self._clip(clip))

    def _over_the_clip(self, threshold: str, clip: Clip) -> float:
        whole = measure(clip, self._limits, anchor=picture(scene()))
        joined = measure(clip, self._limits, head=BORDER)
        assert whole.drift is not None
        assert joined.seam is not None
        return {
            "black_share": whole.black_share,
            "grey_share": whole.grey_share,
            "frozen_share": whole.frozen_share,
            "run_length": float(max(whole.black_run, whole.grey_run, whole.frozen_run)),
            "seam_difference": joined.seam.difference,
            "seam_colour": joined.seam.colour,
            "drift_delta_e": whole.drift.delta_e,
        }[threshold]

    def _clip(self, name: str) -> Clip:
        return self._tiny[name].frames if name in self._tiny else CLIPS[name]()

    def _pair(self, name: str) -> tuple[Picture, Picture]:
        """A frame, and the picture that it should show."""
        clip = self._tiny[TINY]
        assert clip.start_image is not None
        assert clip.end_image is not None
        assert clip.end is not None
        of_the_model = {
            TINY_START: (clip.frames[0], clip.start_image),
            TINY_END: (clip.end, clip.end_image),
            NOTHING: (self._tiny[NOTHING].frames[0], clip.start_image),
        }
        return of_the_model[name] if name in of_the_model else (LIKENESSES[name](), picture(scene()))


def _bright(look: FrameLook) -> float:
    return look.bright


def _luma_std(look: FrameLook) -> float:
    return look.luma_std


def _chroma(look: FrameLook) -> float:
    return look.chroma


def _luma_distance(look: FrameLook) -> float:
    return look.luma_distance


_LOOKS: Mapping[str, Callable[[FrameLook], float]] = MappingProxyType(
    {
        "black_luma": _bright,
        "grey_luma_std": _luma_std,
        "grey_chroma": _chroma,
        "grey_luma_distance": _luma_distance,
    }
)
_LIKENESS: Mapping[str, Callable[[Picture, Picture], float]] = MappingProxyType(
    {"picture_psnr": psnr, "picture_ssim": ssim}
)


def measured_anew(content: dict[str, Any], bench: Bench) -> dict[str, Any]:
    """The content of the file with every measurement made again."""
    made = dict(content)
    for name, (accepted, flagged) in CLIPS_OF.items():
        made[name] = content[name] | {
            "accepted": {clip: bench.measured(name, clip) for clip in accepted},
            "flagged": {clip: bench.measured(name, clip) for clip in flagged},
        }
    return made


def main(arguments: list[str]) -> int:
    """Write, or check; the exit status."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    made = measured_anew(content, Bench(load_thresholds(), tiny_clips()))
    Thresholds.model_validate(made)
    if "--check" in arguments:
        changed = [name for name in CLIPS_OF if made[name] != content[name]]
        print("changed:", ", ".join(changed) or "nothing")  # noqa: T201 - a script
        return 1 if changed else 0
    FILE.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
