"""What a private server keeps for the next one, and that it starts where there is nothing to keep it in."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from st_kpi.local import server_process


def kept(folder: Path) -> Path:
    """A file as a server leaves it, with one table of its own."""
    file = folder / "kept.sqlite"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('head')")
        database.execute("CREATE TABLE flow AS SELECT zeroblob(100000) AS padding")
        database.commit()
    return file


def test_what_is_kept_is_copied_into_memory(tmp_path: Path) -> None:
    database = server_process._copy_of(kept(tmp_path))
    assert database is not None
    with closing(database):
        with closing(sqlite3.connect("file::memory:?cache=shared", uri=True)) as another:
            assert another.execute("SELECT LENGTH(padding) FROM flow").fetchall() == [(100000,)]
        assert database.execute("PRAGMA database_list").fetchall()[0][2] == ""


@pytest.mark.parametrize("broken", ["absent", "empty", "garbage", "half", "another program's"])
def test_a_broken_copy_is_as_good_as_none(tmp_path: Path, broken: str) -> None:
    file = kept(tmp_path)
    if broken == "absent":
        file.unlink()
    elif broken == "another program's":
        file.unlink()
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE flow (id TEXT)")
            database.commit()
    else:
        whole = file.read_bytes()
        file.write_bytes(
            {"empty": b"", "garbage": b"not a database" * 999, "half": whole[:50000]}[broken]
        )
    assert server_process._copy_of(file) is None


def test_what_cannot_be_kept_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with closing(sqlite3.connect(":memory:")) as database:
        server_process._keep(database, tmp_path / "file" / "st-kpi" / "kept.sqlite")
        server_process._keep(database, tmp_path / "new" / "kept.sqlite")
    assert [path.name for path in tmp_path.rglob("*")] == ["file", "new", "kept.sqlite"]


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    named = server_process._cache_file()
    assert named is not None
    assert named.parent == tmp_path / "st-kpi"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert server_process._cache_file() == tmp_path / ".cache" / "st-kpi" / named.name
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    assert server_process._cache_file() is None


#: Asks a private server for a variable, which nobody has set there.
ASKS = """\
from prefect.variables import Variable
from st_kpi.local.private_server import prefect_api
with prefect_api():
    print(Variable.get("marker"))
"""


def starts(cache: Path) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    return subprocess.Popen(
        [sys.executable, "-c", ASKS],
        env=environment | {"XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.process
def test_the_next_server_begins_with_what_the_first_has_kept(tmp_path: Path) -> None:
    """Two begin at once where nothing is kept yet; a row put into the file afterwards shows that it is used."""
    for first in [starts(tmp_path), starts(tmp_path)]:
        assert first.communicate(timeout=180) == ("None\n", "")
    (file,) = (tmp_path / "st-kpi").iterdir()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT COUNT(*) FROM block_type").fetchone()[0] > 10
        assert database.execute("SELECT * FROM configuration").fetchall() == []
        database.execute("INSERT INTO variable (name, value) VALUES ('marker', '\"kept\"')")
        database.commit()
    assert starts(tmp_path).communicate(timeout=180) == ("kept\n", "")


@pytest.mark.process
def test_a_server_starts_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert starts(tmp_path / "file").communicate(timeout=180) == ("None\n", "")
