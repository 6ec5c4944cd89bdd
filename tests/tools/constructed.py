"""Where the constructed model lies that costs the tests next to nothing (`scripts/make_tiny_model.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CONSTRUCTED: Final = Path(__file__).resolve().parents[1] / "data" / "constructed"
"""What an engine takes for a folder of models."""
TINY: Final = CONSTRUCTED / "tiny"
