"""Which closed weeks a build restated: what an event tells of each."""

from datetime import date
from decimal import Decimal

from st_kpi.kpis.history.restatements import RestatedWeek, restatements_of
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse


def test_a_week_is_told_once_with_its_kpis_and_causes() -> None:
    warehouse = DuckDBWarehouse(":memory:")
    warehouse.ensure(raw_tables())
    rows = [
        (7, "leads", date(2025, 10, 6), "restatement", "edited, late"),
        (7, "leads", date(2025, 10, 6), "restatement", "late"),
        (7, "produced", date(2025, 10, 6), "restatement", None),
        (7, "leads", date(2025, 9, 29), "restatement", "deleted"),
        (7, "leads", date(2025, 9, 22), "reported", None),
        (6, "leads", date(2025, 9, 15), "restatement", "late"),
    ]
    warehouse.insert(
        "st_kpi.kpi_reported",
        [
            {
                "tenant_id": 1,
                "kpi": kpi,
                "rollup": f"Market {number}",
                "week_start": week,
                "numerator": Decimal(1),
                "reported_as_of": date(2025, 10, 21),
                "run_id": "a",
                "definition_version": 1,
                "kind": kind,
                "cause": cause,
                "build": build,
            }
            for number, (build, kpi, week, kind, cause) in enumerate(rows)
        ],
    )
    assert restatements_of(warehouse, 7) == [
        RestatedWeek(date(2025, 9, 29), ["leads"], ["deleted"]),
        RestatedWeek(date(2025, 10, 6), ["leads", "produced"], ["edited", "late"]),
    ]
    assert restatements_of(warehouse, 8) == []
    warehouse.close()
