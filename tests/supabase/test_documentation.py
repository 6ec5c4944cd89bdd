"""What docs/supabase.md shows is run here, its JavaScript by the real supabase-js."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.supabase.conftest import ALICE
from tests.supabase.stack import Stack
from tests.supabase.tools import REPOSITORY, Tools

PAGE = (REPOSITORY / "docs" / "supabase.md").read_text(encoding="utf-8")


def test_a_frontend_queues_watches_and_cancels_as_the_page_says(
    supabase_stack: Stack, tmp_path: Path
) -> None:
    (code,) = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
    page = tmp_path / "page.mjs"
    page.write_text(code, encoding="utf-8")
    tools, keys = Tools.find(), supabase_stack.keys
    done = subprocess.run(
        [
            *(str(tools.node), str(Path(__file__).with_name("frontend.mjs")), str(page)),
            *(str(tools.node_packages), supabase_stack.url, keys.publishable, keys.user(ALICE), ALICE),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["cancelled"] == "cancelled"
    assert seen["positions"] == [2, 1]
    assert seen["forged"] == "42501"
    assert seen["bytes"] == [137, 80, 78, 71]
    assert seen["statuses"] == {
        seen["first"]: "Queued",
        seen["second"]: "Cancelled",
        seen["copy"]: "Queued",
    }
    assert supabase_stack.sql("select distinct user_id::text from public.tasks") == [(ALICE,)]


def test_the_page_names_every_setting_with_its_default(supabase_stack: Stack) -> None:
    rows = re.findall(r"\| `(\w+)` \| (\d+) \|", PAGE)
    (settings,) = supabase_stack.sql("select to_jsonb(s) - 'only_row' from gpu_queue.settings s")
    assert {name: int(value) for name, value in rows} == settings[0]


def test_the_page_names_every_column_that_a_user_may_send(supabase_stack: Stack) -> None:
    paragraph = PAGE.split("Columns that a user may send: ")[1].split("Everything else")[0]
    named = {name for quoted in re.findall(r"`([^`]*)`", paragraph) for name in quoted.split(", ")}
    rows = supabase_stack.sql(
        "select column_name from information_schema.column_privileges "
        "where grantee = 'authenticated' and table_name = 'tasks' and privilege_type = 'INSERT'"
    )
    assert named - {"Queued"} == {name for (name,) in rows}


def test_the_page_names_every_view_and_table(supabase_stack: Stack) -> None:
    rows = supabase_stack.sql(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
    )
    for (name,) in rows:
        assert f"`{name}`" in PAGE
