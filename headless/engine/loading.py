"""From a model definition to networks in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from headless.engine.experts import Bakery
from headless.engine.memory import Memory, MemoryPlan, choose_plan, make_memory
from headless.engine.model_files import ModelFiles
from headless.engine.phases import Expert
from headless.engine.preview import LatentPreview
from headless.engine.text import TextEncoder, load_tokenizer
from headless.errors import ModelMissing, UsageError
from models.errors import WeightsError
from models.vae import WanVae
from models.weights import count_parameters, load_text_encoder, load_transformer

ROLES: Final = ("transformer", "transformer_2", "vae", "text_encoder", "tokenizer")
TEXT_PART: Final = "text_encoder"
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
class LoadedModel:
    """The networks of one model. `experts` has `HIGH` only, or both."""

    recipe: Recipe
    memory: Memory
    plan: MemoryPlan
    experts: tuple[Expert, ...]
    in_channels: int
    vae: WanVae
    text: TextEncoder
    bakery: Bakery
    preview: LatentPreview

    @property
    def reads_conditioning(self) -> bool:
        """Whether y stands beside the noise; a text-to-video model reads 16 channels of noise only."""
        return self.in_channels > 16


def make_recipe(
    model: str, model_def: Mapping[str, Any], folders: Sequence[Path], device: torch.device
) -> Recipe:
    """Find the files of a model. Raises `ModelMissing`."""
    found = ModelFiles(model, model_def, folders)
    roles = [role for role in ROLES if role != "transformer_2" or found.has(role)]
    named = str(model_def.get("settings", {}).get("vae_precision") or "bf16")
    if named not in _VAE_TYPES:
        raise UsageError(f"vae_precision of {model} is {named!r}; legal values are {', '.join(_VAE_TYPES)}")
    return Recipe(
        files=tuple((role, found.find(role)) for role in roles),
        dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
        vae_dtype=_VAE_TYPES[named],
    )


def load_model(recipe: Recipe, memory: str, device: torch.device) -> LoadedModel:
    """Read every network of the recipe. Raises `ModelMissing` that says which file and what to do."""
    try:
        return _load(recipe, memory, device)
    except FileNotFoundError as error:
        raise ModelMissing(f"{error}. Put the file there, or get the model again.") from error
    except WeightsError as error:
        raise ModelMissing(str(error)) from error


def _load(recipe: Recipe, memory: str, device: torch.device) -> LoadedModel:
    files = dict(recipe.files)
    large = [files[role] for role in ("transformer", "transformer_2", "text_encoder") if role in files]
    plan = choose_plan(memory, device, recipe.dtype.itemsize * sum(count_parameters(path) for path in large))
    # Straight to the device where everything stays there: main memory never holds the model.
    start = device if plan is MemoryPlan.RESIDENT else torch.device("cpu")
    experts = {
        expert: load_transformer(files[role], dtype=recipe.dtype, device=start)
        for expert, role in ((Expert.HIGH, "transformer"), (Expert.LOW, "transformer_2"))
        if role in files
    }
    high = experts[Expert.HIGH]
    if high.config.image_dim is not None:
        raise WeightsError(
            f"{files['transformer']} reads CLIP embeddings of the images, which are not available yet"
        )
    text = load_text_encoder(files["text_encoder"], dtype=recipe.dtype, device=start)
    parts = {**{expert.value: module for expert, module in experts.items()}, TEXT_PART: text}
    placed = make_memory(plan, parts, device)
    return LoadedModel(
        recipe=recipe,
        memory=placed,
        plan=plan,
        experts=tuple(experts),
        in_channels=high.config.in_channels,
        vae=WanVae.load(files["vae"], dtype=recipe.vae_dtype, device=device),
        text=TextEncoder(load_tokenizer(files["tokenizer"]), placed, TEXT_PART, device),
        preview=LatentPreview.beside(files["vae"]),
        bakery=Bakery(placed, tuple(experts)),
    )
