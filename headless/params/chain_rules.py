"""What of a chain's parameters cannot stand together, whatever the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from headless.params.chain import MAX_SEGMENTS, SegmentParams
from headless.params.references import STORAGE
from headless.params.show import show

if TYPE_CHECKING:
    from headless.params.generate import GenerateParams

WAYS: Final = ("segments", "images", "seconds")
"""The three ways to ask for a long video."""

SIGNATURES: Final = frozenset(
    {"token", "expires", "signature", "key-pair-id", "policy", "awsaccesskeyid", "googleaccessid"}
)
"""Parameters of a URL's query, in lower case, that say who may fetch it and until when, not what it is."""
SIGNATURE_FAMILIES: Final = ("x-amz-", "x-goog-")
"""How others of them begin."""


def with_prompt(values: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The parameters with the first prompt of a chain as the task's, where every clip has one of its own."""
    if values.get("prompt") is not None:
        return values
    prompts = values.get("prompts")
    segments = values.get("segments")
    if prompts is None and isinstance(segments, list | tuple):
        named = [one.get("prompt", one.get("base_prompt")) for one in segments if isinstance(one, Mapping)]
        prompts = named if len(named) == len(segments) and None not in named else None
    if not isinstance(prompts, list | tuple):
        return values
    first = next((prompt for prompt in prompts if isinstance(prompt, str) and prompt.strip()), None)
    return values if first is None else {**values, "prompt": first}


def misplaced(values: Mapping[Any, Any], fields: Mapping[str, Any]) -> str | None:
    """What is wrong where a segment names a field that is the whole task's."""
    segments = values.get("segments")
    for index, segment in enumerate(segments[:MAX_SEGMENTS] if isinstance(segments, list | tuple) else ()):
        if not isinstance(segment, Mapping):
            continue
        whole = [name for name in segment if name in fields and name not in SegmentParams.model_fields]
        if whole:
            first = ", and nothing comes before the first one" if whole[0] == "overlap" and not index else ""
            return (
                f"segments[{index}].{whole[0]} is {show(segment[whole[0]])}: {whole[0]} is for the whole task"
                f"{first}: give it beside segments."
            )
    return None


def contradiction(params: GenerateParams) -> str | None:
    """One sentence about what cannot stand together, or `None`."""
    return next(_contradictions(params), None)


def _contradictions(params: GenerateParams) -> Iterator[str]:
    ways = [name for name in WAYS if getattr(params, name) is not None]
    if len(ways) > 1:
        yield f"{ways[0]} and {ways[1]} are two ways to ask for a long video: give one of them."
    if params.extend_from is not None and params.continue_from is not None:
        yield (
            "extend_from and continue_from are both given: give extend_from for a video that begins with the "
            "earlier one, or continue_from for one that begins after it."
        )
    yield from _images(params)
    yield from _order(params.segments or ())
    if params.loop:
        yield from _loop(params, ways)


def _images(params: GenerateParams) -> Iterator[str]:
    images, prompts = params.images, params.prompts
    if images is None:
        if prompts is not None:
            yield (
                "prompts is given without images: give images, or segments with a prompt each, or one prompt."
            )
        return
    for name in ("start_image", "end_image"):
        if getattr(params, name) is not None:
            which = "first" if name == "start_image" else "last"
            yield f"{name} is given beside images, whose {which} one it is: leave it out."
    for index, (one, following) in enumerate(pairwise(images)):
        if same_picture(one, following):
            yield (
                f"images[{index}] and images[{index + 1}] are the same, and there is nothing to travel "
                "between: leave one out, or describe the segment in segments."
            )
    gaps = image_gaps(images, loop=params.loop)
    if prompts is not None and len(prompts) != gaps:
        back = ", with the one back to the first" if gaps == len(images) else ""
        yield (
            f"prompts is a list of {len(prompts)}, and {len(images)} images have {gaps} "
            f"{'gap' if gaps == 1 else 'gaps'} between them{back}: give {gaps}, or one prompt for all."
        )


def image_gaps(images: tuple[str, ...], *, loop: bool) -> int:
    """How many segments travel between images; in a loop one goes back to the first."""
    return len(images) - 1 + (1 if loop and not same_picture(images[-1], images[0]) else 0)


def _order(segments: tuple[SegmentParams, ...]) -> Iterator[str]:
    for index in range(1, len(segments)):
        given, end = segments[index].start_image, segments[index - 1].end_image
        if given is None or same_picture(given, end):
            continue
        where = "ends elsewhere" if end is None else f"ends with {show(end)}"
        yield (
            f"segments[{index}].start_image is {show(given)}, and segments[{index - 1}] {where}: the images "
            f"are out of order, since a segment begins where the one before ends. Give it as "
            f"segments[{index - 1}].end_image, or leave it out; what only shows how things look is "
            f"anchor_image."
        )


def same_picture(one: str, other: str | None) -> bool:
    """Whether two references name one file, whatever their signatures. All else of an address counts."""
    return other is not None and _unsigned(one) == _unsigned(other)


def _unsigned(reference: str) -> tuple[str, list[str]]:
    """The address, and its query without what only signs it. In storage a `?` is part of a name."""
    if reference.startswith(STORAGE):
        return reference, []
    address, _, query = reference.partition("?")
    return address, [one for one in query.split("&") if one and not _signs(one.partition("=")[0].lower())]


def _signs(parameter: str) -> bool:
    return parameter in SIGNATURES or parameter.startswith(SIGNATURE_FAMILIES)


def _loop(params: GenerateParams, ways: list[str]) -> Iterator[str]:
    count = len(params.segments or ()) if params.images is None else image_gaps(params.images, loop=True)
    if not ways or (params.seconds is None and count < 2):
        yield (
            "loop is true, and there is one segment: a loop has at least two. "
            "Give segments, or images, or seconds."
        )
    for name in ("continue_from", "extend_from"):
        if getattr(params, name) is not None:
            yield (
                f"loop is true, and {name} is given: a loop ends where it begins, and this video begins "
                f"elsewhere. Leave one of them out."
            )
    end = params.segments[-1].end_image if params.segments else None
    if end is None:
        end = params.end_image
    start = (params.segments[0].start_image if params.segments else None) or params.start_image
    if end is not None and not same_picture(end, start):
        name = (
            "end_image"
            if end == params.end_image
            else f"segments[{len(params.segments or ()) - 1}].end_image"
        )
        yield f"loop is true, and {name} is given: a loop ends with its first frame. Leave one of them out."
