"""GPU, driver, disk and weights: what is told of every state that they can be in."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from headless.doctor.disk import check_disk
from headless.doctor.finding import Finding, Health
from headless.doctor.gpu import Ran, check_gpu, run_program
from headless.doctor.weights import check_weights
from headless.model_store.presence import Presence, State

SMI = Ran(0, "NVIDIA H200, 580.95.05, 143771\n")
NO_SMI = Ran(None, "", "it is not installed")
H200 = {"name": "NVIDIA H200", "total": 150e9, "free": 140e9, "computes": True}


def machine(smi: Ran, **told: object) -> Callable[[Sequence[str]], Ran]:
    """A machine on which the driver's tool and torch say this."""
    torch = Ran(
        0, "a warning first\n" + json.dumps({"torch": "2.13.0", "cuda": "13.0", "devices": []} | told)
    )
    return lambda command: smi if command[0] == "nvidia-smi" else torch


def health(findings: Sequence[Finding], check: str) -> Health:
    (found,) = [finding.health for finding in findings if finding.check == check]
    return found


GPUS = {
    "fine": (machine(SMI, devices=[H200]), "auto", Health.OK, "140 of 150 GB free"),
    "small": (machine(SMI, devices=[H200 | {"total": 12e9}]), "cuda", Health.WARN, "of 12 GB free"),
    "wrong sums": (machine(SMI, devices=[H200 | {"computes": False}]), "auto", Health.FAIL, "adds wrongly"),
    "full": (machine(SMI, error="CUDA out of memory"), "auto", Health.FAIL, "out of memory"),
    "torch without CUDA": (machine(SMI, cuda=None), "auto", Health.FAIL, "build without CUDA"),
    "old driver": (machine(SMI), "auto", Health.FAIL, "cannot reach it"),
    "none": (machine(NO_SMI), "auto", Health.WARN, "everything runs on the CPU"),
    "none, but asked for": (machine(NO_SMI), "cuda:0", Health.FAIL, "--device is cuda:0"),
    "not asked for": (machine(SMI, devices=[H200]), "cpu", Health.OK, "not asked for"),
    "torch is broken": (
        lambda command: NO_SMI if command[0] == "nvidia-smi" else Ran(1, "", "Traceback\nImportError: no"),
        "auto",
        Health.FAIL,
        "ImportError: no",
    ),
}


@pytest.mark.parametrize("kind", GPUS)
def test_gpus(kind: str) -> None:
    run, device, expected, says = GPUS[kind]
    findings = check_gpu(device, run)
    assert health(findings, "gpu") is expected
    (gpu,) = [finding for finding in findings if finding.check == "gpu"]
    assert says in gpu.what
    assert bool(gpu.mend) == (expected is not Health.OK)


@pytest.mark.parametrize(
    ("smi", "expected"),
    [
        (SMI, Health.OK),
        (NO_SMI, Health.WARN),
        (Ran(9, "Failed to initialize NVML: Driver/library version mismatch"), Health.FAIL),
    ],
)
def test_drivers(smi: Ran, expected: Health) -> None:
    assert health(check_gpu("auto", machine(smi)), "driver") is expected


def test_the_probe_runs_on_the_torch_that_is_installed() -> None:
    """Whatever machine this is, the probe tells of it and torch itself is not what fails."""
    (gpu,) = [finding for finding in check_gpu("auto") if finding.check == "gpu"]
    assert "torch cannot be used" not in gpu.what
    assert health(check_gpu("cpu"), "gpu") is Health.OK


def test_programs_that_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_program(["no-such-program-here"]) == Ran(None, "", "it is not installed")
    assert run_program(["/"]).status is None
    assert run_program([sys.executable, "-c", "import sys; sys.exit(3)"]).status == 3


def test_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    usage = shutil.disk_usage(tmp_path)

    def look(path: Path, free: float = 100e9) -> Finding:
        monkeypatch.setattr(
            "headless.doctor.disk.shutil.disk_usage", lambda _: usage._replace(free=int(free))
        )
        return check_disk({"--work-dir": path})[0]

    assert look(tmp_path / "not" / "yet").health is Health.OK
    assert look(tmp_path, 5e9).health is Health.WARN
    assert look(tmp_path, 0.5e9).health is Health.FAIL
    assert "is no folder" in look(tmp_path / "file" / "below").what
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "may not write" in look(tmp_path).what


def part(state: State, why: str = "") -> Presence:
    return Presence("transformer", state, "x/transformer", None, why)


def test_weights() -> None:
    tiny = {"wan_tiny_i2v": [part(State.UNRECORDED)]}
    real = tiny | {"i2v_2_2": [part(State.PRESENT)]}
    lacking = tiny | {"i2v_2_2": [part(State.MISSING)]}
    cut = tiny | {"i2v_2_2": [part(State.DAMAGED, "the file is cut short")]}

    def only(findings: list[Finding]) -> tuple[Health, str]:
        (finding,) = findings
        assert bool(finding.mend) == (finding.health is not Health.OK)
        return finding.health, finding.what

    assert only(check_weights(tiny, {}, None))[0] is Health.WARN
    assert only(check_weights(real, {}, "i2v_2_2"))[0] is Health.OK
    assert only(check_weights(lacking, {}, None))[0] is Health.WARN
    assert only(check_weights(lacking, {}, "i2v_2_2")) == (Health.FAIL, "i2v_2_2 lacks x/transformer")
    assert only(check_weights(cut, {}, None)) == (Health.FAIL, "the file is cut short")
    assert only(check_weights(tiny, {}, "i2v")) == (Health.FAIL, "there is no model 'i2v'")
    assert only(check_weights(tiny, {"bad": "bad.json is not JSON"}, None))[0] is Health.FAIL
