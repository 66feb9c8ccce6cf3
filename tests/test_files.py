"""A file is written whole or not at all."""

import os
from pathlib import Path

import pytest

from st_kpi.errors import ConfigurationError
from st_kpi.files import replace_file


def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "kept", tmp_path / "link"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file)
    replace_file(link, b"new", 0o600)
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o640


def test_killed_half_way_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sub" / "file"
    replace_file(file, b"old", 0o600)

    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            replace_file(file, b"half")
    assert file.read_bytes() == b"old"
    replace_file(file, b"whole")
    assert file.read_bytes() == b"whole"
    assert [path.name for path in file.parent.iterdir()] == ["file"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file/below cannot be written: "):
        replace_file(tmp_path / "file" / "below", b"x")
