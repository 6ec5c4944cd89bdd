"""What Wan 2.1 is told about the pictures besides the conditioning: CLIP's tokens of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from headless.engine.memory import Memory
from headless.errors import BadParams
from headless.segment import Picture, SegmentRequest
from models.weights_source import read_json
from wan2gp_patch.frames import prefix_frames

CONFIG_FILE: Final = "preprocessor_config.json"
GREY: Final = 128
"""Stands for a picture that is not there, as grey pixels do in the conditioning."""


def load_image_processor(path: Path | None) -> Any:
    """CLIP's preprocessing as a folder or file describes it; without one, as CLIP was published.

    Raises `FileNotFoundError`, `WeightsError`.
    """
    if path is None:
        return CLIPImageProcessorPil()
    file = path / CONFIG_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")
    config = read_json(file)
    return CLIPImageProcessorPil(
        **{name: config[name] for name in CLIPImageProcessorPil().to_dict() if name in config}
    )


class ImageEncoder:
    """Encodes the pictures of a clip. `both_ends`: the model reads the first and the last one."""

    def __init__(
        self, processor: Any, memory: Memory, part: str, device: torch.device, *, both_ends: bool
    ) -> None:
        self._processor, self._memory, self._part, self._device = processor, memory, part, device
        self._both_ends = both_ends

    def pictures(self, request: SegmentRequest, *, svi: bool) -> tuple[Picture, ...]:
        """The pictures that the model reads. Raises `BadParams` where it needs two and one is missing."""
        start = _first_picture(request, svi=svi)
        if self._both_ends:
            if start is None or request.end_image is None:
                missing = "start_image" if start is None else "end_image"
                raise BadParams(
                    f"{missing}: {request.model} goes from a start image to an end image; give both, or "
                    "choose an image-to-video model"
                )
            return start, request.end_image
        return (np.full((request.height, request.width, 3), GREY, np.uint8) if start is None else start,)

    def encode(self, pictures: tuple[Picture, ...]) -> Tensor:
        """[n, 257, d] in float32: the tokens of the layer before the last."""
        images = [Image.fromarray(picture) for picture in pictures]
        pixels = self._processor(images=images, return_tensors="pt")["pixel_values"].to(self._device)
        encoder = self._memory.use(self._part)
        states: tuple[Tensor, ...] = encoder(pixel_values=pixels, output_hidden_states=True).hidden_states
        return states[-2]


def _first_picture(request: SegmentRequest, *, svi: bool) -> Picture | None:
    """The clip's first known frame; with SVI the anchor, which every clip of a chain shares."""
    if svi:
        return request.start_image if request.anchor_image is None else request.anchor_image
    if request.prefix is None:
        return request.start_image
    wanted = prefix_frames(request.overlap)
    first: Picture = request.prefix[-wanted if len(request.prefix) >= wanted else -1]
    return first
