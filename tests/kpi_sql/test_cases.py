"""Rows in, published numbers out: every YAML file in a KPI's folder is one case or several.

A case names the files of ``given/`` it starts from, the rows it adds or edits, the settings that differ, and the
values of ``kpi_weekly`` it expects, as ``{rollup: {week_start: value}}``. A ratio is written ``"2 / 3"``: both sums
have to match. ``null`` says that there must be no row. The list of rollups and weeks need not be complete unless the
case says ``complete: true``.
"""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent


def _cases() -> list[Any]:
    cases = []
    for file in sorted(HERE.glob("*/*.yaml")):
        if file.parent.name == "given":
            continue
        for number, case in enumerate(yaml.safe_load(file.read_text(encoding="utf-8"))):
            label = f"{file.parent.name}: {case['case']}"
            cases.append(pytest.param(file.parent.name, case, number == 0, id=label))
    return cases


def _given_rows(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(
        (HERE / "given" / f"{name}.yaml").read_text(encoding="utf-8")
    )
    return loaded


@pytest.mark.parametrize(("kpi", "case", "twice"), _cases())
def test_case(kpi: str, case: dict[str, Any], twice: bool, tenant: Any) -> None:
    """The published numbers are those expected, and of a KPI's first case a second build changes none."""
    for name in ("company", *case.get("given", [])):
        tenant.add(_given_rows(name))
    tenant.add(case.get("rows", {}))
    tenant.edit(case.get("edit", {}))
    tenant.map(case.get("business_units"), case.get("job_types"))
    as_of = case.get("as_of", dt.date(2025, 1, 12))

    tenant.build(as_of, **case.get("settings", {}))
    _compare(
        tenant, {kpi: case["expect"]} | case.get("also", {}), complete=case.get("complete", False)
    )
    for query in case.get("queries", []):
        assert tenant.query(query["sql"]) == query["rows"]

    if not twice:
        return
    before = _published(tenant)
    tenant.build(as_of, **case.get("settings", {}))
    assert _published(tenant) == before, "a second build changed a number"


def _published(tenant: Any) -> list[str]:
    tables = ("contributions", "kpi_daily", "kpi_weekly", "kpi_weekly_wide", "snapshot_days")
    return sorted(
        str(row) for table in tables for row in tenant.query(f"SELECT * FROM st_kpi.{table}")
    )


def _compare(tenant: Any, expected: dict[str, Any], *, complete: bool) -> None:
    for kpi, rollups in expected.items():
        weekly = tenant.weekly(kpi)
        cells = {
            (week, rollup): v for rollup, weeks in rollups.items() for week, v in weeks.items()
        }
        actual = {key: _shown(row) for key, row in weekly.items()}
        required = {key: _required(v) for key, v in cells.items() if v is not None}
        if not complete:
            actual = {key: actual[key] for key in actual if key in cells}
        assert actual == required, kpi


def _shown(row: dict[str, Any]) -> tuple[Decimal, Decimal | None, Decimal | None]:
    return row["numerator"], row["denominator"], row["value"]


def _required(value: object) -> tuple[Decimal, Decimal | None, Decimal | None]:
    if isinstance(value, str) and "/" in value:
        numerator, denominator = (Decimal(part) for part in value.split("/"))
        quotient = (numerator / denominator).quantize(Decimal("1e-9")) if denominator else None
        return numerator, denominator, quotient
    return Decimal(str(value)), None, Decimal(str(value))
