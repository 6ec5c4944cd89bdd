"""The documentation's pictures are what the conditioning does now."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from scripts.conditioning_pictures import PICTURES, write

DOCUMENTED = Path(__file__).parents[2] / "docs" / "img" / "conditioning"


def test_the_pictures_in_the_documentation_are_current(tmp_path: Path) -> None:
    write(tmp_path)
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(path.name for path in DOCUMENTED.iterdir())
    assert drawn == sorted(f"{name}.png" for name in PICTURES)
    for name in drawn:
        with Image.open(tmp_path / name) as now, Image.open(DOCUMENTED / name) as then:
            assert now.size == then.size
            # Letters may be smoothed a little differently by another build of the font library.
            assert max(ImageStat.Stat(ImageChops.difference(now, then)).mean) < 0.2, f"{name} is out of date"
