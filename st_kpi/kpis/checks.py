"""Claims about the built tables: each runs as a query whose rows are what breaks it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from st_kpi.errors import CheckFailed
from st_kpi.kpis.definitions.statements import Severity, Statement
from st_kpi.warehouse.base import Warehouse

#: How many rows of a check are written out.
SHOWN_ROWS = 5

_CHECK_RESULTS = "st_ops.check_results"


@dataclass(frozen=True)
class CheckResult:
    """One claim about the built tables and the rows that break it; none means it holds."""

    name: str
    severity: Severity
    claim: str
    failed_rows: int
    detail: str

    @property
    def passed(self) -> bool:
        return self.failed_rows == 0


def run_check(
    warehouse: Warehouse, statement: Statement, params: Mapping[str, object]
) -> CheckResult:
    """Ask for the rows that break one claim."""
    assert statement.severity is not None
    rows = warehouse.query(statement.sql, params)
    detail = "; ".join(_row_text(row) for row in rows[:SHOWN_ROWS])
    if len(rows) > SHOWN_ROWS:
        detail += f"; and {len(rows) - SHOWN_ROWS:,} more"
    return CheckResult(_name(statement), statement.severity, statement.purpose, len(rows), detail)


def _name(statement: Statement) -> str:
    """What a person calls a check: that of a KPI by the KPI and its own name, a shared one by its file."""
    return statement.name.removeprefix("checks/").removeprefix("kpis/").replace("/checks/", "/")


def refuse_failed(checks: Sequence[CheckResult]) -> None:
    """Raise ``CheckFailed`` when a claim that has to hold does not."""
    failed = [c for c in checks if not c.passed and c.severity is Severity.FAIL]
    if failed:
        sentences = " ".join(
            f"Check {c.name} failed on {c.failed_rows:,} {'row' if c.failed_rows == 1 else 'rows'}"
            f" ({c.claim.rstrip('.')}): {c.detail}."
            for c in failed
        )
        raise CheckFailed(f"{sentences} Nothing was published.")


def record_checks(warehouse: Warehouse, run_id: str, checks: Sequence[CheckResult]) -> None:
    """Keep the results; called outside the build's transaction, so that a failed build leaves them too."""
    now = dt.datetime.now(dt.UTC)
    rows = [
        {
            "run_id": run_id,
            "check_name": c.name,
            "severity": str(c.severity),
            "failed_rows": c.failed_rows,
            "detail": c.detail,
            "checked_at": now,
        }
        for c in checks
    ]
    warehouse.insert(_CHECK_RESULTS, rows)


def results_of(warehouse: Warehouse, run_id: str) -> list[dict[str, object]]:
    """The kept results of one build as a person reads them, those that do not hold first."""
    if not warehouse.table_exists(_CHECK_RESULTS):
        return []
    return warehouse.query(
        "SELECT check_name AS `check`, severity, IF(failed_rows = 0, 'holds', 'broken') AS result,"
        f" failed_rows AS `rows`, detail FROM {_CHECK_RESULTS} WHERE run_id = @run_id"
        " ORDER BY failed_rows = 0, severity, check_name",
        {"run_id": run_id},
    )


def _row_text(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value_text(value)}" for name, value in row.items())


def _value_text(value: object) -> str:
    if not isinstance(value, Decimal):
        return str(value)
    return f"{value:,.2f}" if not value or abs(value) >= 1 else f"{value:.4f}"  # money, or a share
