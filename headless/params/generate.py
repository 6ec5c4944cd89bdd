"""Parameters of the task type `generate`: one clip, from images, an earlier clip, or neither."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from headless.params.loras import LEGAL_LORAS, MAX_LORAS, Lora
from headless.params.phase_config import PhaseConfig
from headless.params.references import FORMS, PREDICATE, TASK_FORMS, MediaOrTask, MediaReference
from headless.params.tuples import tuple_of_at_most
from models.lora_files import lora_file_name

MAX_PROMPT: Final = 10_000
MIN_SIDE: Final = 64
MAX_SIDE: Final = 2048
MAX_PIXELS: Final = 1920 * 1088
MAX_FRAMES: Final = 1025
MAX_SEED: Final = 2**32 - 1
REFERENCES: Final = ("start_image", "end_image", "anchor_image", "continue_from", "pad_video", "known_mask")
PROMPT_FORMS: Final = f"text of at most {MAX_PROMPT} characters, at least one of them visible"
_MEDIA: Final = {"x-legal": FORMS}


def _visible(prompt: str) -> str:
    """An empty text steers nothing, and most often means that the prompt was lost on its way here."""
    if all(unicodedata.category(letter)[0] in "CZ" for letter in prompt):
        raise PydanticCustomError("blank_prompt", "give {legal}", {"legal": PROMPT_FORMS})
    return prompt


class GenerateParams(BaseModel):
    """One task. A field that is `None` takes the model's value, then the product's; see `headless.plan`."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        title="generate",
        use_attribute_docstrings=True,
    )

    prompt: Annotated[
        str,
        Field(max_length=MAX_PROMPT, json_schema_extra={"x-legal": PROMPT_FORMS}),
        AfterValidator(_visible),
    ]
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

    negative_prompt: Annotated[str, Field(max_length=MAX_PROMPT)] | None = None
    """What to keep out of the video; used only where guidance is not 1."""

    start_image: Annotated[MediaReference, Field(json_schema_extra=_MEDIA)] | None = None
    """The first frame."""

    end_image: Annotated[MediaReference, Field(json_schema_extra=_MEDIA)] | None = None
    """The last frame."""

    anchor_image: Annotated[MediaReference, Field(json_schema_extra=_MEDIA)] | None = None
    """How things look, for SVI: keeps a chain of clips from drifting; by default the start image."""

    continue_from: Annotated[MediaOrTask, Field(json_schema_extra={"x-legal": TASK_FORMS})] | None = None
    """The earlier clip that this one goes on from."""

    image_fit: Literal["crop", "pad"] = "crop"
    """How an image of another shape fits the clip: cut at the edges, or framed in black. Never stretched."""

    num_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] | None = None
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

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    """Equal seeds give equal videos. Chosen and reported when it is not given."""

    loras: Annotated[
        tuple[Lora, ...],
        Field(max_length=MAX_LORAS, json_schema_extra={"x-legal": LEGAL_LORAS}),
        tuple_of_at_most(MAX_LORAS),
    ] = ()
    """LoRAs beside those of the model definition."""

    phase_config: PhaseConfig | None = None
    """Steps, guidance and LoRAs by phase, as existing frontends send them. Sets steps, flow_shift,
    guidance_scale, guidance_scale_2 and loras."""

    svi2pro: bool | None = None
    """Condition as SVI 2 Pro was trained; by default what the model definition says."""

    svi_pad_empty_frames_with_anchor: bool | None = None
    """With svi2pro and an end image: fill the frames between with the anchor instead of grey."""

    end_frame_mode: Literal["in_chunk", "extra_latent", "slot", "repeat_4"] | None = None
    """How the model is told about the end image."""

    motion_latent_count: Annotated[int, Field(ge=0, le=32)] | None = None
    """How many latents of the earlier clip a continuation sees."""

    pad_video: Annotated[MediaReference, Field(json_schema_extra=_MEDIA)] | None = None
    """Frames that stand in for the unknown ones in the pixels, and stay unknown."""

    known_mask: Annotated[MediaReference, Field(json_schema_extra=_MEDIA)] | None = None
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

    @model_validator(mode="after")
    def _distinct_loras(self) -> GenerateParams:
        names = [lora_file_name(lora.name) for lora in self.loras]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise PydanticCustomError(PREDICATE, "loras name {name} twice: name it once.", {"name": twice})
        return self

    def references(self) -> dict[str, str]:
        """Field -> reference, of every file that the task names."""
        return {name: value for name in REFERENCES if (value := getattr(self, name)) is not None}
