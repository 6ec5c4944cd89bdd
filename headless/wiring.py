"""The composition root: the only module that names concrete adapters."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from headless.adapters.fake_engine import FakeEngine
from headless.adapters.local_storage import LocalStorage
from headless.adapters.sqlite_queue import SqliteQueue
from headless.clock import SystemClock
from headless.errors import UsageError
from headless.heartbeat import Heartbeat
from headless.job import JobServices
from headless.loop import LoopPolicy, WorkLoop
from headless.loras import LoraSource
from headless.media.fetch import FetchLimits
from headless.media.guard import FetchPolicy
from headless.model_store.weight_fingerprints import WeightFingerprints
from headless.outbox import Outbox
from headless.ports import Clock, Engine, ModelRegistry, Storage, TaskQueue
from headless.run_task import Made, TaskRun
from headless.runner import TaskRunner
from headless.settings import Connection, ModelFolders, WorkerSettings
from headless.shutdown import Shutdown
from headless.workspace import Workspace
from models.registry import load_models_def

if TYPE_CHECKING:
    from headless.engine.team import Team

log = structlog.get_logger(__name__)

HUNG = 70
"""Exit status of a worker whose engine hangs."""

ROOT = Path(__file__).resolve().parent.parent
SHIPPED_CONFIGS = ROOT / "configs"
SHIPPED_MODELS = ROOT / "models"


def open_backend(connection: Connection, lease_seconds: float = 60.0) -> tuple[TaskQueue, Storage]:
    """The queue and the storage that the settings name."""
    if connection.local is not None:
        _make_folder(connection.local, "--local")
        queue = SqliteQueue(connection.local / "queue.sqlite3", lease_seconds=lease_seconds)
        return queue, LocalStorage(connection.local / "files")
    if connection.supabase_url is None or connection.token is None:
        raise UsageError("--supabase-url needs a token.")
    # Imported here: supabase-py doubles the time that a worker on a local queue takes to start.
    from headless.adapters.supabase_client import connect
    from headless.adapters.supabase_queue import SupabaseQueue
    from headless.adapters.supabase_storage import SupabaseStorage

    anon = connection.anon_key.get_secret_value() if connection.anon_key else None
    supabase = connect(connection.supabase_url, connection.token.get_secret_value(), anon_key=anon)
    return SupabaseQueue(supabase), SupabaseStorage(supabase, bucket=connection.bucket)


def open_registry(folders: ModelFolders) -> ModelRegistry:
    """Every model definition: the shipped ones, then the user's, which win."""
    user = folders.user
    found = [SHIPPED_CONFIGS]
    if user is not None:
        if not user.is_dir():
            raise UsageError(
                f"--models-dir {user} is not a folder. Name the one that holds configs/, loras/ and weights."
            )
        if (user / "configs").is_dir():
            found.append(user / "configs")
    registry = load_models_def(*found)
    for model, why in registry.broken.items():
        log.warning("model definition not usable", model=model, why=why)
    for warning in registry.warnings:
        log.warning("model definition", why=warning)
    return registry


def open_engine(settings: WorkerSettings, registry: ModelRegistry, team: Team | None = None) -> Engine:
    """The engine that the settings name; without a team, torch is imported here at the earliest."""
    if settings.engine == "fake":
        return FakeEngine(registry, SystemClock(), step_seconds=settings.fake_step_seconds)
    from headless.engine.wan import WanEngine

    folders = _weight_folders(settings)
    if settings.cache_dir is not None:
        _make_folder(settings.cache_dir, "--cache-dir")
    return WanEngine(
        registry,
        folders,
        device=_device(settings),
        memory=settings.memory,
        weights=settings.weights,
        debug=settings.debug,
        cache=settings.cache_dir,
        attention=settings.attention,
        compile_blocks=settings.compile,
        team=team,
    )


def follow(settings: WorkerSettings) -> int:
    """Compute for rank 0 until it needs this rank no more. The exit status."""
    from headless.engine.follower import follow_rank_0

    follow_rank_0(
        settings.place,
        settings.device,
        debug=settings.debug,
        attention=settings.attention,
        compile_blocks=settings.compile,
        cache=settings.cache_dir,
    )
    return 0


@contextlib.contextmanager
def _team(settings: WorkerSettings) -> Iterator[Team | None]:
    """The other ranks; they are let go when the block ends."""
    if settings.place.size == 1:
        yield None
        return
    from headless.engine.joining import leading

    with leading(settings.place, settings.device) as team:
        yield team


def _device(settings: WorkerSettings) -> str:
    if settings.place.size == 1:
        return settings.device
    from headless.engine.joining import rank_device

    return rank_device(settings.device, settings.place)


