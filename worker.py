"""The worker: arguments, settings, wiring, loop, exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from headless.errors import BadParams, HeadlessError, UsageError
from headless.logs import configure, without_tokens
from headless.settings import worker_settings
from headless.shutdown import LEFT_AT_ONCE
from headless.wiring import build_worker


def main(argv: Sequence[str]) -> int:
    """Run the worker until it is done or asked to stop."""
    try:
        settings = worker_settings(argv)
        configure(
            debug=settings.debug,
            log_format=settings.log_format,
            stream=sys.stderr,
            secrets=settings.connection.secrets(),
        )
        with build_worker(settings) as worker:
            worker.shutdown.install()
            return worker.run()
    except (UsageError, BadParams) as error:
        print(f"worker.py: {without_tokens(error.message)}", file=sys.stderr)
        return 2
    except HeadlessError as error:
        print(f"worker.py: {without_tokens(error.message)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return LEFT_AT_ONCE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
