"""How a task of these frontends continues another: `use_svi`, `continuation_config`, predecessors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from headless.params.dialects.payload import Level, Payload, Sent, whole
from headless.params.dialects.translation import Draft
from headless.params.fields import MAX_FRAMES
from headless.params.references import STORAGE
from headless.task import Continued, Json, TaskStatus

Kind = Literal["latents", "pixels"]
STRATEGIES: Final[Mapping[str, Kind | None]] = MappingProxyType(
    {"svi_latent_chaining": "latents", "prefix_video_source": "pixels", "none": None}
)
OVERLAP: Final = 4
MAX_OVERLAP: Final = 128
PARENT: Final = "dependant_on"
SVI_MODELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "i2v_2_2": "i2v_2_2_svi2pro",
        "wan_2_2_i2v_lightning_baseline_2_2_2": "wan_2_2_i2v_lightning_svi_3_3",
        "wan_tiny_i2v": "wan_tiny_i2v_svi2pro",
    }
)
"""A model -> the same with the SVI 2 Pro LoRAs."""
_LORAS: Final = (
    "https://huggingface.co/Kijai/WanVideo_comfy/resolve/main/LoRAs/Stable-Video-Infinity/v2.0/"
    "SVI_v2_PRO_Wan2.2-I2V-A14B_{}_lora_rank_128_fp16.safetensors"
)
SVI_LORAS: Final = (_LORAS.format("HIGH"), _LORAS.format("LOW"))
"""For the high-noise and the low-noise expert."""


@dataclass(frozen=True)
class Link:
    """`kind`: what is handed over, if anything. `overlap`: frames seen again, where the task says it."""

    kind: Kind | None = None
    overlap: int | None = None

    @property
    def svi(self) -> bool:
        """Whether SVI makes the hand-over."""
        return self.kind == "latents"

    def repeated(self, kind: Kind) -> int:
        """How many frames of the new clip repeat the old one."""
        seen = OVERLAP if self.overlap is None else self.overlap - self.overlap % 4
        return 1 + seen if kind == "latents" else 5 + seen


def read_link(draft: Draft, payload: Payload) -> Link:
    """What the highest level that speaks of it says, and the fields that follow from it."""
    links = [_link(payload, level) for level in payload.levels]
    link = next((found for found in links if found is not None), Link())
    draft.take("svi2pro", payload.first("svi2pro"))
    if link.overlap is not None and link.kind is not None:
        draft.put("overlap", link.overlap, "continuation_config.overlap_frames")
    return link


def take_svi(draft: Draft, payload: Payload) -> None:
    """The model with its SVI 2 Pro LoRAs, conditioned as they were trained."""
    draft.put("svi2pro", True, "use_svi")
    model = draft.fields.get("model")
    twin = SVI_MODELS.get(model) if isinstance(model, str) else None
    if twin is not None:
        why = "the same model with the SVI 2 Pro LoRAs, which use_svi needs"
        draft.adjusted(draft.sources["model"], model, twin, why)
        draft.put("model", twin, draft.sources["model"])
    names = ("svi_strength_1", "svi_strength_2")
    strengths = [_strength(payload, payload.first(name, "svi_strength")) for name in names]
    brings_them = isinstance(model, str) and "svi" in (twin or model)
    if brings_them and strengths == [None, None]:
        return
    high, low = (1.0 if strength is None else strength for strength in strengths)
    pair: list[Json] = [
        {"name": SVI_LORAS[0], "strength": f"{high};0"},
        {"name": SVI_LORAS[1], "strength": f"0;{low}"},
    ]
    draft.add_loras(pair, "use_svi")


def take_predecessor(
    draft: Draft, payload: Payload, link: Link, continued: Continued | None, missing: str
) -> Kind | None:
    """What the task continues, and what of it. `missing`: what to say where it is not known, or nothing."""
    if link.kind is None:
        return None
    sent = payload.first("svi_predecessor_video_url")
    if sent is not None:
        draft.take("continue_from", sent)
        return "pixels"
    if continued is None or continued.task_id is None:
        if missing:
            payload.wrong(Sent("svi_predecessor_video_url", None), missing)
        return None
    return _from_task(draft, link.kind, continued)


def take_frames(draft: Draft, sent: Sent | None, link: Link, kind: Kind | None) -> None:
    """`num_frames` of a clip. These frontends count new frames, and ours those that are generated."""
    if sent is not None and sent.value == 0:
        sent = None
    draft.take("num_frames", sent)
    frames = None if sent is None else whole(sent.value)
    if sent is None or kind is None or frames is None or not 1 <= frames <= MAX_FRAMES:
        return
    through_latents = kind == "latents" or (link.svi and "end_image" not in draft.fields)
    repeated = link.repeated("latents" if through_latents else "pixels")
    more = frames + repeated - 1
    where = f"in {draft.prefix[:-1]} " if draft.prefix else ""
    why = f"{where}the first {repeated} repeat the clip before, {frames - 1} are new"
    draft.adjusted(sent.name, frames, more, why)
    draft.put("num_frames", more, sent.name)


def _link(payload: Payload, level: Level) -> Link | None:
    """What one level says, or nothing. Either field is enough."""
    use = payload.first("use_svi", levels=(level,))
    config = payload.first("continuation_config", levels=(level,))
    if use is not None and not isinstance(use.value, bool):
        payload.wrong(use, "true or false")
        use = None
    link = None if config is None else _configured(payload, config)
    if use is None:
        return link
    if use.value:
        return Link("latents", None if link is None else link.overlap)
    return link or Link()


def _configured(payload: Payload, sent: Sent) -> Link:
    config = sent.value
    if not isinstance(config, dict):
        payload.wrong(sent, 'an object such as {"strategy": "svi_latent_chaining", "overlap_frames": 4}')
        return Link()
    for name, value in config.items():
        if name not in ("strategy", "overlap_frames"):
            payload.ignore(f"{sent.name}.{name}", value)
    strategy, overlap = config.get("strategy", "none"), config.get("overlap_frames")
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        legal = "one of " + ", ".join(f'"{name}"' for name in STRATEGIES)
        payload.wrong(Sent(f"{sent.name}.strategy", strategy), legal)
        return Link()
    frames = whole(overlap)
    if overlap is not None and (frames is None or not 0 <= frames <= MAX_OVERLAP):
        payload.wrong(Sent(f"{sent.name}.overlap_frames", overlap), f"a whole number from 0 to {MAX_OVERLAP}")
        frames = None
    return Link(STRATEGIES[strategy], frames)


def _strength(payload: Payload, sent: Sent | None) -> float | None:
    if sent is None:
        return None
    value = sent.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        payload.wrong(sent, "a number")
        return None
    return float(value)


def _from_task(draft: Draft, kind: Kind, continued: Continued) -> Kind | None:
    pending = continued.status is not TaskStatus.COMPLETE
    if kind == "latents" and (pending or continued.latents_key is not None):
        draft.put("continue_from", continued.task_id, PARENT)
        return "latents"
    if pending:  # Only when a task is looked at before it can run: there is no video yet.
        return "pixels"
    video = continued.video_key or ""
    if kind == "latents":
        why = "it left no latents, so that its last frames are continued"
        draft.adjusted(PARENT, continued.task_id, "its video", why)
    draft.put("continue_from", video if "://" in video else f"{STORAGE}{video}", PARENT)
    return "pixels"
