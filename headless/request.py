"""From a plan and the files that are here to what the engine is asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headless.inputs import PICTURE_FIELDS, GivenPicture, Inputs
from headless.media.file_kind import HEAD_BYTES, FileKind, identify
from headless.media.fit import FitReport, fit_picture
from headless.media.images import ImageLimits, load_image
from headless.media.video import VideoLimits, read_clip, read_frames
from headless.plan import Plan
from headless.segment import Clip, LoraUse, Mask, Picture, SegmentRequest
from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.frames import EndFrameMode, decoded_frames, prefix_frames

_PICTURES = frozenset(
    {FileKind.PNG, FileKind.JPEG, FileKind.WEBP, FileKind.BMP, FileKind.TIFF, FileKind.AVIF}
)


@dataclass(frozen=True)
class SegmentInputs:
    """Pictures and frames in the size of the clip, LoRAs as files, and what was done to make them fit."""

    pictures: dict[str, Picture] = field(default_factory=dict)
    prefix: Clip | None = None
    previous_latents: Path | None = None
    pad_video: Clip | None = None
    known_mask: Mask | None = None
    loras: tuple[LoraUse, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()

    @property
    def arrays(self) -> tuple[npt.NDArray[Any] | None, ...]:
        """Everything here that is made of pixels."""
        return (*self.pictures.values(), self.prefix, self.pad_video, self.known_mask)


class Fitted:
    """What several clips of a task have in common is brought to their size once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Picture, FitReport]] = {}
        self._clips: dict[Hashable, tuple[Clip, tuple[Adjustment, ...]]] = {}

    def clip(
        self, path: Path, name: str, plan: Plan, check: Callable[[], None]
    ) -> tuple[Clip, tuple[Adjustment, ...]]:
        """Frames beside those of a clip, and what was done to them."""
        mode = EndFrameMode(plan.end_frame_mode) if "end_image" in plan.references else EndFrameMode.NONE
        longest = decoded_frames(plan.num_frames, mode)
        key = (path, name, longest, plan.width, plan.height, plan.image_fit, plan.fps)
        if key not in self._clips:
            self._clips[key] = _beside_the_clip(path, name, longest, plan, check)
        return self._clips[key]

    def picture(
        self, given: GivenPicture, plan: Plan, check: Callable[[], None]
    ) -> tuple[Picture, FitReport]:
        """The picture in the size of a clip, and what was done to it. At full size it is not kept."""
        key = (given.path, plan.width, plan.height, plan.image_fit)
        if key not in self._known:
            check()
            self._known[key] = fit_picture(given.load(), plan.width, plan.height, plan.image_fit)
        return self._known[key]


def segment_inputs(
    plan: Plan,
    inputs: Inputs,
    loras: tuple[LoraUse, ...],
    check: Callable[[], None] = lambda: None,
    fitted_before: Fitted | None = None,
) -> SegmentInputs:
    """Bring everything that acts to the size of the clip. Raises `BadInput`.

    `check` is called for every frame that is read, and may raise to stop. `fitted_before`: that of the task.
    """
    fitting = fitted_before or Fitted()
    fitted: dict[str, Picture] = {}
    adjustments: list[Adjustment] = []
    for name in PICTURE_FIELDS:
        if name in plan.references and name in inputs.pictures:
            fitted[name], report = fitting.picture(inputs.pictures[name], plan, check)
            if (entry := report.adjustment(name)) is not None:
                adjustments.append(entry)
    frames = {name: file.path for name, file in inputs.files.items() if name in plan.references}
    made = SegmentInputs(fitted, loras=loras)
    if inputs.previous_latents is not None:
        made = replace(made, previous_latents=inputs.previous_latents.path)
    if "continue_from" in frames:
        prefix = read_clip(
            frames["continue_from"],
            limits=VideoLimits(),
            last=prefix_frames(plan.overlap),
            fps=plan.fps,
            field="continue_from",
            check=check,
        )
        adjustments += _too_short(prefix, plan)
        made = replace(made, prefix=_fitted_clip(prefix, "continue_from", plan, adjustments))
    if "pad_video" in frames:
        clip, changed = fitting.clip(frames["pad_video"], "pad_video", plan, check)
        adjustments += changed
        made = replace(made, pad_video=clip)
    if "known_mask" in frames:
        clip, changed = fitting.clip(frames["known_mask"], "known_mask", plan, check)
        adjustments += changed
        made = replace(made, known_mask=_mask(clip))
    return replace(made, adjustments=tuple(adjustments))


