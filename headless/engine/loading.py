"""From a model definition to networks in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from headless.engine.attention import NATIVE, choose_attention, set_attention
from headless.engine.compiled import compile_blocks
from headless.engine.experts import Bakery
from headless.engine.image_embeddings import ImageEncoder, load_image_processor
from headless.engine.memory import Memory, Resident
from headless.engine.mmgp_memory import Mmgp, import_mmgp
from headless.engine.model_files import ModelFiles
from headless.engine.phases import Expert
from headless.engine.plans import MemoryPlan
from headless.engine.preview import LatentPreview
from headless.engine.prompt_cache import PromptCache, file_identity
from headless.engine.stream import Stream
from headless.engine.swap import Swap
from headless.engine.team import Alone, Team
from headless.engine.text import TextEncoder, load_tokenizer
from headless.errors import ModelMissing, UsageError
from models.errors import WeightsError
from models.vae import WanVae
from models.weights import (
    count_parameters,
    load_clip_vision,
    load_text_encoder,
    load_transformer,
    transformer_bytes,
)
from models.weights_packed import packed_layers

REQUIRED: Final = ("transformer", "vae", "text_encoder", "tokenizer")
OPTIONAL: Final = ("transformer_2", "image_encoder", "image_processor")
TEXT_PART: Final = "text_encoder"
IMAGE_PART: Final = "image_encoder"
PARTS: Final = {
    Expert.HIGH.value: "transformer",
    Expert.LOW.value: "transformer_2",
    TEXT_PART: "text_encoder",
    IMAGE_PART: "image_encoder",
}
"""Networks that a memory plan places, and their roles in a model definition."""
_VAE_TYPES: Final = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Recipe:
    """What decides the networks: the files and the precisions. Equal recipes give equal networks."""

    files: tuple[tuple[str, Path], ...]
    dtype: torch.dtype
    vae_dtype: torch.dtype

    def path(self, role: str) -> Path | None:
        """The file or folder of a role, if the model has it."""
        return dict(self.files).get(role)


@dataclass(frozen=True)
class LoadOptions:
    """What does not change the networks, but how they are kept and run."""

    debug: bool = False
    prompts: PromptCache = field(default_factory=PromptCache)
    attention: str = "auto"
    compile: bool = False
    team: Team = field(default_factory=Alone)
    packed: bool = False
    """Transformers keep the packed weights of their files, and unpack them when they compute."""


@dataclass(frozen=True)
class LoadedModel:
    """The networks of one model. `experts` has `HIGH` only, or both."""

    recipe: Recipe
    memory: Memory
    plan: MemoryPlan
    experts: tuple[Expert, ...]
    in_channels: int
    vae: WanVae
    attention: str
    text: TextEncoder
    images: ImageEncoder | None
    """Only models of Wan 2.1 read embeddings of the images."""
    bakery: Bakery
    preview: LatentPreview
    packed: bool = False
    """Whether weights of the transformers are packed."""

    @property
    def reads_conditioning(self) -> bool:
        """Whether y stands beside the noise; a text-to-video model reads 16 channels of noise only."""
        return self.in_channels > 16


def make_recipe(
    model: str, model_def: Mapping[str, Any], folders: Sequence[Path], device: torch.device
) -> Recipe:
    """Find the files of a model. Raises `ModelMissing`."""
    found = ModelFiles(model, model_def, folders)
    roles = [*REQUIRED, *(role for role in OPTIONAL if found.has(role))]
    named = str(model_def.get("settings", {}).get("vae_precision") or "bf16")
    if named not in _VAE_TYPES:
        raise UsageError(f"vae_precision of {model} is {named!r}; legal values are {', '.join(_VAE_TYPES)}")
    return Recipe(
        files=tuple((role, found.find(role)) for role in roles),
        dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
        vae_dtype=_VAE_TYPES[named],
    )


def part_sizes(recipe: Recipe, *, packed: bool = False) -> dict[str, int]:
    """Bytes that each part takes on the device, from the files' headers. Raises `ModelMissing`.

    With `packed`: where transformers keep the packed weights of their files.
    """
    with _missing_named():
        return {part: _size(recipe, part, path, packed) for part, path in _part_files(recipe).items()}


def _size(recipe: Recipe, part: str, path: Path, packed: bool) -> int:
    if packed and part in tuple(Expert):
        return transformer_bytes(path, recipe.dtype, packed=True)
    return _dtype(recipe, part).itemsize * count_parameters(path)


def load_model(
    recipe: Recipe, plan: MemoryPlan, device: torch.device, options: LoadOptions | None = None
) -> LoadedModel:
    """Read every network of the recipe. Raises `ModelMissing` that says which file and what to do."""
    with _missing_named():
        return _load(recipe, plan, device, options or LoadOptions())


def load_experts(
    recipe: Recipe, plan: MemoryPlan, device: torch.device, options: LoadOptions
) -> tuple[Memory, Bakery]:
    """The transformers alone, for a rank that does nothing else. Raises `ModelMissing`."""
    start = device if plan is MemoryPlan.RESIDENT else torch.device("cpu")
    with _missing_named():
        experts = tuple(expert for expert in Expert if expert.value in _part_files(recipe))
        parts = {expert.value: _load_part(recipe, expert.value, start, options) for expert in experts}
        _prepared(list(parts.values()), recipe, device, options)
        for part, transformer in parts.items():
            options.team.split(transformer, part)
        placed = _placed(recipe, plan, parts, device, options)
    return placed, Bakery(placed, experts)


def _load(recipe: Recipe, plan: MemoryPlan, device: torch.device, options: LoadOptions) -> LoadedModel:
    files = dict(recipe.files)
    # Straight to the device where everything stays there: main memory never holds the model.
    start = device if plan is MemoryPlan.RESIDENT else torch.device("cpu")
    parts = {part: _load_part(recipe, part, start, options) for part in _part_files(recipe)}
    experts = tuple(expert for expert in Expert if expert.value in parts)
    config: Any = parts[Expert.HIGH.value].config
    if config.image_dim is not None and IMAGE_PART not in parts:
        raise WeightsError(
            f"{files['transformer']} reads CLIP embeddings of the images, and its definition names no "
            "image_encoder. Add it under files in the configs/ file."
        )
    attention = _prepared([parts[expert.value] for expert in experts], recipe, device, options)
    for expert in experts:
        options.team.split(parts[expert.value], expert.value)
    placed = _placed(recipe, plan, parts, device, options)
    vae = WanVae.load(files["vae"], dtype=recipe.vae_dtype, device=device)
    if plan.tiles:
        vae.module.enable_tiling()
    return LoadedModel(
        recipe=recipe,
        memory=placed,
        plan=plan,
        experts=experts,
        in_channels=config.in_channels,
        vae=vae,
        attention=attention,
        text=_text(recipe, placed, device, options.prompts),
        images=_images(recipe, config, placed, device),
        preview=LatentPreview.beside(files["vae"]),
        bakery=Bakery(placed, experts, options.team),
        packed=any(packed_layers(parts[expert.value]) for expert in experts),
    )


def _prepared(
    transformers: Sequence[torch.nn.Module], recipe: Recipe, device: torch.device, options: LoadOptions
) -> str:
    """Choose the attention kernel and compile, both before a memory plan puts hooks on the blocks."""
    if options.attention == "auto" and device.type == "cpu":
        kernel = NATIVE
    else:
        try:
            kernel = choose_attention(options.attention, device, recipe.dtype)
        except ValueError as error:
            raise UsageError(f"--attention {options.attention}: {error}. Use auto.") from error
        set_attention(transformers, kernel)
    if options.compile:
        compile_blocks(transformers, whole=options.team.size == 1 and not options.packed)
    return kernel


def _text(recipe: Recipe, memory: Memory, device: torch.device, cache: PromptCache) -> TextEncoder:
    files = dict(recipe.files)
    decides = (recipe.dtype, device.type, torch.__version__)
    identity = "|".join(
        [*(file_identity(files[role]) for role in ("text_encoder", "tokenizer")), *map(str, decides)]
    )
    tokenizer = load_tokenizer(files["tokenizer"])
    return TextEncoder(tokenizer, memory, TEXT_PART, device, cache=cache, identity=identity)


def _placed(
    recipe: Recipe,
    plan: MemoryPlan,
    parts: dict[str, torch.nn.Module],
    device: torch.device,
    options: LoadOptions,
) -> Memory:
    if plan is MemoryPlan.RESIDENT:
        return Resident(parts, device)
    if plan is MemoryPlan.SWAP:
        return Swap(parts, device)
    if plan.profile is None:
        return Stream(parts, device)

    def again(part: str) -> torch.nn.Module:
        module = _load_part(recipe, part, torch.device("cpu"), options)
        if part in tuple(Expert):
            _prepared([module], recipe, device, options)
        return module

    return Mmgp(parts, device, plan.profile, import_mmgp(options.debug), again)


def _part_files(recipe: Recipe) -> dict[str, Path]:
    files = dict(recipe.files)
    return {part: files[role] for part, role in PARTS.items() if role in files}


def _load_part(recipe: Recipe, part: str, device: torch.device, options: LoadOptions) -> torch.nn.Module:
    path = _part_files(recipe)[part]
    if part == IMAGE_PART:
        images: torch.nn.Module = load_clip_vision(path, device=device)
        return images
    if part == TEXT_PART:
        text: torch.nn.Module = load_text_encoder(path, dtype=recipe.dtype, device=device)
        return text
    transformer: torch.nn.Module = load_transformer(
        path, dtype=recipe.dtype, device=device, packed=options.packed
    )
    return transformer


def _dtype(recipe: Recipe, part: str) -> torch.dtype:
    return torch.float32 if part == IMAGE_PART else recipe.dtype


def _images(recipe: Recipe, config: Any, memory: Memory, device: torch.device) -> ImageEncoder | None:
    if config.image_dim is None:
        return None
    processor = load_image_processor(recipe.path("image_processor"))
    return ImageEncoder(processor, memory, IMAGE_PART, device, both_ends=config.pos_embed_seq_len is not None)


@contextmanager
def _missing_named() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ModelMissing(f"{error}. Put the file there, or get the model again.") from error
    except WeightsError as error:
        raise ModelMissing(str(error)) from error
