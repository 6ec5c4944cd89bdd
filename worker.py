"""The worker: arguments, settings, wiring, loop, exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType


def leave(number: int, _: FrameType | None) -> None:
    """Stop before the first claim.

    Process 1 of a container hears only the signals that it listens to, and the imports take a second.
    """
    sys.exit(130 if number == signal.SIGINT else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGUSR1, leave)

from headless.errors import BadParams, HeadlessError, UsageError  # noqa: E402 - the signals come first
from headless.logs import configure, without_tokens  # noqa: E402
from headless.rank_signals import listen_to_ranks  # noqa: E402
from headless.settings import worker_settings  # noqa: E402
from headless.shutdown import LEFT_AT_ONCE  # noqa: E402
from headless.wiring import build_worker, follow  # noqa: E402


def main(argv: Sequence[str]) -> int:
    """Run the worker until it is done or asked to stop."""
    try:
        settings = worker_settings(argv)
        configure(
            debug=settings.debug,
            log_format=settings.log_format,
            stream=sys.stderr,
            secrets=settings.connection.secrets(),
            rank=settings.place.rank if settings.place.size > 1 else None,
        )
        if not settings.place.leads:
            return follow(settings)
        with build_worker(settings) as worker:
            worker.shutdown.install()
            listen_to_ranks(worker.shutdown.request)
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
