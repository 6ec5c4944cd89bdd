"""A LoRA's name leads to a safetensors file inside the LoRA folders, or nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.lora_files import BadLora, LoraMissing, UnsafeLora, find_lora, lora_file_name
from tests.registry.files import entry, safetensors


def lora(path: Path) -> Path:
    return safetensors(path, {"a.lora_A.weight": entry()}, bytes(8))


def test_a_file_by_name_by_folder_and_by_url(tmp_path: Path) -> None:
    plain, deep = lora(tmp_path / "a b.safetensors"), lora(tmp_path / "faces" / "anna.safetensors")
    assert find_lora("a b.safetensors", [tmp_path]) == plain
    assert find_lora("faces/anna.safetensors", [tmp_path]) == deep
    assert find_lora("https://h/x/resolve/main/a%20b.safetensors?download=true", [tmp_path]) == plain


def test_the_first_folder_wins(tmp_path: Path) -> None:
    user, shipped = tmp_path / "user", tmp_path / "shipped"
    lora(shipped / "a.safetensors")
    assert find_lora("a.safetensors", [user, shipped]) == shipped / "a.safetensors"
    lora(user / "a.safetensors")
    assert find_lora("a.safetensors", [user, shipped]) == user / "a.safetensors"


def test_names_in_any_script_are_fine() -> None:
    assert lora_file_name("水彩.safetensors") == "水彩.safetensors"


@pytest.mark.parametrize(
    ("present", "hint"),
    [
        ([], "There are none yet."),
        (["stile.safetensors"], "Did you mean stile.safetensors?"),
        (["qqqq/w.safetensors"], "There are 1, qqqq/w.safetensors."),
        ([f"{n}{n}" * 9 + ".safetensors" for n in range(7)], ", ..."),
    ],
)
def test_a_missing_file_names_the_nearest(tmp_path: Path, present: list[str], hint: str) -> None:
    for name in present:
        lora(tmp_path / name)
    with pytest.raises(LoraMissing) as caught:
        find_lora("https://user:pw@h/style.safetensors?token=SECRET", [tmp_path, tmp_path / "none"])
    assert hint in str(caught.value)
    assert "the file would be style.safetensors" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_link_out_of_the_folders_is_unsafe(tmp_path: Path) -> None:
    outside = lora(tmp_path / "outside.safetensors")
    folder = tmp_path / "loras"
    folder.mkdir()
    (folder / "a.safetensors").symlink_to(outside)
    (folder / "sub").symlink_to(tmp_path)
    with pytest.raises(UnsafeLora, match="link out of the LoRA folders"):
        find_lora("a.safetensors", [folder])
    with pytest.raises(UnsafeLora, match="link out of the LoRA folders"):
        find_lora("sub/outside.safetensors", [folder])


def test_a_link_between_lora_folders_is_fine(tmp_path: Path) -> None:
    target = lora(tmp_path / "b" / "x.safetensors")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "y.safetensors").symlink_to(target)
    assert find_lora("y.safetensors", [tmp_path / "a", tmp_path / "b"]) == target


def test_a_lora_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    target = lora(tmp_path / "real" / "x.safetensors")
    (tmp_path / "loras").symlink_to(tmp_path / "real")
    assert find_lora("x.safetensors", [tmp_path / "loras"]) == target


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").symlink_to(tmp_path / "gone")
    (tmp_path / "b.safetensors").symlink_to(tmp_path / "b.safetensors")
    for name in ("a.safetensors", "b.safetensors"):
        with pytest.raises(BadLora, match="leads nowhere"):
            find_lora(name, [tmp_path])


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(BadLora, match="not a regular file"):
        find_lora("a.safetensors", [tmp_path])


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(BadLora, match="not a regular file"):
        find_lora("a.safetensors", [tmp_path])


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95pickle....", b"PK\x03\x04" + bytes(100)])
def test_other_content_under_the_right_name_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(BadLora, match=r"The LoRA 'a.safetensors' cannot be loaded"):
        find_lora("a.safetensors", [tmp_path])


def test_unsafe_names_are_refused_before_the_disk_is_looked_at(tmp_path: Path) -> None:
    lora(tmp_path / "x.safetensors")
    (tmp_path / "loras").mkdir()
    with pytest.raises(UnsafeLora):
        find_lora("../x.safetensors", [tmp_path / "loras"])


def test_a_very_long_name_is_shown_in_part() -> None:
    with pytest.raises(UnsafeLora) as caught:
        lora_file_name("https://h/" + "x" * 5000 + "/../" + "%2f.safetensors")
    assert len(str(caught.value)) < 400
