"""Whether a warehouse can be written, found out without writing."""

import os
from pathlib import Path

import pytest

from st_kpi.errors import ConfigurationError
from st_kpi.warehouse.bigquery.options import BigQueryOptions
from st_kpi.warehouse.condition import require_place, require_rights
from tests.support.loader import Loader

NO_BIGQUERY = BigQueryOptions()


def test_rights_are_asked_without_changing_anything(loader: Loader) -> None:
    loader.warehouse.insert("st_ops.runs", [{"run_id": "kept"}])
    require_rights(loader.warehouse)
    assert loader.rows("SELECT run_id FROM st_ops.runs") == [("kept",)]


def test_a_place_names_itself_its_engine_and_its_room(tmp_path: Path) -> None:
    assert require_place(f"duckdb:///{tmp_path}/a.duckdb", NO_BIGQUERY).startswith(
        f"duckdb:///{tmp_path}/a.duckdb, DuckDB "
    )
    assert require_place("duckdb:///:memory:", NO_BIGQUERY) == "duckdb:///:memory:"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system would say it to anyone but its administrator, as whom tests may run."""
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(ConfigurationError, match=f"this user may not write {tmp_path}"):
        require_place(f"duckdb:///{tmp_path}/a.duckdb", NO_BIGQUERY)
