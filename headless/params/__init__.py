"""What users may ask for: strict parameters, one file per kind of task."""

from headless.params.generate import GenerateParams
from headless.params.parse import parse, parse_task
from headless.params.parsed import Parsed

__all__ = ["GenerateParams", "Parsed", "parse", "parse_task"]
