"""`python -m tests.crash.trapped_worker [TRAP ...] -- FLAGS`: worker.py, with traps on its way."""

from __future__ import annotations

import runpy
import sys

from headless.adapters.local_storage import LocalStorage
from headless.adapters.sqlite_queue import SqliteQueue
from tests.crash.traps import Traps, lay


def main() -> None:
    """Lay the traps, then be worker.py."""
    split = sys.argv.index("--")
    traps, flags = Traps.read(sys.argv[1:split]), sys.argv[split + 1 :]
    queue, storage = _adapters(flags)
    lay(traps, queue, storage)
    sys.argv = ["worker.py", *flags]
    runpy.run_path("worker.py", run_name="__main__")


def _adapters(flags: list[str]) -> tuple[type, type]:
    if "--local" in flags:
        return SqliteQueue, LocalStorage
    from headless.adapters.supabase_queue import SupabaseQueue
    from headless.adapters.supabase_storage import SupabaseStorage

    return SupabaseQueue, SupabaseStorage


if __name__ == "__main__":
    main()
