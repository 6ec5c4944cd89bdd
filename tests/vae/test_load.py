"""Reading a VAE: every layout of file and folder gives the same weights, and anything odd is refused."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.errors import WeightsError
from models.vae import WanVae
from models.vae_config import inferred_config
from models.vae_names import diffusers_names
from tests.vae.conftest import TINY_VAE
from tests.vae.measures import noise

SMALL = {"base_dim": 4, "dim_mult": [1, 2], "num_res_blocks": 1, "temperal_downsample": [True], "z_dim": 16}
Tensors = dict[str, Tensor]


@pytest.fixture
def original() -> Tensors:
    """The tensors of the golden VAE under their original names."""
    return dict(load_file(TINY_VAE))


def as_original(tensors: Tensors, _: Path) -> Tensors:
    return tensors


def with_prefix(tensors: Tensors, _: Path) -> Tensors:
    return {f"first_stage_model.{name}": tensor for name, tensor in tensors.items()}


def as_diffusers(tensors: Tensors, _: Path) -> Tensors:
    return dict(convert_wan_vae_to_diffusers(tensors))


@pytest.mark.parametrize("layout", [as_original, with_prefix, as_diffusers])
def test_single_files(
    layout: Callable[[Tensors, Path], Tensors], original: Tensors, tiny_vae: WanVae, tmp_path: Path
) -> None:
    save_file(layout(original, tmp_path), tmp_path / "vae.safetensors")
    same_weights(WanVae.load(tmp_path / "vae.safetensors"), tiny_vae)


def test_our_names_are_those_of_diffusers(original: Tensors) -> None:
    theirs = convert_wan_vae_to_diffusers(dict(original))
    ours = {new: original[old] for old, new in diffusers_names(original).items()}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_folders(tiny_vae: WanVae, tmp_path: Path) -> None:
    tiny_vae.module.save_pretrained(tmp_path / "whole" / "vae")
    tiny_vae.module.save_pretrained(tmp_path / "shards", max_shard_size="1MB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    for folder in ("whole/vae", "whole", "shards"):
        same_weights(WanVae.load(tmp_path / folder), tiny_vae)


def test_a_folder_keeps_its_own_statistics(tmp_path: Path) -> None:
    mean, std = [0.5] * 16, [2.0] * 16
    AutoencoderKLWan(**SMALL, latents_mean=mean, latents_std=std).save_pretrained(tmp_path)
    vae = WanVae.load(tmp_path)
    assert vae.latents_mean == tuple(mean)
    assert vae.latents_std == tuple(std)
    raw = torch.full((16, 1, 1, 1), 4.5)
    assert torch.equal(vae.normalise(raw), torch.full((16, 1, 1, 1), 2.0))
    assert torch.equal(vae.denormalise(vae.normalise(raw)), raw)


def test_a_single_file_may_name_its_statistics(original: Tensors, tmp_path: Path) -> None:
    mean, std = [float(i) for i in range(16)], [0.5] * 16
    metadata = {"latents_mean": json.dumps(mean), "latents_std": json.dumps(std)}
    save_file(original, tmp_path / "vae.safetensors", metadata=metadata)
    vae = WanVae.load(tmp_path / "vae.safetensors")
    assert (vae.latents_mean, vae.latents_std) == (tuple(mean), tuple(std))
    save_file(original, tmp_path / "half.safetensors", metadata={"latents_mean": json.dumps(mean)})
    with pytest.raises(WeightsError, match="must both list 16 numbers"):
        WanVae.load(tmp_path / "half.safetensors")


def test_without_them_the_published_ones_hold(tiny_vae: WanVae) -> None:
    assert tiny_vae.latents_mean[:2] == (-0.7571, -0.7089)
    assert tiny_vae.latents_std[-1] == 1.9160


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SMALL | {"decoder_base_dim": 8, "num_res_blocks": 3},
        SMALL | {"dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "temperal_downsample": [False, True, True]},
        SMALL | {"dim_mult": [2], "temperal_downsample": []},
        SMALL | {"dim_mult": [1, 1, 2], "temperal_downsample": [True, False]},
    ],
)
def test_the_layout_is_told_by_the_shapes(config: dict[str, object]) -> None:
    with torch.device("meta"):
        module = AutoencoderKLWan(**config)
    found = inferred_config({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()})
    expected = {name: module.config[name] for name in found} | {
        "decoder_base_dim": config.get("decoder_base_dim", 4)
    }
    assert found == expected


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_halves_load_in_any_precision(stored: torch.dtype, original: Tensors, tmp_path: Path) -> None:
    save_file({name: tensor.to(stored) for name, tensor in original.items()}, tmp_path / "vae.safetensors")
    full = WanVae.load(tmp_path / "vae.safetensors")
    assert full.dtype == torch.float32
    assert torch.equal(full.module.quant_conv.weight, original["conv1.weight"].to(stored).float())
    half = WanVae.load(tmp_path / "vae.safetensors", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert half.device == torch.device("cpu")
    assert half.encode(noise(5)).dtype == torch.float32


def test_a_precision_that_cannot_compute_is_refused() -> None:
    for dtype in (torch.int8, torch.float8_e4m3fn):
        with pytest.raises(WeightsError, match=rf"dtype is {dtype}; a VAE runs in torch.float32, "):
            WanVae.load(TINY_VAE, dtype=dtype)


def test_an_unused_or_absent_or_misshapen_tensor_fails_the_load(original: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    for change, message in (
        ({"encoder.conv9.weight": torch.zeros(1)}, r"no part of a Wan VAE is called 'encoder.conv9.weight'"),
        ({"encoder.middle.3.norm.gamma": torch.zeros(1)}, r"is called 'encoder.middle.3.norm.gamma'"),
        ({"encoder.head.2.scale": torch.zeros(1)}, r"1 tensors are not part .*encoder.conv_out.scale"),
        ({"encoder.head.0.gamma": torch.zeros(7)}, r"1 tensors are of a wrong shape.*encoder.norm_out.gamma"),
        ({"decoder.head.2.bias": None}, r"1 tensors are absent, for example decoder.conv_out.bias"),
        ({"conv2.weight": None}, r"layout cannot be told without 'post_quant_conv.weight'"),
    ):
        changed = {name: tensor for name, tensor in (original | change).items() if tensor is not None}
        save_file(changed, path)
        with pytest.raises(WeightsError, match=message):
            WanVae.load(path)


def test_other_files_are_refused(original: Tensors, tmp_path: Path) -> None:
    save_file({"blocks.0.attn.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="this is no Wan VAE"):
        WanVae.load(tmp_path / "other.safetensors")
    eight_bit = {name: tensor.to(torch.int8) for name, tensor in original.items()}
    save_file(eight_bit, tmp_path / "int8.safetensors")
    with pytest.raises(WeightsError, match="quantised"):
        WanVae.load(tmp_path / "int8.safetensors")
    with pytest.raises(FileNotFoundError, match="absent"):
        WanVae.load(tmp_path / "absent.safetensors")


def test_48_channels_have_no_published_statistics(tmp_path: Path) -> None:
    module = AutoencoderKLWan(**SMALL | {"z_dim": 48})
    save_file(module.state_dict(), tmp_path / "vae.safetensors")
    with pytest.raises(WeightsError, match="48 latent channels needs latents_mean and latents_std"):
        WanVae.load(tmp_path / "vae.safetensors")


def test_the_vae_of_the_5b_model_is_refused_by_name(tmp_path: Path) -> None:
    with torch.device("meta"):
        module = AutoencoderKLWan(**SMALL, patch_size=2, in_channels=12, out_channels=12)
    with pytest.raises(WeightsError, match=r"VAE of Wan 2\.2 TI2V 5B"):
        WanVae(module)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "AutoencoderKL"}, "describes a AutoencoderKL"),
        ({"blocks": 3}, "fields that no Wan VAE has: blocks"),
    ],
)
def test_another_config_is_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    AutoencoderKLWan(**SMALL).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(WeightsError, match=message):
        WanVae.load(tmp_path)


def test_a_pickle_is_refused_with_the_command_that_converts_it(
    original: Tensors, tiny_vae: WanVae, tmp_path: Path
) -> None:
    torch.save(original, tmp_path / "Wan2.1_VAE.pth")
    with pytest.raises(WeightsError, match="pickle") as refused:
        WanVae.load(tmp_path / "Wan2.1_VAE.pth")
    command = re.search(r'python -c ".*"', str(refused.value))
    assert command is not None
    subprocess.run([sys.executable, *shlex.split(command[0])[1:]], check=True, cwd=tmp_path)
    same_weights(WanVae.load(tmp_path / "Wan2.1_VAE.safetensors"), tiny_vae)


def same_weights(vae: WanVae, other: WanVae) -> None:
    ours, theirs = vae.module.state_dict(), other.module.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert (vae.latents_mean, vae.latents_std) == (other.latents_mean, other.latents_std)
