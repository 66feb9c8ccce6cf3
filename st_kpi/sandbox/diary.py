"""What happened to the company during one stretch of life: the stamps, and every row touched."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, TypeVar

from st_kpi.sandbox.clock import SECOND
from st_kpi.sandbox.company import (
    Appointment,
    Company,
    CreditMemo,
    GrossPayItem,
    Invoice,
    Job,
    Payment,
    Payroll,
    Ticks,
)

Row = TypeVar("Row")
ADDED, CHANGED, DEACTIVATED, REMOVED = "added", "changed", "deactivated", "removed"
_MISSING_APPOINTMENT = 399_999_999  # jobs name it although it does not exist; keep it so


class Diary:
    """Writes rows with the stamp of the moment and remembers them.

    `rows` maps entity (the company's attribute) to key to what became of the row: added, changed,
    deactivated (still in the feed) or removed (gone altogether).
    """

    def __init__(self, company: Company, rng: Random, until: Ticks, changes: int) -> None:
        self.company = company
        self.rng = rng
        self.now = self.since = company.now
        self.until = until
        self.rows: dict[str, dict[int, str]] = defaultdict(dict)
        self.touched = 0
        self.moments = 0
        self._gap = (until - company.now) // (changes + 1)
        self._next: dict[str, int] = {}
        self._gather()

    def _gather(self) -> None:
        """Look-ups that events need, made once; at full size this takes longer than the events."""
        company = self.company
        self.jobs: dict[int, Job] = {row.id: row for row in company.jobs}
        self.invoices: dict[int, Invoice] = {row.id: row for row in company.invoices}
        self.visits: dict[int, list[Appointment]] = defaultdict(list)
        for visit in company.appointments:
            self.visits[visit.job_id].append(visit)
        self.pay: dict[int, list[GrossPayItem]] = defaultdict(list)
        for line in company.gross_pay_items:
            if line.job_id and line.active:
                self.pay[line.job_id].append(line)
        self.payrolls: dict[tuple[int, Ticks], Payroll] = {
            (row.employee_id, row.started): row for row in company.payrolls
        }
        self.roles = {row.id: row.role for row in company.business_units}
        self.families = {row.id: row.family for row in company.job_types}
        self.unfinished = [
            job
            for job in company.jobs
            if job.active and job.status not in ("Completed", "Canceled")
        ]

    def next_moment(self) -> None:
        """Later than every earlier moment; every other one is a whole second, as stamps come."""
        self.moments += 1
        moment = self.since + self.moments * self._gap
        whole = self.moments % 2 and self._gap >= SECOND
        self.now = moment - moment % SECOND if whole else moment

    def new_id(self, entity: str, step: int = 3) -> int:
        """An id that no row of the entity has had."""
        if entity not in self._next:
            self._next[entity] = max(self._ids(entity), default=1_000_000)
        self._next[entity] += step
        return self._next[entity]

    def _ids(self, entity: str) -> Iterable[int]:
        company = self.company
        if entity == "estimate_items":
            return (item.id for row in company.estimates for item in row.items)
        if entity == "invoice_items":
            return (item.id for row in company.invoices for item in row.items)
        if entity == "purchase_items":
            return (item.id for row in company.purchase_orders for item in row.items)
        if entity == "applications":
            rows: list[Payment | CreditMemo] = [*company.payments, *company.credit_memos]
            return (line.id for row in rows for line in row.applied_to)
        ids = (row.id for row in getattr(company, entity))
        return (_MISSING_APPOINTMENT, *ids) if entity == "appointments" else ids

    def add(self, entity: str, row: Any) -> None:
        """A new row, created and changed now."""
        row.created = row.modified = self.now
        getattr(self.company, entity).append(row)
        self._note(entity, row, ADDED)

    def change(self, entity: str, row: Any) -> None:
        """A row was edited: its change stamp moves."""
        row.modified = self.now
        if self.rows[entity].get(_key(entity, row)) != ADDED:
            self._note(entity, row, CHANGED)

    def deactivate(self, entity: str, row: Any) -> None:
        """A row was deleted the way the feed tells of."""
        row.active = False
        row.modified = self.now
        self._note(entity, row, DEACTIVATED)

    def remove(self, entity: str, row: Any) -> None:
        """A row vanished without a trace."""
        getattr(self.company, entity).remove(row)
        self._note(entity, row, REMOVED)

    def _note(self, entity: str, row: Any, what: str) -> None:
        self.rows[entity][_key(entity, row)] = what
        self.touched += 1

    def pick(self, rows: Sequence[Row], fits: Callable[[Row], bool]) -> Row | None:
        """Any row that fits, or None when a few dozen draws found none."""
        for _ in range(60 if rows else 0):
            row = rows[int(self.rng.random() * len(rows))]
            if fits(row):
                return row
        return None

    def chance(self, share: float) -> bool:
        """True in that share of calls."""
        return self.rng.random() < share

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.rng.random() * (high - low + 1))

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by entity and by what became of them."""
        return {
            entity: dict(sorted(Counter(rows.values()).items()))
            for entity, rows in sorted(self.rows.items())
            if rows
        }


def _key(entity: str, row: Any) -> int:
    key: int = row.row if entity == "gross_pay_items" else row.id
    return key
