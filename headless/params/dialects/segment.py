"""One segment of a travel between images, as a task of its own: what both task types have in common.

A value is looked for in `individual_segment_params`, then in the task itself, then in `orchestrator_details`,
whose lists have one entry per segment.
"""

from __future__ import annotations

from collections.abc import Mapping

from headless.params.dialects.common_fields import (
    DETAILS,
    IMAGES,
    require_kind,
    require_start,
    take_common,
    take_image,
    take_model,
    take_prompt,
    take_seed,
)
from headless.params.dialects.lora_lists import take_loras
from headless.params.dialects.payload import Level, Payload, Sent, whole
from headless.params.dialects.phases import take_phases
from headless.params.dialects.svi import Kind, Link, read_link, take_frames, take_predecessor, take_svi
from headless.params.dialects.translation import Draft, Translation
from headless.planning.seeds import segment_seed
from headless.task import Continued, Json


def translate_segment(
    params: Mapping[str, Json], continued: Continued | None, *, standalone: bool
) -> Translation:
    """`standalone`: the user asked for this one segment; else it is one of a chain of tasks."""
    payload, draft = Payload(params), Draft()
    own = payload.nested("individual_segment_params", above=True)
    details = payload.nested(*DETAILS)
    index = _index(payload, standalone=standalone)
    take_model(draft, payload)
    take_common(draft, payload)
    _take_prompts(draft, payload, details, index)
    _take_images(draft, payload, own, details, index, standalone=standalone)
    take_phases(draft, payload)
    link = read_link(draft, payload)
    take_loras(draft, payload, svi=link.svi)
    kind = _take_predecessor(draft, payload, link, continued, index, standalone=standalone)
    _take_frames(draft, payload, details, index, link, kind)
    if kind is None:
        legal = f"the image that segment {index} begins with; details are read from this task alone"
        require_start(draft, payload, "start_image_url", legal)
    require_kind(draft, payload)
    return draft.done(payload)


def _index(payload: Payload, *, standalone: bool) -> int:
    sent = payload.first("segment_index")
    if sent is None and standalone:
        return 0
    index = None if sent is None else whole(sent.value)
    if index is None or index < 0:
        payload.wrong(sent or Sent("segment_index", None), "the number of the segment, from 0")
        return 0
    return index


def _take_prompts(draft: Draft, payload: Payload, details: Level | None, index: int) -> None:
    upper = tuple(level for level in payload.levels if level is not details)
    enhanced, base = payload.first("enhanced_prompt"), payload.first("base_prompt", "prompt", levels=upper)
    listed = payload.entry("enhanced_prompts_expanded", index, details)
    fallback = payload.entry("base_prompts_expanded", index, details) or payload.first("base_prompt")
    take_prompt(draft, enhanced or base or listed or fallback, "base_prompt")
    negative = payload.first("negative_prompt")
    draft.take("negative_prompt", negative or payload.entry("negative_prompts_expanded", index, details))


def _take_images(
    draft: Draft,
    payload: Payload,
    own: Level | None,
    details: Level | None,
    index: int,
    *,
    standalone: bool,
) -> None:
    """The first place that names an image names both: a segment without an end has none in the others."""
    top = next(level for level in payload.levels if not level.prefix)
    chosen: tuple[Sent | None, Sent | None] = (None, None)
    for level in (own, top):
        if level is None:
            continue
        named = (
            payload.first("start_image_url", levels=(level,)),
            payload.first("end_image_url", levels=(level,)),
        )
        chosen = chosen if any(chosen) else named
        if level is own or standalone:
            chosen = chosen if any(chosen) else _pair(payload, level, 0)
    if not any(chosen) and details is not None:
        chosen = _pair(payload, details, index)
    payload.skip(IMAGES)
    draft.expect("start_image", "start_image_url")
    take_image(draft, payload, "start_image", chosen[0])
    take_image(draft, payload, "end_image", chosen[1])


def _pair(payload: Payload, level: Level, index: int) -> tuple[Sent | None, Sent | None]:
    images = payload.listed(IMAGES, level)
    start, end = (
        Sent(f"{level.prefix}{IMAGES}[{place}]", images[place]) if place < len(images) else None
        for place in (index, index + 1)
    )
    return start, end


def _take_predecessor(
    draft: Draft, payload: Payload, link: Link, continued: Continued | None, index: int, *, standalone: bool
) -> Kind | None:
    """The first segment continues only a video that it names."""
    if link.svi:
        take_svi(draft, payload)
    named = payload.first("svi_predecessor_video_url") if link.kind else None
    kind = None
    if named is not None or index > 0:
        kind = take_predecessor(draft, payload, link, continued, _missing(index))
    take_seed(draft, payload, "seed_to_use", "seed", "seed_base")
    if kind is not None and named is None and not standalone:
        _take_own_seed(draft, index)
    return kind


def _missing(index: int) -> str:
    return (
        f"the video that segment {index} continues, or name the task of segment {index - 1} in dependant_on"
    )


def _take_own_seed(draft: Draft, index: int) -> None:
    """The segments of a chain share one seed when they are queued; equal noise accumulates artefacts."""
    seed = whole(draft.fields.get("seed"))
    if seed is not None and seed >= 0:
        used = segment_seed(seed, index)
        name = draft.sources["seed"]
        draft.adjusted(name, seed, used, f"segment {index} of a chain has a seed of its own")
        draft.put("seed", used, name)


def _take_frames(
    draft: Draft, payload: Payload, details: Level | None, index: int, link: Link, kind: Kind | None
) -> None:
    own = payload.first("num_frames", "segment_frames_target")
    listed = payload.entry("segment_frames_expanded", index, details)
    draft.expect("num_frames", "num_frames")
    take_frames(draft, own or listed, link, kind)
