"""Every statement that builds send to a warehouse, the SQL made in Python included, is GoogleSQL to Google's analyzer.

An emulator is more forgiving: it let a sum of a sum pass.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest
from google.cloud.bigquery import ArrayQueryParameter

from st_kpi.reporting.explain import explain
from st_kpi.warehouse.bigquery.values import Parameter, query_parameters
from st_kpi.warehouse.duckdb import engine
from tests.support import googlesql

#: Per statement the types of its parameters, and the tables there were when it was first sent: scratch ones vary.
Sent = dict[str, tuple[dict[str, str], dict[str, dict[str, str]]]]


@pytest.fixture
def sent(built: Any, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Every statement as it is sent."""
    statements: Sent = {}
    used = engine._used

    def noted(sql: str, params: Mapping[str, object] | None) -> dict[str, object] | None:
        if sql not in statements:
            types = {p.name: _type(p) for p in query_parameters(sql, params)}
            statements[sql] = (types, _tables(built.warehouse))
        return used(sql, params)

    monkeypatch.setattr(engine, "_used", noted)
    return statements


def _type(parameter: Parameter) -> str:
    if isinstance(parameter, ArrayQueryParameter):
        return f"ARRAY<{parameter.array_type}>"
    return str(parameter.type_)


def _tables(warehouse: Any) -> dict[str, dict[str, str]]:
    rows = warehouse._execute(
        "SELECT schema_name || '.' || table_name, column_name, data_type FROM duckdb_columns()"
        " WHERE database_name = current_database() AND schema_name LIKE 'st\\_%' ESCAPE '\\'"
    ).fetchall()
    refusals: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        refusals.setdefault(table, {})[column] = str(engine._KINDS[kind])
    return refusals


@pytest.mark.long
def test_every_statement_of_builds_is_googlesql(built: Any, sent: Sent) -> None:
    job = {"id": 801, "customer_id": 1, "business_unit_id": 3, "job_type_id": 11}
    built.add({"jobs": [{**job, "created_on": "2025-01-08 18:00"}]})
    built.build(dt.date(2025, 1, 14), run_id="two")
    built.edit({"jobs": [{"id": 800, "job_status": "Canceled"}]})
    built.build(dt.date(2025, 1, 21), run_id="three", include_tax=False)
    explain(built.warehouse, "leads", week=dt.date(2025, 1, 6), rollup="All", tenant_id=1)
    assert len(sent) > 100
    refusals = [googlesql.refused(sql, tables, types) for sql, (types, tables) in sent.items()]
    assert [refusal for refusal in refusals if refusal] == []


def test_what_the_analyzer_refuses_is_told() -> None:
    sql = "SELECT SUM(x) AS x FROM st_kpi.t HAVING SUM(x) > 0"
    refusal = googlesql.refused(sql, {"st_kpi.t": {"x": "INT64"}}, {})
    assert refusal is not None
    assert "Aggregations of aggregations" in refusal
