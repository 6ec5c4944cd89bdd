"""Encode scenes once, so that the experts train on latents: one file per shard, each made anew if absent.

python -m training.latents [--out models/tiny] [--work out/training] [--part 0/1]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.vae import WanVae
from training.cases import Case, WholeClipEncoder, cases_of
from training.preview import fit_preview, save_preview
from training.vae_clip import ClipVae, NormSilu, compiled_norm_silu, norm_silu
from training.world import SIZES, make_scene

SHARDS: Final = 32
SCENES: Final = 64
"""Scenes of a shard."""
FIRST_SEED: Final = 1_000_000
LONG: Final = 8
"""One scene in so many has 33 frames instead of 17."""


def encoder_of(vae: WanVae, fused: NormSilu = norm_silu) -> WholeClipEncoder:
    """The encoder of a trained VAE."""
    return WholeClipEncoder(ClipVae(vae.module, fused), vae.latents_mean, vae.latents_std)


def fit_colours(out: Path, clips: int = 16) -> None:
    """Write what previews need beside the VAE."""
    vae = WanVae.load(out / "vae")
    save_preview(out / "vae", *fit_preview(encoder_of(vae), clips))


def make_shard(vae: WholeClipEncoder, shard: int, scenes: int = SCENES) -> list[dict[str, Any]]:
    """The cases of one shard, those of one shape and kind together."""
    cases: list[Case] = []
    for index in range(shard * scenes, (shard + 1) * scenes):
        height, width = SIZES[index % len(SIZES)]
        frames = 33 if index % LONG == LONG - 1 - (index // LONG) % 2 else 17
        scene = make_scene(FIRST_SEED + index, height, width)
        cases.extend(cases_of(vae, scene, frames, index // 2))
    return _grouped(cases)


def _grouped(cases: Iterable[Case]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, tuple[int, ...]], list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.kind, tuple(case.y.shape)].append(case)
    return [
        {
            "kind": kind,
            "prompts": [case.prompt for case in members],
            "target": _packed([case.target for case in members]),
            "y": _packed([case.y for case in members]),
        }
        for (kind, _), members in sorted(groups.items())
    ]


def _packed(tensors: list[Tensor]) -> Tensor:
    return torch.stack(tensors).to(torch.float16)


def run(
    out: Path,
    work: Path,
    *,
    part: tuple[int, int] = (0, 1),
    shards: int = SHARDS,
    scenes: int = SCENES,
    fused: NormSilu = norm_silu,
) -> None:
    """Write the shards that do not exist yet; `part` (i, n): of every n shards the i-th."""
    folder = work / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    vae = encoder_of(WanVae.load(out / "vae"), fused)
    for shard in range(part[0], shards, part[1]):
        file = folder / f"{shard:03d}.pt"
        if not file.exists():
            half_done = file.with_suffix(".part")
            torch.save(make_shard(vae, shard, scenes), half_done)
            half_done.replace(file)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/tiny"))
    parser.add_argument("--work", type=Path, default=Path("out/training"))
    parser.add_argument("--part", default="0/1", help="i/n: this process makes the i-th of every n shards")
    options = parser.parse_args()
    first, every = options.part.split("/")
    torch.set_num_threads(1)
    if first == "0":
        fit_colours(options.out)
    run(options.out, options.work, part=(int(first), int(every)), fused=compiled_norm_silu())


if __name__ == "__main__":
    main()
