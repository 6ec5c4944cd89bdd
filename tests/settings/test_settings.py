"""Arguments, variables and secrets of the worker."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from headless.errors import UsageError
from headless.settings import worker_settings

TOKEN = "sb_secret_0123456789abcdef"
SHAPED = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYXV0aGVudGljYXRlZCJ9.c2lnbmF0dXJl"
URL = "https://project.supabase.co"


def test_a_local_queue_needs_nothing_else(tmp_path: Path) -> None:
    settings = worker_settings(["--local", str(tmp_path)], {})
    assert settings.connection.local == tmp_path
    assert settings.memory == "auto"
    assert settings.worker_id


def test_every_option_may_come_from_the_environment(tmp_path: Path) -> None:
    settings = worker_settings(
        [],
        {
            "SUPABASE_URL": URL + "/",
            "SUPABASE_SECRET_KEY": TOKEN,
            "HEADLESS_WORKER": "gpu-7",
            "HEADLESS_UNTIL_IDLE": "yes",
            "HEADLESS_POLL_INTERVAL": "0.5",
            "HEADLESS_OUTPUT_DIR": str(tmp_path),
            "HEADLESS_ALLOW_HOSTS": "10.0.0.5:9000, files.internal",
            "HEADLESS_DEBUG": "1",
        },
    )
    assert settings.connection.supabase_url == URL
    assert settings.connection.secrets() == (TOKEN,)
    assert settings.worker_id == "gpu-7"
    assert settings.until_idle
    assert settings.debug
    assert settings.poll_interval == 0.5
    assert settings.output_dir == tmp_path
    assert settings.allowed_hosts == ("10.0.0.5:9000", "files.internal")


def test_an_argument_wins_over_its_variable() -> None:
    settings = worker_settings(
        ["--local", "a", "--worker", "b", "--no-debug"], {"HEADLESS_WORKER": "c", "HEADLESS_DEBUG": "1"}
    )
    assert settings.worker_id == "b"
    assert not settings.debug


def test_an_argument_that_names_a_queue_wins_over_a_variable_that_names_another() -> None:
    environ = {"SUPABASE_URL": URL, "SUPABASE_SECRET_KEY": TOKEN}
    assert worker_settings(["--local", "a"], environ).connection.local == Path("a")
    environ["HEADLESS_LOCAL"] = "b"
    assert worker_settings(["--local", "a"], environ).connection.local == Path("a")
    other = worker_settings(["--supabase-url", "https://other.supabase.co"], environ).connection
    assert (other.local, other.supabase_url) == (None, "https://other.supabase.co")
    with pytest.raises(UsageError, match="Name one queue"):
        worker_settings([], environ)


def test_a_key_that_is_an_argument_wins_over_a_token_in_the_environment() -> None:
    argv = ["--supabase-url", URL, "--supabase-secret-key", TOKEN]
    token = worker_settings(argv, {"SUPABASE_ACCESS_TOKEN": "of-a-user"}).connection.token
    assert token is not None
    assert token.get_secret_value() == TOKEN


@pytest.mark.parametrize("flag", ["--local", "--output-dir", "--work-dir", "--models-dir", "--health-file"])
def test_a_home_folder_of_nobody_is_told(flag: str) -> None:
    with pytest.raises(UsageError, match=f"{flag} '~nobody-here/x'"):
        worker_settings(["--local", "a", flag, "~nobody-here/x"], {})


def test_hosts_are_known_in_any_spelling() -> None:
    settings = worker_settings(["--local", "a", "--lora-hosts", "HuggingFace.co, civitai.com"], {})
    assert settings.lora_hosts == ("huggingface.co", "civitai.com")


@pytest.mark.parametrize(
    "argv",
    [
        ["--supabase-token", SHAPED],
        [f"--supabase-acces-token={SHAPED}"],
        ["--supabase-url", URL, "--supabase-acess-token", "sb_secret_abcdefgh12345678"],
    ],
)
def test_a_token_behind_a_mistyped_option_is_not_repeated(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    with pytest.raises(SystemExit):
        worker_settings(argv, {})
    told = capsys.readouterr().err
    assert "--supabase-ac" in told
    assert "***" in told
    assert SHAPED not in told
    assert "abcdefgh" not in told


def test_a_token_in_the_place_of_the_url_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        worker_settings(["--supabase-url", SHAPED], {})
    assert SHAPED not in caught.value.message


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        (["--supabase-access-token-file", "FILE"], {}),
        ([], {"SUPABASE_ACCESS_TOKEN_FILE": "FILE"}),
        (["--supabase-secret-key-file", "FILE"], {}),
        ([], {"SUPABASE_SECRET_KEY_FILE": "FILE"}),
    ],
)
def test_a_token_may_come_from_a_file(tmp_path: Path, argv: list[str], environ: dict[str, str]) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", encoding="utf-8")
    put = {k: v.replace("FILE", str(path)) if v == "FILE" else v for k, v in environ.items()}
    settings = worker_settings(["--supabase-url", URL, *(str(path) if a == "FILE" else a for a in argv)], put)
    assert settings.connection.token is not None
    assert settings.connection.token.get_secret_value() == TOKEN


def test_an_access_token_wins_over_a_secret_key() -> None:
    environ = {"SUPABASE_URL": URL, "SUPABASE_SECRET_KEY": TOKEN, "SUPABASE_ACCESS_TOKEN": "of-a-user"}
    token = worker_settings([], environ).connection.token
    assert token is not None
    assert token.get_secret_value() == "of-a-user"


def test_settings_never_show_a_token() -> None:
    settings = worker_settings(["--supabase-url", URL, "--supabase-access-token", TOKEN], {})
    assert TOKEN not in repr(settings)
    assert TOKEN not in str(settings)


@pytest.mark.parametrize(
    ("argv", "environ", "says"),
    [
        ([], {}, "--local DIR"),
        (["--local", "a", "--supabase-url", URL], {}, "Name one queue"),
        (["--supabase-url", URL], {}, "SUPABASE_SECRET_KEY"),
        (["--supabase-url", "project.supabase.co"], {}, "https://"),
        (["--local", "a", "--poll-interval", "often"], {}, "--poll-interval 'often'"),
        (["--local", "a", "--poll-interval", "nan"], {}, "--poll-interval 'nan'"),
        (["--local", "a", "--grace", "-1"], {}, "from 0 to"),
        (["--local", "a", "--memory", "mmgp:9"], {}, "auto, resident, swap"),
        (["--local", "a", "--engine", "magic"], {}, "wan, fake"),
        (["--local", "a", "--log-format", "xml"], {}, "auto, text, json"),
        (["--local", "a"], {"HEADLESS_ONCE": "perhaps"}, "HEADLESS_ONCE"),
        (["--supabase-url", URL, "--supabase-access-token-file", "/nowhere/token"], {}, "/nowhere/token"),
    ],
)
def test_wrong_settings_say_what_to_do(argv: list[str], environ: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        worker_settings(argv, environ)
    assert says in caught.value.message


def test_an_empty_token_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(UsageError, match="is empty"):
        worker_settings(["--supabase-url", URL, "--supabase-access-token-file", str(path)], {})


def test_the_help_names_every_variable_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        worker_settings(["--help"], {"SUPABASE_ACCESS_TOKEN": TOKEN, "SUPABASE_URL": URL})
    page = capsys.readouterr().out
    assert left.value.code == 0
    assert TOKEN not in page
    for word in (
        "--until-idle",
        "HEADLESS_UNTIL_IDLE",
        "SUPABASE_ACCESS_TOKEN",
        "HEADLESS_MODELS_DIR",
        "exit status",
    ):
        assert word in page


def test_a_mistyped_option_is_bad_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        worker_settings(["--local", "a", "--until"], {})
    assert left.value.code == 2
    assert "--until" in capsys.readouterr().err


def test_a_worker_without_a_name_has_the_same_one_after_a_restart() -> None:
    names = [
        worker_settings(["--local", "queue"], environ).worker_id
        for environ in ({}, {}, {"CUDA_VISIBLE_DEVICES": "1"}, {"CUDA_VISIBLE_DEVICES": "0,1"})
    ]
    host = socket.gethostname()
    assert names == [host, host, f"{host}-gpu1", f"{host}-gpu0+1"]