@dataclass(frozen=True)
class Worker:
    """A worker ready to run, and the switch that stops it."""

    shutdown: Shutdown
    workspace: Workspace
    runner: TaskRunner
    loop: WorkLoop[TaskRun, Made]
    preload: str | None = None

    def run(self) -> int:
        """Clear up after killed workers, deliver what they had finished, then work. The exit status."""
        self.workspace.sweep()
        self.runner.deliver_waiting()
        if self.preload:
            self.runner.preload(self.preload)
        return self.loop.run()


@contextlib.contextmanager
def build_worker(settings: WorkerSettings) -> Iterator[Worker]:
    """The worker that the settings describe; the queue is closed when the block ends."""
    clock = SystemClock()
    shutdown = Shutdown(clock, settings.grace)
    with contextlib.ExitStack() as stack:
        team = stack.enter_context(_team(settings))
        queue, storage = open_backend(settings.connection, settings.lease_seconds)
        stack.callback(queue.close)
        services = _services(settings, queue, storage, clock, shutdown, team)
        runner = TaskRunner(services)
        policy = LoopPolicy(
            busy=settings.poll_interval,
            idle=settings.idle_poll_interval,
            until_idle=settings.until_idle,
            once=settings.once,
        )
        loop = WorkLoop(
            queue, services.engine, runner, shutdown, clock, settings.worker_id, policy, services.on_beat
        )
        yield Worker(shutdown, services.workspace, runner, loop, settings.preload)


def _services(
    settings: WorkerSettings,
    queue: TaskQueue,
    storage: Storage,
    clock: Clock,
    shutdown: Shutdown,
    team: Team | None,
) -> JobServices:
    registry = open_registry(settings.models)
    engine = open_engine(settings, registry, team)
    workspace = _workspace(settings)
    policy = FetchPolicy(allowed_hosts=settings.allowed_hosts)
    return JobServices(
        queue=queue,
        storage=storage,
        engine=engine,
        registry=registry,
        clock=clock,
        shutdown=shutdown,
        worker_id=settings.worker_id,
        workspace=workspace,
        outbox=Outbox(workspace.outbox, _queue_name(settings.connection)),
        output_dir=settings.output_dir,
        loras=_lora_source(settings, policy),
        fetch_policy=policy,
        fetch_limits=FetchLimits(max_bytes=settings.max_input_mb * 1_000_000),
        on_beat=_heartbeat(settings.health_file),
        stall_seconds=settings.stall_seconds,
        on_stalled=_leave_hung,
        **_evidence(settings, engine),
    )


def _evidence(settings: WorkerSettings, engine: Engine) -> dict[str, Any]:
    """How an attempt learns what its engine was made of and took; the fake one loads and takes nothing."""
    if settings.engine == "fake":
        return {}
    from headless.engine.allocator import DeviceAllocator
    from headless.engine.wan import WanEngine, pick_device

    told = {"memory_told": engine.memory_told} if isinstance(engine, WanEngine) else {}
    return told | {
        "weights": WeightFingerprints(_weight_folders(settings)).of,
        "gpu_peak": DeviceAllocator(pick_device(_device(settings))).peak,
    }


def _weight_folders(settings: WorkerSettings) -> list[Path]:
    user = settings.models.user
    return [SHIPPED_MODELS] if user is None else [user, SHIPPED_MODELS]


def _leave_hung() -> None:
    """A hung kernel cannot be interrupted: only leaving lets another worker, and a restart, have a go."""
    os._exit(HUNG)


def _lora_source(settings: WorkerSettings, policy: FetchPolicy) -> LoraSource:
    """The user's LoRA folder comes first; what is fetched lands there."""
    user, shipped = settings.models.user, SHIPPED_MODELS / "loras"
    return LoraSource(
        folders=(shipped,) if user is None else (user / "loras", shipped),
        hosts=frozenset(settings.lora_hosts),
        policy=policy,
        writable=user is not None,
    )


def _workspace(settings: WorkerSettings) -> Workspace:
    """Beside a local queue, else a folder of this user's among the temporary files."""
    local = settings.connection.local
    usual = local / "work" if local else Path(tempfile.gettempdir()) / f"headless-{os.getuid()}"
    folder = settings.work_dir or usual
    _make_folder(folder, "--work-dir")
    if settings.output_dir is not None:
        _make_folder(settings.output_dir, "--output-dir")
    for part in ("jobs", "outbox"):
        _make_folder(folder / part, "--work-dir")
    return Workspace(folder)


def _queue_name(connection: Connection) -> str:
    return str(connection.local.resolve()) if connection.local else str(connection.supabase_url)


def _make_folder(folder: Path, flag: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{flag} {folder} cannot be made ({error.strerror}). Name a folder that you may write."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"{flag} {folder} is not writable for this user. Name another folder or change its owner."
        )


def _heartbeat(path: Path | None) -> Callable[[], None]:
    if path is None:
        return lambda: None
    _make_folder(path.parent, "--health-file")
    return Heartbeat(path).beat
