"""`python -m headless`: queue work and look at it."""

from __future__ import annotations

import sys

from headless.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
