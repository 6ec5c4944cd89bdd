"""The Dockerfile: what it copies is enough to work, and it says what the documentation promises."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from headless.settings import worker_settings
from scripts.image import dockerfile
from scripts.image.dockerfile import UnknownInstructionError
from tests.scripts.folder_root import IMAGE, built
from tests.scripts.tracked import REPOSITORY, python_files

COPIES = [step.copied() for step in IMAGE.steps if step.name == "COPY"]
COPIED = [source for copy in COPIES for source in copy.sources]
PACKAGES = {path.name for path in REPOSITORY.iterdir() if (path / "__init__.py").is_file()}


def test_what_it_copies_is_there_and_not_ignored() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split()
    for source in COPIED:
        assert (REPOSITORY / source).exists()
        assert not {str(parent) for parent in (PurePosixPath(source), *PurePosixPath(source).parents)} & set(
            ignored
        )


def test_it_copies_every_package_that_the_worker_imports() -> None:
    wanted, seen = {"worker.py", "headless"}, set[str]()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        for path in python_files(name):
            wanted |= {n.partition(".")[0] for n in _imported(path)} & PACKAGES
    assert wanted <= set(COPIED)


def test_it_copies_the_requirements_before_the_code() -> None:
    installed = [step.name == "RUN" and "scripts/setup" in step.text for step in IMAGE.steps].index(True)
    code = [step.name == "COPY" and "headless" in step.text.split() for step in IMAGE.steps].index(True)
    assert installed < code


def test_a_worker_runs_from_what_it_copies(tmp_path: Path) -> None:
    root = built(tmp_path)
    app = tmp_path / "app"

    def answer(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=app, capture_output=True, text=True, check=True).stdout.strip()

    task = answer("-m", "headless", "submit", "--local", "queue", "--file", "examples/demo.json")
    answer(*IMAGE.entrypoint[1:], "--local", "queue", "--until-idle", "--engine", "fake")
    assert "Complete" in answer("-m", "headless", "status", "--local", "queue", task)
    assert ("worker", "PIP_NO_CACHE_DIR=1 scripts/setup") in root.ran
    assert not list(app.glob("**/.venv"))


def test_it_does_not_run_as_root() -> None:
    assert IMAGE.user == "worker"
    assert {copy.owner for copy in COPIES} == {"worker"}


def test_its_variables_are_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        worker_settings(["--help"], {})
    page = capsys.readouterr().out
    ours = {name for name in IMAGE.environment if name.startswith(("HEADLESS_", "SUPABASE_"))}
    assert {name for name in ours if f"[{name}" not in page} == set()
    assert not [name for name in IMAGE.environment if "TOKEN" in name or "KEY" in name or "SECRET" in name]


def test_models_and_caches_are_volumes_and_the_health_file_is_not_on_one() -> None:
    assert set(IMAGE.volumes) == {PurePosixPath("/models"), PurePosixPath("/cache")}
    assert PurePosixPath(IMAGE.environment["HEADLESS_MODELS_DIR"]) in IMAGE.volumes
    assert not set(PurePosixPath(IMAGE.environment["HEADLESS_HEALTH_FILE"]).parents) & set(IMAGE.volumes)
    made = [step.text for step in IMAGE.steps if step.name == "RUN" and "chown" in step.text]
    assert all(str(volume) in made[0] for volume in IMAGE.volumes)


def test_finished_results_and_caches_are_on_a_volume() -> None:
    settings = worker_settings(["--local", "queue"], IMAGE.environment)
    volumes = {Path(volume) for volume in IMAGE.volumes}
    for folder in (settings.work_dir, settings.cache_dir):
        assert folder is not None
        assert {folder, *folder.parents} & volumes


def test_signals_reach_the_worker() -> None:
    assert IMAGE.entrypoint == (".venv/bin/python", "worker.py")
    assert IMAGE.stop_signal == "SIGTERM"
    assert IMAGE.health == (".venv/bin/python", "-m", "headless", "health")


REST = 'FROM a\nVOLUME ["/b"]\nSTOPSIGNAL SIGTERM\nHEALTHCHECK --interval=1s CMD ["c"]\n'


def test_the_reader_joins_lines_and_leaves_comments_out() -> None:
    text = f'# one\n{REST}RUN a \\\n  # between\n && b\nENV X=1 \\\n    Y="2 3"\nENTRYPOINT ["e"]\n'
    image = dockerfile.read(text)
    assert next((step.name, step.text.split()) for step in image.steps) == ("RUN", ["a", "&&", "b"])
    assert image.environment == {"X": "1", "Y": "2 3"}
    assert (image.base, image.health, image.user, image.folder) == ("a", ("c",), "root", "/")


@pytest.mark.parametrize("line", ["ARG TOKEN", "ADD a b", 'SHELL ["sh"]'])
def test_the_reader_refuses_what_it_does_not_know(line: str) -> None:
    with pytest.raises(UnknownInstructionError, match=line.split()[0]):
        dockerfile.read(f'{REST}{line}\nENTRYPOINT ["e"]\n')


def test_the_reader_refuses_a_shell_in_front_of_the_worker() -> None:
    with pytest.raises(UnknownInstructionError, match="exec form"):
        dockerfile.read(f"{REST}ENTRYPOINT python worker.py\n")


@pytest.mark.parametrize("line", ["COPY a b", "COPY --link --chown=u:u a b", "COPY --from=x a b"])
def test_the_reader_refuses_a_copy_that_it_would_do_otherwise(line: str) -> None:
    image = dockerfile.read(f'{REST}{line}\nENTRYPOINT ["e"]\n')
    with pytest.raises(UnknownInstructionError, match="--chown"):
        image.steps[0].copied()


def _imported(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    direct = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return direct + [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
