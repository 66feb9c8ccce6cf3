"""Claims about the built tables: each runs as a query whose rows are what breaks it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from st_kpi.errors import CheckFailed
from st_kpi.kpis.accepted import FILE, Acceptance, line_to_write, subject_of
from st_kpi.kpis.build_log import BUILDS
from st_kpi.kpis.definitions.statements import Severity, Statement
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.labels import labels

#: How many rows of a check are written out.
SHOWN_ROWS = 5

_CHECK_RESULTS = "st_ops.check_results"
#: What the last builds accepted: a row per run and line of the file that was needed.
ACCEPTED = "st_ops.accepted_checks"


@dataclass(frozen=True)
class CheckResult:
    """One claim about the built tables and the rows that break it; none means it holds.

    ``failed_rows`` are those that nobody accepted, ``detail`` the first of them, and ``way_on`` what to do about them.
    ``accepted`` are the lines of the file by which other rows are, ``remarks`` what is to be said of lines that are not.
    """

    name: str
    severity: Severity
    claim: str
    failed_rows: int
    detail: str
    way_on: str = ""
    accepted: tuple[Acceptance, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.failed_rows == 0

    @property
    def result(self) -> str:
        """In a word: ``holds``, ``broken``, or ``accepted`` where it would be broken but for what is accepted."""
        if not self.passed:
            return "broken"
        return "accepted" if self.accepted else "holds"

    @property
    def told(self) -> str:
        """All that a person has to know of it: examples, the way on, what is accepted and why."""
        parts = [self.detail.rstrip(".") + "."] if self.detail else []
        parts += [self.way_on] if self.way_on and not self.passed else []
        parts += [f"Accepted, {a.subject}: {a.reason.rstrip('.')}." for a in self.accepted]
        return " ".join([*parts, *self.remarks])


def run_checks(
    warehouse: Warehouse,
    statements: Sequence[Statement],
    params: Mapping[str, object],
    accepted: Sequence[Acceptance] = (),
) -> list[CheckResult]:
    """Ask for the rows that break each claim; those whose subject is ``accepted`` on the as-of day break it no more."""
    with labels(kpi="checks"):
        answers = warehouse.query_each([statement.sql for statement in statements], params)
    return [
        _judged(statement, rows, params, accepted)
        for statement, rows in zip(statements, answers, strict=True)
    ]


def _judged(
    statement: Statement,
    rows: Sequence[Mapping[str, Any]],
    params: Mapping[str, object],
    accepted: Sequence[Acceptance],
) -> CheckResult:
    assert statement.severity is not None
    entries = [a for a in accepted if a.check == statement.check_name]
    as_of = params.get("as_of")
    valid = [a for a in entries if not isinstance(as_of, dt.date) or a.holds_on(as_of)]
    failed, met = [], set()
    for row in rows:
        covering = {a for a in entries if a.covers(subject_of(statement, row))}
        met |= covering
        if not covering & set(valid):
            failed.append(row)
    detail = "; ".join(_row_text(row) for row in failed[:SHOWN_ROWS])
    if len(failed) > SHOWN_ROWS:
        detail += f"; and {len(failed) - SHOWN_ROWS:,} more"
    return CheckResult(
        name=statement.check_name,
        severity=statement.severity,
        claim=statement.purpose,
        failed_rows=len(failed),
        detail=detail,
        way_on=_way_on(statement, failed),
        accepted=tuple(a for a in valid if a in met),
        remarks=tuple(_remark(a, ended=a not in valid) for a in entries if a not in met & set(valid)),
    )  # fmt: skip


def _way_on(statement: Statement, failed: Sequence[Mapping[str, Any]]) -> str:
    """What to do about the rows, and the line that accepts the first of them where that is possible."""
    if not statement.accepted_by or not failed:
        return statement.way_on
    line = line_to_write(statement.check_name, subject_of(statement, failed[0]))
    return f"{statement.way_on} If it is right as it is, accept it in {FILE} beside the mapping files: {line}".strip()


def _remark(entry: Acceptance, *, ended: bool) -> str:
    what = f"{FILE}:{entry.line}: the acceptance of {entry.subject}"
    if ended:
        return f"{what} ended on {entry.valid_to}."
    return f"{what} is no longer needed: take the line out."


def refuse_failed(checks: Sequence[CheckResult]) -> None:
    """Raise ``CheckFailed`` when a claim that has to hold does not."""
    failed = [c for c in checks if not c.passed and c.severity is Severity.FAIL]
    if failed:
        sentences = " ".join(
            f"Check {c.name} failed on {c.failed_rows:,} {'row' if c.failed_rows == 1 else 'rows'}"
            f" ({c.claim.rstrip('.')}): {c.told}"
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
            "detail": c.told,
            "checked_at": now,
        }
        for c in checks
    ]
    accepted = [
        {
            "run_id": run_id,
            "check_name": c.name,
            "subject": a.subject,
            "reason": a.reason,
            "valid_to": a.valid_to,
            "checked_at": now,
        }
        for c in checks
        for a in c.accepted
    ]
    with warehouse.transaction():
        warehouse.insert(_CHECK_RESULTS, rows)
        warehouse.insert(ACCEPTED, accepted)


def results_of(warehouse: Warehouse, run_id: str) -> list[dict[str, object]]:
    """The kept results of one build as a person reads them, those that do not hold first, then those accepted."""
    if not all(warehouse.table_exists(table) for table in (_CHECK_RESULTS, ACCEPTED)):
        return []
    return warehouse.query(
        "SELECT result.check_name AS `check`, result.severity,"
        " CASE WHEN result.failed_rows > 0 THEN 'broken' WHEN accepted.check_name IS NOT NULL THEN 'accepted'"
        " ELSE 'holds' END AS result,"
        f" result.failed_rows AS `rows`, result.detail FROM {_CHECK_RESULTS} AS result"
        f" LEFT JOIN (SELECT DISTINCT check_name FROM {ACCEPTED} WHERE run_id = @run_id) AS accepted"
        " ON accepted.check_name = result.check_name"
        " WHERE result.run_id = @run_id"
        " ORDER BY result.failed_rows = 0, accepted.check_name IS NULL, result.severity, result.check_name",
        {"run_id": run_id},
    )


def accepted_now(warehouse: Warehouse) -> list[dict[str, Any]]:
    """What the last good build accepted: ``check``, ``subject``, ``reason`` and ``valid_to`` of each line that was needed."""
    if not all(warehouse.table_exists(table) for table in (BUILDS, ACCEPTED)):
        return []  # nothing is built, or by an older version
    return warehouse.query(
        f"SELECT check_name AS `check`, subject, reason, valid_to FROM {ACCEPTED}"
        f" WHERE run_id = (SELECT run_id FROM {BUILDS} ORDER BY build DESC LIMIT 1)"
        " ORDER BY check_name, subject"
    )


def _row_text(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value_text(value)}" for name, value in row.items())


def _value_text(value: object) -> str:
    if not isinstance(value, Decimal):
        return str(value)
    return f"{value:,.2f}" if not value or abs(value) >= 1 else f"{value:.4f}"  # money, or a share
