"""What users may ask for: strict parameters, one file per kind of task."""

from headless.params.generate import GenerateParams
from headless.params.parse import parse

__all__ = ["GenerateParams", "parse"]
