"""docs/deploy.md and the systemd unit: what they name exists, and their times leave room for a clean stop."""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePosixPath

import pytest

from headless import runner, wiring
from headless.settings import WorkerSettings, worker_settings
from tests.scripts.folder_root import IMAGE
from tests.scripts.tracked import REPOSITORY

PAGE = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
UNIT = (REPOSITORY / "docs" / "headless@.service").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
_NAME = re.compile(r"\b(?:HEADLESS|SUPABASE)_[A-Z_]+\b")


def unit(name: str) -> list[str]:
    """Every value of a setting of the unit."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def unit_environment() -> dict[str, str]:
    """The variables that the unit sets, as its instance 1 sees them."""
    pairs = (text.replace("%i", "1").partition("=") for text in unit("Environment"))
    return {name: value for name, _, value in pairs}


def docker_runs() -> list[list[str]]:
    """The words of every `docker run` of the page that starts a worker."""
    commands = [line for block in _BLOCKS for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in commands if "docker run --detach" in line]


def test_every_setting_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        worker_settings(["--help"], {})
    help_page = capsys.readouterr().out
    named = set(_NAME.findall(PAGE + UNIT))
    assert len(named) > 10
    assert {name for name in named if not re.search(rf"\b{name}\b", help_page)} == set()


def test_the_unit_is_a_setting_of_a_worker_per_card(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("sb_secret_of_a_test", encoding="utf-8")
    project = {"SUPABASE_URL": "https://project.supabase.co", "SUPABASE_SECRET_KEY_FILE": str(secret)}
    settings = worker_settings([], unit_environment() | project)
    assert settings.device == "cuda"
    assert settings.worker_id == "%H-gpu1"
    assert unit_environment()["CUDA_VISIBLE_DEVICES"] == "1"
    assert settings.connection.token is not None
    assert settings.connection.token.get_secret_value() == "sb_secret_of_a_test"


def test_the_unit_writes_where_it_may() -> None:
    settings = worker_settings(["--local", "queue"], unit_environment())
    assert settings.work_dir is not None
    assert settings.health_file is not None
    assert settings.work_dir.is_relative_to(f"/var/lib/{unit('StateDirectory')[0]}")
    assert settings.cache_dir == Path("/var/cache", unit("CacheDirectory")[0])
    assert settings.health_file.parent == Path("/run", unit("RuntimeDirectory")[0].replace("%i", "1"))


def test_the_unit_starts_the_worker_of_its_folder() -> None:
    python, script = unit("ExecStart")[0].split()
    assert PurePosixPath(python).relative_to(unit("WorkingDirectory")[0]) == PurePosixPath(".venv/bin/python")
    assert (REPOSITORY / script).is_file()


def test_the_unit_starts_again_what_a_new_start_may_mend() -> None:
    assert unit("Restart") == ["on-failure"]
    assert unit("RestartPreventExitStatus") == ["2"]
    assert unit("SuccessExitStatus") == []
    assert f"# {wiring.HUNG}: the engine hung." in UNIT
    assert f"| {wiring.HUNG} |" in PAGE


def test_the_time_to_stop_is_enough() -> None:
    needed = WorkerSettings.grace + 2 * runner.SETTLE_LIMIT
    assert unit("KillSignal") == [IMAGE.stop_signal]
    times = [int(unit("TimeoutStopSec")[0])]
    times += [int(words[words.index("--stop-timeout") + 1]) for words in docker_runs()]
    assert len(times) == 3
    assert min(times) > needed


def test_docker_runs_with_the_volumes_of_the_image_and_a_card() -> None:
    for words in docker_runs():
        mounted = {PurePosixPath(text.split(":")[1]) for text in _after(words, "--volume")}
        assert set(IMAGE.volumes) <= mounted
        assert _after(words, "--gpus")
        assert "HEADLESS_DEVICE=cuda" in _after(words, "--env")
        assert words[-1] == "headless"


def test_a_secret_is_mounted_where_it_is_looked_for() -> None:
    words = docker_runs()[0]
    places = [text.split(":")[1] for text in _after(words, "--volume") if text.endswith(":ro")]
    assert f"SUPABASE_SECRET_KEY_FILE={places[0]}" in _after(words, "--env")


def test_the_places_that_the_page_names_are_those_of_the_image() -> None:
    for name in ("HEADLESS_MODELS_DIR", "HEADLESS_WORK_DIR", "HEADLESS_HEALTH_FILE", "HF_HOME"):
        assert f"`{IMAGE.environment[name]}" in PAGE


@pytest.mark.parametrize("page", ["README.md", "docs/deploy.md"])
def test_links_lead_somewhere(page: str) -> None:
    path = REPOSITORY / page
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def _after(words: list[str], option: str) -> list[str]:
    return [words[i + 1] for i, word in enumerate(words) if word == option]
