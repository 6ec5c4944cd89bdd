"""Parameters of the task type `generate`: a clip or a chain, from images, an earlier clip, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from headless.params.chain import Images, Prompts, Reroll, Seconds, Segments
from headless.params.chain_rules import contradiction, misplaced, with_prompt
from headless.params.fields import STRICT, Loras, Media, Mode, NegativePrompt, NumFrames, Prompt, Seed, Video
from headless.params.phase_config import PhaseConfig
from headless.params.references import PREDICATE

MIN_SIDE: Final = 64
MAX_SIDE: Final = 2048
MAX_PIXELS: Final = 1920 * 1088
REFERENCES: Final = (
    "start_image",
    "end_image",
    "anchor_image",
    "continue_from",
    "extend_from",
    "pad_video",
    "known_mask",
)
"""Fields that are one reference; `images` and the segments have further ones."""


def _either_prompt(schema: dict[str, Any]) -> None:
    """A prompt for all clips, or one for each."""
    schema["required"].remove("prompt")
    schema["anyOf"] = [{"required": [name]} for name in ("prompt", "prompts", "segments")]


class GenerateParams(BaseModel):
    """One task. A field that is `None` takes the model's value, then the product's; see `headless.plan`."""

    model_config = ConfigDict(**STRICT, title="generate", json_schema_extra=_either_prompt)

    prompt: Prompt
    """What happens in the video."""

    model: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
            json_schema_extra={
                "x-legal": "the id of a model definition, such as wan_2_2_i2v_lightning_svi_3_3"
            },
        ),
    ]
    """Which model definition generates it."""

    negative_prompt: NegativePrompt | None = None
    """What to keep out of the video; used only where guidance is not 1."""

    start_image: Media | None = None
    """The first frame."""

    end_image: Media | None = None
    """The last frame."""

    anchor_image: Media | None = None
    """How things look, for SVI: keeps a chain of clips from drifting; by default the start image."""

    continue_from: Video | None = None
    """The earlier clip that this one goes on from."""

    image_fit: Literal["crop", "pad"] = "crop"
    """How an image of another shape fits the clip: cut at the edges, or framed in black. Never stretched."""

    num_frames: NumFrames | None = None
    """Frames of the clip; rounded down to 4k+1 (82 gives 81), which is reported."""

    width: Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)] | None = None
    """Pixels; rounded down to a multiple of 16, which is reported. Without a size, the start image's shape
    at the model's usual number of pixels."""

    height: Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)] | None = None
    """As width."""

    fps: Annotated[int, Field(ge=1, le=60)] | None = None
    """Frames per second of the file; changes the speed, not the frames."""

    steps: Annotated[int, Field(ge=1, le=100)] | None = None
    """Denoising steps, over all experts."""

    guidance_scale: Annotated[float, Field(ge=0, le=30)] | None = None
    """How strongly the prompt pulls; 1 is off, and twice as fast. Of several phases, the first."""

    guidance_scale_2: Annotated[float, Field(ge=0, le=30)] | None = None
    """The same for the second phase: of two experts, the low-noise one."""

    flow_shift: Annotated[float, Field(ge=0.01, le=100)] | None = None
    """Shifts the steps towards high noise; larger for larger pictures."""

    seed: Seed | None = None
    """Equal seeds give equal videos. Chosen and reported when it is not given."""

    loras: Loras = ()
    """LoRAs beside those of the model definition."""

    phase_config: PhaseConfig | None = None
    """Steps, guidance and LoRAs by phase, as existing frontends send them. Sets steps, flow_shift,
    guidance_scale, guidance_scale_2 and loras."""

    svi2pro: bool | None = None
    """Condition as SVI 2 Pro was trained; by default what the model definition says."""

    svi_pad_empty_frames_with_anchor: bool | None = None
    """With svi2pro and an end image: fill the frames between with the anchor instead of grey."""

    end_frame_mode: Mode | None = None
    """How the model is told about the end image."""

    motion_latent_count: Annotated[int, Field(ge=0, le=32)] | None = None
    """How many latents of the earlier clip a continuation sees."""

    pad_video: Media | None = None
    """Frames that stand in for the unknown ones in the pixels, and stay unknown."""

    known_mask: Media | None = None
    """A video or picture, white where frames are known, that replaces the usual mask."""

    start_latent_strength: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Multiplies the first latent frame of the conditioning."""

    end_latent_strength: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Multiplies the last latent frame of the conditioning."""

    augment_empty_frames: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Moves the unknown frames' conditioning away from the first frame's, for more motion."""

    noise_augmentation: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Seeded noise on the start and end pixels, for more motion."""

    output_checks: bool | None = None
    """Look at the clip before it is published, and fail rather than publish a bad one; by default what the
    model definition says."""

    segments: Segments | None = None
    """The clips of a long video, in order; what a segment does not say, the task says for all."""

    images: Images | None = None
    """Pictures to travel between, in order, in place of segments: each is where one clip ends and the next
    begins."""

    prompts: Prompts | None = None
    """With images: what happens from each to the next; by default prompt."""

    seconds: Seconds | None = None
    """Length of the video, in place of segments: it is split into clips of at most num_frames."""

    continuation: Literal["latents", "pixels", "last_frame"] | None = None
    """What a segment is made from: the latents of the one before, its last frames, or its last frame alone;
    by default latents with svi2pro, else last_frame."""

    overlap: Annotated[int, Field(ge=0, le=128)] | None = None
    """Frames that a continuation sees again, a multiple of 4 (one latent for each 4; from pixels, 5 frames
    more)."""

    end_tail_latents: Annotated[int, Field(ge=0, le=8)] = 0
    """Latents that every clip is made longer, and that are cut off its end again: against a grey tail."""

    color_lock: Literal["off", "anchor", "previous"] = "off"
    """Keep the colours of every segment near those of the anchor, or of the end of the segment before."""

    color_lock_strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How near; 0 changes nothing."""

    loop: bool = False
    """End where the video begins, so that it can be repeated without a seam; from two segments on."""

    extend_from: Video | None = None
    """The earlier video that this one begins with, untouched, and goes on from."""

    reroll: Reroll | None = None
    """Segments to make again with other seeds, beside the chain, to choose from: segment, counted from 0, and
    seeds."""

    strict: bool = False
    """Fail instead of adjusting a value."""

    @model_validator(mode="after")
    def _area(self) -> GenerateParams:
        if self.width is not None and self.height is not None and self.width * self.height > MAX_PIXELS:
            raise PydanticCustomError(
                PREDICATE,
                "width x height is {width} x {height}: give at most {limit} pixels, such as 1920 x 1088.",
                {"width": self.width, "height": self.height, "limit": MAX_PIXELS},
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _chain(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        if (why := misplaced(values, cls.model_fields)) is not None:
            raise PydanticCustomError(PREDICATE, "{why}", {"why": why})
        return with_prompt(values)

    @model_validator(mode="after")
    def _possible(self) -> GenerateParams:
        if (why := contradiction(self)) is not None:
            raise PydanticCustomError(PREDICATE, "{why}", {"why": why})
        return self

    def references(self) -> dict[str, str]:
        """Field, also `images[3]` or `segments[2].end_image`, -> reference, of every file of the task."""
        found = {name: value for name in REFERENCES if (value := getattr(self, name)) is not None}
        found |= {f"images[{index}]": value for index, value in enumerate(self.images or ())}
        for index, segment in enumerate(self.segments or ()):
            found |= {f"segments[{index}].{name}": value for name, value in segment.references().items()}
        return found
