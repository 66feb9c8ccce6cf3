"""What was never read, what was read and is empty, and what has rows."""

from datetime import UTC, datetime

import pytest

from st_kpi.errors import NothingLoaded
from st_kpi.kpis.loaded import require_source_rows
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse

READ = {"tenant_id": 1, "kind": "whole", "server_time": datetime(2025, 1, 20, 20, tzinfo=UTC)}


def test_only_what_was_read_can_be_empty() -> None:
    warehouse = DuckDBWarehouse(":memory:")
    require_source_rows(warehouse)
    warehouse.ensure(raw_tables())
    require_source_rows(warehouse)
    names = ("jobs", "job_types", "returns")
    warehouse.insert("st_ops.chunks", [READ | {"entity": name} for name in names])
    with pytest.raises(
        NothingLoaded, match="has no job types, no jobs for this tenant, asked on 2025-01-20 20:00"
    ):
        require_source_rows(warehouse)
    for name in ("jobs", "job_types"):
        warehouse.insert(f"st_raw.{name}", [{"tenant_id": 1, "id": 1}])
    require_source_rows(warehouse)
