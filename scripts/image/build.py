"""Carries out the steps of a Dockerfile in a clean root, in their order."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.image.clean_root import CleanRoot, Place
from scripts.image.dockerfile import Image, Step


def build(root: CleanRoot, image: Image, context: Path, during: Mapping[str, str]) -> None:
    """Carry out every step. `during`: variables of the build alone, like build arguments."""
    place = Place(environment=during)
    for step in image.steps:
        began = time.monotonic()
        place = _carry_out(step, root, place, context)
        shown = " ".join(step.text.split())
        print(f"  {time.monotonic() - began:6.1f} s  {step.name} {shown[:80]}", flush=True)


def _carry_out(step: Step, root: CleanRoot, place: Place, context: Path) -> Place:
    match step.name:
        case "RUN":
            root.run(["/bin/sh", "-c", step.text], place)
        case "COPY":
            _copy(step, root, place, context)
        case "USER":
            return Place(step.text, place.folder, place.environment)
        case "WORKDIR":
            root.inside(step.text).mkdir(parents=True, exist_ok=True)
            return Place(place.user, step.text, place.environment)
        case "ENV":
            return Place(place.user, place.folder, {**place.environment, **step.variables()})
    return place


def _copy(step: Step, root: CleanRoot, place: Place, context: Path) -> None:
    copy = step.copied()
    for source in copy.sources:
        target = posixpath.join(place.folder, copy.target)
        if copy.target.endswith("/") and (context / source).is_file():
            target += Path(source).name
        root.copy(context / source, target, copy.owner)
