"""`travel_orchestrator`: a travel between images, which is one chain of clips here and no tree of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headless.params.dialects.common_fields import (
    DETAILS,
    IMAGES,
    require_kind,
    take_common,
    take_image,
    take_model,
    take_prompt,
    take_seed,
)
from headless.params.dialects.lora_lists import files_of, listed, take_loras
from headless.params.dialects.payload import Level, Payload, Sent, is_given, whole
from headless.params.dialects.phases import cleaned, take_phases
from headless.params.dialects.svi import Kind, Link, read_link, take_frames, take_svi
from headless.params.dialects.translation import Draft, Translation
from headless.params.phase_config import expand
from headless.task import Continued, Json

MAX_SEGMENTS: Final = 256
PER_SEGMENT: Final = (
    "segment_frames_expanded",
    "base_prompts_expanded",
    "enhanced_prompts_expanded",
    "negative_prompts_expanded",
    "loras_per_segment_expanded",
    "phase_configs_expanded",
)
"""Lists with an entry per segment, or with one for all. Entries beyond the last segment are left over."""
EARLIER_VIDEO: Final = "continue_from_video_resolved_path"


def translate_travel_orchestrator(params: Mapping[str, Json], continued: Continued | None) -> Translation:
    """Every pair of neighbouring images is one segment; a single image is one segment without an end."""
    del continued  # A chain begins by itself; what it extends it names.
    payload, draft = Payload(params), Draft()
    details = payload.nested(*DETAILS, above=True) or payload.levels[-1]
    draft.expect("model", f"{details.prefix}model_name")
    take_model(draft, payload)
    take_common(draft, payload)
    take_phases(draft, payload)
    link = read_link(draft, payload)
    take_loras(draft, payload, svi=link.svi)
    take_seed(draft, payload, "seed_base", "seed_to_use", "seed")
    if link.svi:
        take_svi(draft, payload)
    require_kind(draft, payload)
    _take_segments(draft, payload, details, link)
    return draft.done(payload)


def _take_segments(draft: Draft, payload: Payload, details: Level, link: Link) -> None:
    images = payload.listed(IMAGES, details)
    earlier = payload.first(EARLIER_VIDEO)
    draft.take("extend_from", earlier)
    count = _count(payload, details, images, extends=earlier is not None)
    if count == 0:
        return
    if count > 1 or earlier is not None:
        draft.put("continuation", link.kind or "last_frame", "continuation_config")
    segments: list[Json] = []
    for index in range(count):
        part = draft.segment(index) if count > 1 else draft
        _take_pictures(part, payload, details, images, index, link, extends=earlier is not None)
        _take_texts(part, payload, details, index)
        frames = payload.entry("segment_frames_expanded", index, details)
        take_frames(part, frames, link, _handed(link, index, extends=earlier is not None))
        _take_own_loras(part, payload, details, index, draft)
        segments.append(part.fields)
    if count > 1:
        draft.put("segments", segments, f"{details.prefix}{IMAGES}")
        draft.put("prompt", _prompt_of(segments), f"{details.prefix}base_prompt")


def _handed(link: Link, index: int, *, extends: bool) -> Kind | None:
    """What a segment is made from; without either kind a last frame, of which no more is repeated."""
    if index == 0:
        return "pixels" if extends and link.kind else None
    return link.kind


def _count(payload: Payload, details: Level, images: list[Json], *, extends: bool) -> int:
    """How many segments the images make."""
    name = f"{details.prefix}{IMAGES}"
    if not images:
        payload.wrong(Sent(name, details.fields.get(IMAGES)), "a list of images, in order")
        return 0
    count = len(images) if extends else max(1, len(images) - 1)
    if count > MAX_SEGMENTS:
        payload.wrong(Sent(name, images), f"at most {MAX_SEGMENTS} segments")
        return 0
    for field in PER_SEGMENT:
        entries = payload.listed(field, details)
        if 1 < len(entries) < count:
            payload.wrong(Sent(f"{details.prefix}{field}", entries), f"{count} entries, one per segment")
    asked = payload.first("num_new_segments_to_generate")
    if asked is not None and whole(asked.value) != count:
        payload.wrong(asked, f"{count}, the number of segments that {len(images)} images make")
    return count


def _take_pictures(
    part: Draft,
    payload: Payload,
    details: Level,
    images: list[Json],
    index: int,
    link: Link,
    *,
    extends: bool,
) -> None:
    """The first segment begins with an image, each ends with the next one; with SVI an image anchors each."""
    before = index - 1 if extends else index
    start, end = (_image(details, images, place) for place in (before, before + 1))
    if index == 0:
        take_image(part, payload, "start_image", start)
        if link.svi and start is None:
            take_image(part, payload, "anchor_image", end)
    elif link.svi:
        take_image(part, payload, "anchor_image", start)
    take_image(part, payload, "end_image", end)


def _image(details: Level, images: list[Json], place: int) -> Sent | None:
    if not 0 <= place < len(images):
        return None
    return Sent(f"{details.prefix}{IMAGES}[{place}]", images[place])


def _take_texts(part: Draft, payload: Payload, details: Level, index: int) -> None:
    own = payload.entry("enhanced_prompts_expanded", index, details) or payload.entry(
        "base_prompts_expanded", index, details
    )
    before, after = payload.first("text_before_prompts"), payload.first("text_after_prompts")
    base = own or payload.first("base_prompt", "prompt")
    texts = [sent for sent in (before, base, after) if sent is not None]
    if len(texts) > 1 and all(isinstance(sent.value, str) for sent in texts):
        base = Sent((base or texts[0]).name, " ".join(str(sent.value).strip() for sent in texts))
    take_prompt(part, base, f"{details.prefix}base_prompts_expanded[{index}]")
    negative = payload.entry("negative_prompts_expanded", index, details)
    part.take("negative_prompt", negative or payload.first("negative_prompt"))


def _prompt_of(segments: list[Json]) -> Json:
    first = segments[0]
    return first["prompt"] if isinstance(first, dict) else None


def _take_own_loras(part: Draft, payload: Payload, details: Level, index: int, task: Draft) -> None:
    """A segment's LoRAs; of a phase_config of its own only those, and only if its phases are the task's."""
    own = listed(payload, payload.entry("loras_per_segment_expanded", index, details))
    config = payload.entry("phase_configs_expanded", index, details)
    expanded = {} if config is None else expand(cleaned(part, payload, config))
    same = _shape(expanded) == _shape(task.fields)
    if own is not None:
        _put_loras(part, own.value, own.name, task)
    elif config is not None and same and is_given(expanded.get("loras")):
        _put_loras(part, expanded["loras"], config.name, task)
    if config is not None and expanded.get("phase_config") != task.fields.get("phase_config"):
        used = "its LoRAs" if same and own is None else None
        why = "steps and guidance are those of the task for all segments"
        part.adjusted(config.name, config.value, used, why)


def _put_loras(part: Draft, loras: Json, name: str, task: Draft) -> None:
    """A segment's own LoRAs, in place of the task's: what was added to those is added here as well."""
    given = loras if isinstance(loras, list) else []
    named = files_of(given)
    more = [lora for lora in task.added_loras if not files_of([lora]) & named]
    part.put("loras", [*given, *more], name)


def _shape(fields: Mapping[str, Json]) -> Json:
    config = fields.get("phase_config")
    return config.get("num_phases") if isinstance(config, dict) else None
