"""Definitions and the model files that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headless.doctor.finding import Finding, fail, ok, warn
from headless.model_store.presence import Presence, State

Seen = Mapping[str, Sequence[Presence]]
"""Model id -> what was found of its parts."""


def check_weights(seen: Seen, broken: Mapping[str, str], wanted: str | None) -> list[Finding]:
    """`wanted` must be whole; so must, in itself, every file that is there."""
    findings = [
        fail("weights", why, "Correct the file, or move it away.") for why in sorted(set(broken.values()))
    ]
    if wanted is not None and wanted not in seen:
        findings.append(
            fail("weights", f"there is no model {wanted!r}", f"Known models: {', '.join(sorted(seen))}.")
        )
    for why in sorted({part.why for parts in seen.values() for part in parts if part.state is State.DAMAGED}):
        findings.append(fail("weights", why, "Delete it and run: python -m headless models pull MODEL"))
    whole = [model for model, parts in seen.items() if all(part.usable for part in parts)]
    if wanted in seen and wanted not in whole:
        missing = ", ".join(part.place for part in seen[str(wanted)] if not part.usable)
        findings.append(
            fail("weights", f"{wanted} lacks {missing}", f"python -m headless models pull {wanted}")
        )
    return findings or [_summary(whole)]


def _summary(whole: Sequence[str]) -> Finding:
    listed = ", ".join(sorted(whole)) or "none"
    if all(model.startswith("wan_tiny_") for model in whole):
        return warn(
            "weights",
            f"complete models: {listed}",
            "These show that everything works, and make no real videos. For real ones: python -m headless "
            "models pull i2v_2_2 --models-dir DIR",
        )
    return ok("weights", f"complete models: {listed}")
