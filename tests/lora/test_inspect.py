"""`lora inspect` says of a file what the reader will do with it, and needs neither a model nor torch."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.errors import WeightsError
from models.lora import Shapes, read_lora
from models.lora_inspect import guess_expert, inspect_lora
from models.lora_layout import layout_of
from models.weights_networks import NETWORKS, Network
from tests.cli.terminal import run
from tests.lora.conftest import DIALECTS, DIFFS, LINEAR, Tensors
from tests.lora.test_dialects import WRONG, dialect, written
from tests.media.web_server import WebServer

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]
ROOT = Path(__file__).resolve().parent.parent.parent
CONSTRUCTED_NETWORK = Network(
    "constructed", "the constructed model", 36, 160, 2, 192, text_width=32, time_width=32
)
KNOWN = (*NETWORKS, CONSTRUCTED_NETWORK)


def sized(network: str, modules: list[str], rank: int = 2) -> Tensors:
    """Pairs of zeros, except one number, for layers of a published network; small, since only rank counts."""
    shapes = next(n for n in NETWORKS if n.id == network).shapes()
    found: Tensors = {}
    for module in modules:
        rows, columns = shapes[f"{module}.weight"][:2]
        name = f"transformer.{module}"
        found[f"{name}.lora_A.weight"] = torch.zeros(rank, columns, dtype=torch.float16)
        found[f"{name}.lora_B.weight"] = torch.zeros(rows, rank, dtype=torch.float16)
    return found


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_counted_and_named(tmp_path: Path, shapes: Shapes, pairs: Pairs, name: str) -> None:
    path = written(tmp_path, dialect(name, pairs))
    found = inspect_lora(path, networks=KNOWN)
    assert found.problem is None
    assert found.matched == found.keys == read_lora(path, shapes).keys
    assert found.fits == (CONSTRUCTED_NETWORK.id,)
    assert found.rank == read_lora(path, shapes).rank
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not found.layout.startswith("unknown")


def test_the_dialects_have_different_names(pairs: Pairs) -> None:
    named = {layout_of(dialect(name, pairs)) for name in DIALECTS}
    assert len(named) >= 13
    assert layout_of(dialect("DiffSynth and SVI", pairs)).startswith("DiffSynth and SVI training")
    assert layout_of(dialect("musubi", pairs)) == "musubi or kohya (lora_unet_): lora_down/lora_up, alpha"


def test_differences_are_counted(tmp_path: Path, pairs: Pairs, diffs: Tensors) -> None:
    tensors = dialect("original names", pairs) | {DIFFS[name]: diff for name, diff in diffs.items()}
    tensors["blocks.0.cross_attn.norm_k_img.diff"] = -torch.zeros(160, dtype=torch.bfloat16)
    found = inspect_lora(written(tmp_path, tensors), networks=KNOWN)
    assert (found.matched, found.keys) == (len(tensors), len(tensors))
    assert "whole differences" in found.layout


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_reader_refuses_is_refused_in_the_same_words(
    tmp_path: Path, shapes: Shapes, pairs: Pairs, kind: str
) -> None:
    change, _ = WRONG[kind]
    path = written(tmp_path, change(dialect("original names", pairs)))
    found = inspect_lora(path, networks=[CONSTRUCTED_NETWORK])
    with pytest.raises(WeightsError) as refused:
        read_lora(path, shapes)
    assert f"{path.name} {found.problem}" == str(refused.value)
    assert found.fits == ()


FOREIGN = {
    "blocks.0.self_attn.q.hada_w1_a": "a LoHa",
    "lycoris_blocks_0_self_attn_q.lokr_t2": "Tucker",
    "blocks.0.self_attn.q.oft_blocks": "an OFT",
    "lora_te1_text_model_encoder.lora_down.weight": "text encoder",
    "transformer.single_blocks.0.linear1.lora_A.weight": "Flux",
    "lora_unet_down_blocks_0_attentions_0.lora_down.weight": "Stable Diffusion",
    "transformer.transformer_blocks.0.attn.to_q.lora_A.weight": "LTX",
    "vace_blocks.0.self_attn.q.lora_A.weight": "VACE",
    "blocks.0.self_attn.q.a1.weight": "a GLoRA",
}
"""A key that gives a file away, and the kind that must be named."""


@pytest.mark.parametrize("key", FOREIGN)
def test_strange_files_are_named(tmp_path: Path, shapes: Shapes, key: str) -> None:
    path = written(
        tmp_path, {key: torch.ones(4, 4), "blocks.0.self_attn.q.lora_A.weight": torch.ones(4, 160)}
    )
    found = inspect_lora(path)
    assert found.problem is not None
    assert FOREIGN[key] in found.problem
    assert key in found.problem
    with pytest.raises(WeightsError, match="only LoRA and LoKr for Wan can be loaded"):
        read_lora(path, shapes)


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("SVI_v2_PRO_Wan2.2-I2V-A14B_HIGH_lora_rank_128_fp16.safetensors", "", "high"),
        ("wan2.2_i2v_lightx2v_4steps_lora_v1_low_noise.safetensors", "", "low"),
        ("StyleHighNoise.safetensors", "", "high"),
        ("wan22-lownoise-v3.safetensors", "", "low"),
        ("slow_motion_highlight_flow.safetensors", "", "both"),
        ("style_high_and_low.safetensors", "", "both"),
        ("high_detail_low_noise.safetensors", "", "low"),
        ("style.safetensors", "my style, high noise", "high"),
        ("style.safetensors", "", "both"),
    ],
)
def test_the_expert_is_guessed_from_names(name: str, title: str, expected: str) -> None:
    assert guess_expert(name, {"modelspec.title": title} if title else {}) == expected


@pytest.mark.parametrize(
    ("network", "modules", "base", "fits"),
    [
        ("i2v_2_2", ["blocks.39.attn1.to_q"], "any of 2.1 and 2.2", ("i2v_2_2", "t2v", "i2v", "flf2v_720p")),
        ("i2v", ["blocks.3.attn2.add_k_proj"], "Wan 2.1 image to video 14B", ("i2v", "flf2v_720p")),
        ("t2v_1.3B", ["blocks.29.ffn.net.2"], "Wan 2.1 1.3B", ("t2v_1.3B", "fun_inp_1.3B")),
        ("ti2v_5b", ["proj_out"], "5B", ("ti2v_5b",)),
    ],
)
def test_the_base_model_is_guessed_from_shapes(
    tmp_path: Path, network: str, modules: list[str], base: str, fits: tuple[str, ...]
) -> None:
    found = inspect_lora(written(tmp_path, sized(network, modules)))
    assert base in str(found.base)
    assert found.fits == fits


def test_28_keys_in_words(tmp_path: Path) -> None:
    modules = [f"blocks.{i}.attn1.to_{part}" for i in range(7) for part in "qk"]
    path = tmp_path / "style_low_noise.safetensors"
    save_file(sized("i2v_2_2", modules), path)
    said = run("lora", "inspect", str(path))
    assert (said.status, said.err) == (0, "")
    assert "keys 28 of 28" in said.out.splitlines()
    assert "expert    low" in said.out.splitlines()
    told = json.loads(run("lora", "inspect", str(path), "--json").out)
    assert (told["expert"], told["keys"], told["matched"]) == ("low", 28, 28)


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def pattern(path: Path) -> None:
    told = {"lora_adapter_metadata": json.dumps({"rank_pattern": {"to_q": 8}})}
    save_file(sized("i2v_2_2", ["blocks.0.attn1.to_q"]), path, told)


def unknown(path: Path) -> None:
    keys = {f"blocks.{i}.nothing.lora_A.weight": torch.ones(1) for i in range(12)}
    save_file(keys, path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (broken, "is not a .safetensors file"),
        (pattern, "per layer"),
        (unknown, "12 of its 12 keys are unknown"),
    ],
)
def test_files_that_cannot_load_exit_with_1(
    tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "style.safetensors"
    save_file(sized("i2v_2_2", ["blocks.0.attn1.to_q"]), path)
    damage(path)
    said = run("lora", "inspect", str(path))
    assert said.status == 1
    assert says in said.err


def test_many_unknown_keys_are_not_all_listed(tmp_path: Path) -> None:
    unknown(tmp_path / "style.safetensors")
    assert "unknown   and 2 more" in run("lora", "inspect", str(tmp_path / "style.safetensors")).out


def test_wrong_use_is_told() -> None:
    assert run("lora").status == 2
    assert "inspect" in run("lora").err
    assert run("lora", "inspect", "nowhere.safetensors").status == 1
    assert "does not end in .safetensors" in run("lora", "inspect", "https://example.org/style.zip").err
    assert run("lora", "inspect", "http://127.0.0.1:9/style.safetensors").status == 1


def test_the_process_needs_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_file(sized("i2v_2_2", ["blocks.0.attn1.to_q"]), path)
    code = (
        "import sys; from headless.cli.main import main; "
        f"status = main(['lora', 'inspect', {str(path)!r}], {{}}); "
        "sys.exit(status or len({'torch', 'diffusers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "keys 2 of 2" in done.stdout


def test_every_layer_of_the_fixture_is_a_layer_of_the_tiny_network() -> None:
    shapes = CONSTRUCTED_NETWORK.shapes()
    assert all(f"{module}.weight" in shapes for module in LINEAR)


def test_a_file_behind_a_url_is_fetched_whole(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_file(sized("i2v_2_2", ["blocks.0.attn1.to_q"]), path)
    with WebServer(lambda connection, _: connection.answer("200 OK", path.read_bytes())) as server:
        url = server.url("/loras/style_high_noise.safetensors?token=secret")
        said = run("lora", "inspect", url, "--allow-hosts", server.host)
        assert said.status == 0, said.err
        assert "expert    high" in said.out
        assert "secret" not in said.err + said.out
        assert run("lora", "inspect", url).status == 1
        assert len(server.requests) == 1