def build_request(
    plan: Plan,
    inputs: SegmentInputs,
    sampled: Path | None = None,
    *,
    strict: bool = False,
    end_tail_latents: int = 0,
) -> SegmentRequest:
    """The one segment of a plan, complete. `sampled`: its latents, where an earlier attempt left them."""
    segment = plan.segments[0]
    return SegmentRequest(
        model=plan.model,
        prompt=plan.prompt,
        negative_prompt=plan.negative_prompt,
        width=plan.width,
        height=plan.height,
        num_frames=segment.num_frames,
        steps=plan.steps,
        guidance_scale=plan.guidance_scale,
        guidance_scale_2=plan.guidance_scale_2,
        flow_shift=plan.flow_shift,
        seed=segment.seed,
        end_frame_mode=plan.end_frame_mode,
        motion_latent_count=plan.motion_latent_count,
        svi_pad_empty_frames_with_anchor=plan.svi_pad_empty_frames_with_anchor,
        start_image=inputs.pictures.get("start_image"),
        end_image=inputs.pictures.get("end_image"),
        anchor_image=inputs.pictures.get("anchor_image"),
        prefix=inputs.prefix,
        previous_latents=inputs.previous_latents,
        pad_video=inputs.pad_video,
        known_mask=inputs.known_mask,
        start_latent_strength=plan.start_latent_strength,
        end_latent_strength=plan.end_latent_strength,
        augment_empty_frames=plan.augment_empty_frames,
        noise_augmentation=plan.noise_augmentation,
        overlap=plan.overlap,
        end_tail_latents=end_tail_latents,
        loras=inputs.loras,
        sampled_latents=sampled,
        phase_steps=plan.phase_steps,
        phase_guidance=plan.phase_guidance,
        high_noise_phases=plan.high_noise_phases,
        solver=plan.solver,
        strict=strict,
    )


def _too_short(prefix: Clip, plan: Plan) -> Iterator[Adjustment]:
    """What a video changes that has fewer frames than a clip was planned to go on from."""
    found, wanted, more = len(prefix), prefix_frames(plan.overlap), plan.continuation.head_drop - 1
    if found < wanted and more > 0:
        used = "the anchor alone" if plan.svi2pro else "its last frame"
        why = (
            f"at {plan.fps} frames per second it shows {found}; {more} frames of the clip that would have "
            "repeated it are new"
        )
        yield Adjustment("continue_from", f"its last {wanted} frames", used, why)


def _beside_the_clip(
    path: Path, name: str, longest: int, plan: Plan, check: Callable[[], None]
) -> tuple[Clip, tuple[Adjustment, ...]]:
    """Frames of a video at the clip's rate, or of a picture one, as long as the clip and fitted to it.

    What lies beyond the clip is not even read: a short file can hold more frames than there is memory.
    """
    adjustments: list[Adjustment] = []
    if _is_picture(path):
        picture = load_image(path, field=name, limits=ImageLimits())
        return _fitted_clip([picture], name, plan, adjustments), tuple(adjustments)
    frames = read_frames(path, limits=VideoLimits(), fps=plan.fps, field=name, check=check)
    clip = _fitted_clip(islice(frames, longest), name, plan, adjustments)
    if next(frames, None) is not None:
        why = "the clip ends before it does"
        adjustments.append(Adjustment(name, f"more than {longest} frames", f"{longest} frames", why))
    return clip, tuple(adjustments)


def _is_picture(path: Path) -> bool:
    with path.open("rb") as file:
        return identify(file.read(HEAD_BYTES)) in _PICTURES


def _fitted_clip(clip: Iterable[Picture], name: str, plan: Plan, adjustments: list[Adjustment]) -> Clip:
    """Every frame in the size of the clip; what was cut or padded is listed once."""
    fitted = [fit_picture(frame, plan.width, plan.height, plan.image_fit) for frame in clip]
    if (entry := fitted[0][1].adjustment(name)) is not None:
        adjustments.append(entry)
    return np.stack([picture for picture, _ in fitted])


def _mask(clip: Clip) -> Mask:
    grey: Mask = clip.mean(axis=3, dtype=np.float32) / np.float32(255)
    return grey
