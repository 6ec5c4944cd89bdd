"""How each clip of a chain is tied to the one before, and the last one of a loop to the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headless.errors import BadParams
from headless.params.chain_rules import same_picture
from headless.params.generate import GenerateParams
from headless.params.show import show
from headless.planning.images import handed_by, svi2pro_of
from headless.planning.wanted import Wanted
from headless.ports import ModelDefinition
from wan2gp_patch.adjustment import Adjustment
from wan2gp_patch.frames import EndFrameMode, Source


def linked(
    params: GenerateParams, wanted: Sequence[Wanted], definition: ModelDefinition
) -> tuple[Wanted, ...]:
    """The clips with what each is handed, the last one of a loop with its end.

    Raises:
        BadParams: a clip cannot continue so, or a loop has no picture to end with.
    """
    found = [_acting(_handed(one, params, definition), definition) for one in wanted]
    if params.loop:
        found[-1] = _closing(found[-1], found[0], definition)
    return tuple(found)


def end_repeated(end_frame_mode: str) -> int:
    """How many frames at the end of a loop show its first one again; `extra_latent` drops that one anyway."""
    return 0 if end_frame_mode == EndFrameMode.EXTRA_LATENT else 1


def _handed(wanted: Wanted, params: GenerateParams, definition: ModelDefinition) -> Wanted:
    clip = wanted.params
    extends = wanted.name("continue_from") == "extend_from"
    if wanted.index == 0 and not extends:
        return replace(wanted, handed=handed_by(clip.continue_from))
    svi = svi2pro_of(clip, definition)
    if params.continuation == "latents" and not svi:
        called = f"{wanted.called} " if wanted.called else ""
        raise BadParams(
            f'continuation is "latents", and {called}has no svi2pro, which alone goes on from latents: give '
            'svi2pro true, or the continuation "pixels" or "last_frame".'
        )
    if params.continuation in ("pixels", "last_frame"):
        return replace(wanted, handed=Source(params.continuation))
    if not svi:
        return replace(wanted, handed=Source.LAST_FRAME)
    return replace(wanted, handed=handed_by(clip.continue_from) if extends else Source.LATENTS)


def _acting(wanted: Wanted, definition: ModelDefinition) -> Wanted:
    """A clip without what says nothing of it: an overlap where there is none, and in a later clip the start
    image, where the one before ends or which is the task's.

    Svi2pro looks at a start image to know how things look, unless there is an anchor.
    """
    if wanted.params.overlap is not None and wanted.handed in (Source.NOTHING, Source.LAST_FRAME):
        wanted = wanted.giving(overlap=None)
    params = wanted.params
    if wanted.index == 0 or params.start_image is None:
        return wanted
    looks = svi2pro_of(params, definition) and wanted.handed is not Source.LAST_FRAME
    if looks and (params.anchor_image is None or same_picture(params.start_image, params.anchor_image)):
        return wanted
    return wanted.giving(start_image=None)


def _closing(last: Wanted, first: Wanted, definition: ModelDefinition) -> Wanted:
    """The last clip of a loop: it ends with the video's first frame, and without a tail."""
    by_anchor = svi2pro_of(first.params, definition) and first.params.anchor_image is not None
    field = "anchor_image" if by_anchor else "start_image"
    picture = getattr(first.params, field)
    if picture is None:
        raise BadParams(
            "loop is true, and there is no picture of the first frame for the last one to end with: "
            "give start_image."
        )
    own = last.params.end_image
    if own is not None and not same_picture(own, picture):
        raise BadParams(
            f"loop is true, and {last.name('end_image')} is {show(own)}: a loop ends with its first frame, "
            f"which is {first.name(field)}. Leave one of them out."
        )
    closing = last if own is not None else last.giving(first.name(field), end_image=picture)
    tail = last.params.end_tail_latents
    if tail:
        why = "the last segment of a loop is shown to its end, where the video begins"
        noted = Adjustment("end_tail_latents", tail, 0, why)
        closing = replace(closing.giving(end_tail_latents=0), noted=(noted,))
    return replace(closing, closes=True)
