"""A task as a chain of clips: what each clip is made from, and which of its frames are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headless.planning.plan import Plan
from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.frames import FRAMES_PER_LATENT, Source


@dataclass(frozen=True)
class ChainClip:
    """One segment of a chain.

    `plan` is complete for this clip alone: `plan.segments` has one entry, whose `num_frames` are generated,
    `plan.continuation` says how it continues the clip before it (of the first clip: the task's
    `continue_from` or `extend_from`, or nothing). `fields` names, for every input of the clip, the field of
    the task whose file it is: `{"end_image": "segments[2].end_image", "anchor_image": "anchor_image"}`.

    Of the generated frames the first `head_frames` repeat what came before and are cut, and the last
    `tail_frames` are cut because `tail_latents` latents are dropped before the hand-off, or because a loop
    ends one frame before its beginning (in end-frame mode `extra_latent` its last frame is that one anyway).
    The `shown_frames` between them are frames `first_frame`, `first_frame + 1`, ... of the video; after
    `extend_from`, of what is added to it. `alternatives` are further seeds with which the clip is made once
    more, beside the chain.

    `continues` is what is handed over of the clip before (of the first clip: of the task or file that it goes
    on from): its latents as they left the sampler, its last frames, or its last frame. SVI makes latents of
    frames, so `plan.continuation` may say latents where `continues` says pixels. Of the last frame, the clip
    is told as of a start image, which `fields` does not list.
    """

    index: int
    plan: Plan
    fields: Mapping[str, str]
    head_frames: int
    shown_frames: int
    tail_frames: int
    tail_latents: int
    first_frame: int
    continues: Source
    alternatives: tuple[int, ...] = ()

    @property
    def seed(self) -> int:
        """The seed of this clip alone."""
        return self.plan.segments[0].seed


@dataclass(frozen=True)
class ChainPlan:
    """Every clip of a task, in order, and what is done to the whole. A task of one clip is a chain of one.

    `seed` is the task's, from which those of the clips are derived. The adjustments of a clip's own plan name
    its fields (`num_frames`); those here are of all clips, and name the task's (`segments[2].num_frames`).

    `references` holds every input that acts (field -> reference). `colour_lock` is `off`, `anchor`
    or `previous`, `colour_lock_strength` runs from 0 to 1. `extends`: the video begins with the untouched
    frames of the task or file that the field `extend_from` names. `loop`: the last frame is followed by the
    first without a repetition.
    """

    clips: tuple[ChainClip, ...]
    references: Mapping[str, str]
    seed: int
    seed_chosen: bool
    colour_lock: str = "off"
    colour_lock_strength: float = 1.0
    loop: bool = False
    extends: bool = False
    adjustments: tuple[Adjustment, ...] = ()

    @property
    def first(self) -> Plan:
        """The plan of the first clip: size, rate and model are those of all."""
        return self.clips[0].plan

    @property
    def frames_out(self) -> int:
        """Frames that the chain adds; those of `extend_from` come before them."""
        return sum(clip.shown_frames for clip in self.clips)

    @property
    def duration_seconds(self) -> float:
        """Length of those."""
        return self.frames_out / self.first.fps


def frames_of_latents(latents: int) -> int:
    """Pixel frames that so many latent frames at the end of a clip stand for: four each."""
    return FRAMES_PER_LATENT * latents
