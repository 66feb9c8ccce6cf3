"""The transpiled text of every statement in ``kpi_sql``, kept so that an upgrade of sqlglot shows as a diff.

``UPDATE_GOLDEN=1 pytest tests/sql/test_golden.py`` writes it anew.
"""

import os
from pathlib import Path

import pytest

from st_kpi.kpis.definitions.statements import default_root
from st_kpi.warehouse.duckdb.dialect import to_duckdb
from tests.support.statements import read_statements

GOLDEN = Path(__file__).parent / "golden"
STATEMENTS = {f"{s.name}.sql": s.sql for s in read_statements(default_root())}


@pytest.mark.parametrize("name", STATEMENTS)
def test_transpiled_text_is_unchanged(name: str) -> None:
    text = to_duckdb(STATEMENTS[name]) + "\n"
    file = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.is_file(), "no golden file yet: run with UPDATE_GOLDEN=1"
    assert text == file.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    files = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.sql")}
    assert files == set(STATEMENTS)
