"""Builds the image in a clean root and tries it: `scripts/try-image` calls this with a folder to work in."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from scripts.image import checkout, clean_root, dockerfile, pip_settings
from scripts.image.build import build
from scripts.image.container import TrialFailed
from scripts.image.trial import try_out

CHECKOUT = Path(__file__).resolve().parents[2]


def main(argv: list[str]) -> int:
    """0 when everything that was asked for works."""
    parser = argparse.ArgumentParser(prog="scripts/try-image", description=__doc__)
    parser.add_argument("work", type=Path, help="an empty folder; scripts/try-image makes and removes it")
    parser.add_argument("--base", type=Path, help="a root that debootstrap made before; it is copied")
    parser.add_argument("--no-image", action="store_true", help="leave the image out: only --demo, --test")
    parser.add_argument("--demo", action="store_true", help="also run scripts/demo as a normal user, twice")
    parser.add_argument("--test", action="store_true", help="also run scripts/test as a normal user")
    arguments = parser.parse_args(argv)
    began = time.monotonic()
    try:
        _run(arguments)
    except (TrialFailed, subprocess.SubprocessError, clean_root.NoSuchBaseError) as error:
        print(f"try-image: {error}", file=sys.stderr)
        return 1
    print(f"try-image: all well, {time.monotonic() - began:.0f} s")
    return 0


def _run(arguments: argparse.Namespace) -> None:
    image = dockerfile.read((CHECKOUT / "Dockerfile").read_text("utf-8"))
    pip = pip_settings.of_this_machine(sys.executable)
    if not arguments.no_image:
        print(f"image: {image.base}", flush=True)
        root = _make(arguments.work / "image", image, arguments.base)
        build(root, image, CHECKOUT, clean_root.with_pip(root, pip))
        try_out(root, image, arguments.work / "containers")
    if arguments.demo or arguments.test:
        print("checkout: a normal user", flush=True)
        root = _make(arguments.work / "checkout", image, arguments.base)
        during = clean_root.with_pip(root, pip)
        checkout.prepare(root, CHECKOUT)
        if arguments.demo:
            checkout.run_demo(root, during)
        if arguments.test:
            checkout.run_tests(root, during)


def _make(path: Path, image: dockerfile.Image, base: Path | None) -> clean_root.CleanRoot:
    began = time.monotonic()
    root = clean_root.make(path, image.base, base)
    print(f"  {time.monotonic() - began:6.1f} s  a fresh {image.base}", flush=True)
    return root


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
