"""What of a planned chain is impossible, and what of its request does nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headless.errors import BadParams
from headless.params.generate import GenerateParams
from headless.planning.chain import ChainClip, frames_of_latents
from headless.planning.images import frames_seen
from headless.planning.ledger import Ledger
from headless.planning.plan import Plan
from headless.planning.size import Size
from headless.planning.wanted import Wanted
from wan2gp_patch.frames import SIZE_MULTIPLE, Source


def check_hand_off(called: str, plan: Plan, handed: Source, before: ChainClip) -> None:
    """Raise `BadParams` where a clip sees more of the one before than there is."""
    made = before.plan.segments[0].num_frames - frames_of_latents(before.tail_latents)
    needed = frames_seen(handed, plan.motion_latent_count, plan.overlap)
    if needed > made:
        raise BadParams(
            f"{called} needs the last {needed} frames of the one before, which has only {made}: give a "
            "smaller overlap, or longer segments."
        )


def check_extended_size(params: GenerateParams, plan: Plan, sizes: Mapping[str, Size]) -> None:
    """Raise `BadParams` where the video that is extended cannot stay as it is."""
    size = sizes.get("extend_from") if params.extend_from is not None else None
    if size is None or size == (plan.width, plan.height):
        return
    shown = f"{size[0]} x {size[1]}"
    if any(side % SIZE_MULTIPLE for side in size):
        raise BadParams(
            f"extend_from is {shown} pixels, and its frames stay as they are: legal are sides that are "
            f"multiples of {SIZE_MULTIPLE}. Scale the video first, or give it as continue_from."
        )
    raise BadParams(
        f"width and height are {plan.width} x {plan.height}, and extend_from is {shown}, whose frames stay "
        f"as they are: give {shown}, or leave width and height out."
    )


def check_reroll(params: GenerateParams, clips: Sequence[ChainClip]) -> None:
    """Raise `BadParams` for alternatives of a segment that is not there, or that it has anyway."""
    for index, seeds in (params.reroll or {}).items():
        if index >= len(clips):
            legal = "0" if len(clips) == 1 else f"0 to {len(clips) - 1}"
            raise BadParams(
                f"reroll names segment {index}, and this video has {len(clips)}, counted from 0: "
                f"give {legal}."
            )
        if clips[index].seed in seeds:
            raise BadParams(
                f"reroll gives segment {index} the seed {clips[index].seed}, which it has anyway: "
                "give others."
            )


def report_idle(params: GenerateParams, wanted: Sequence[Wanted], ledger: Ledger) -> None:
    """Write down what a task says of a chain that does nothing in this one."""
    continuing = {one.handed for one in wanted if one.handed is not Source.NOTHING}
    if params.overlap is not None and not continuing:
        ledger.used("overlap", params.overlap, None, "the one clip continues nothing")
    if params.overlap is not None and continuing == {Source.LAST_FRAME}:
        ledger.used("overlap", params.overlap, None, "every clip goes on from the last frame alone")
    if len(wanted) == 1 and params.extend_from is None:
        ledger.used("continuation", params.continuation, None, "there is one clip")


def colour_lock(params: GenerateParams, wanted: Sequence[Wanted], ledger: Ledger) -> str:
    """The colour lock that acts.

    Raises:
        BadParams: there is no picture to keep the colours of.
    """
    lock, strength = params.color_lock, params.color_lock_strength
    if lock == "anchor" and not any({"anchor_image", "start_image"} & set(one.names) for one in wanted):
        raise BadParams(
            'color_lock is "anchor", and there is no picture whose colours to keep: give start_image or '
            'anchor_image, or the color_lock "previous".'
        )
    if lock == "previous" and all(one.handed is Source.NOTHING for one in wanted):
        ledger.used("color_lock", lock, "off", "there is one clip, and nothing before it")
        lock = "off"
    if lock == "off" and strength != 1:
        ledger.used("color_lock_strength", strength, None, "color_lock is off")
    return lock
