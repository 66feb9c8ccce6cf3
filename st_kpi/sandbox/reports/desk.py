"""The reports of one tenant: which there are, what each shows now, and when it may be called."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from st_kpi.sandbox.company import Company
from st_kpi.sandbox.reports.asking import asked
from st_kpi.sandbox.reports.catalogue import REPORTS, report_id
from st_kpi.sandbox.reports.differences import Differences
from st_kpi.sandbox.reports.ledger import Ledger
from st_kpi.sandbox.reports.queries import Queries
from st_kpi.sandbox.reports.shown import Shown, Writer
from st_kpi.sandbox.reports.table import Field, Report

_COPY = 50


class Reports:
    """What is remembered about the reports of a company between requests.

    `seconds` must pass between two calls for the data of one report; `counts` is told how often
    each fault occurred.
    """

    def __init__(
        self, company: Company, seconds: float, clock: Callable[[], float], counts: Counter[str]
    ) -> None:
        self.company = company
        self.writer = Writer(company.timezone)
        self.queries = Queries()
        self.differences = Differences(counts)
        self._seconds = seconds
        self._clock = clock
        self._called: dict[int, float] = {}
        self._ledger: tuple[int, Ledger] | None = None

    @property
    def ledger(self) -> Ledger:
        """The books as they are now, drawn up once until the company changes."""
        if self._ledger is None or self._ledger[0] != self.company.version:
            self._ledger = self.company.version, Ledger(self.company)
        return self._ledger[1]

    def there(self) -> list[Report]:
        """Every report that is not gone, by the name it has now, and copies."""
        found = []
        for report in REPORTS:
            if self.fault("report-gone", report) is not None:
                continue
            renamed = self.fault("report-renamed", report) is not None
            here = replace(report, name=f"{report.name} (edited)") if renamed else report
            found.append(here)
            if self.fault("report-copied", report) is not None:
                found.append(replace(here, number=here.number + _COPY))
        return found

    def id(self, report: Report) -> int:
        """The number of a report at this tenant."""
        return report_id(self.company, report)

    def fields(self, report: Report) -> tuple[Field, ...]:
        """The columns a report has now."""
        return self.differences.fields(report, self._address(report))

    def fault(self, name: str, report: Report) -> str | None:
        """The detail of a fault that the report has, which then occurs, or None without it."""
        fault = self.differences.met(name, report, self._address(report))
        return fault.detail if fault else None

    def wait(self, report: Report) -> int:
        """Seconds until the report may be called again; 0 counts as a call."""
        now = self._clock()
        last = self._called.get(report.number)
        if last is not None and now - last < self._seconds:
            return math.ceil(self._seconds - (now - last))
        self._called[report.number] = now
        return 0

    def run(self, report: Report, given: Mapping[str, Any]) -> Shown:
        """What the report shows for these parameters; raises BadRequest."""
        question = asked(report, given)
        rows = list(report.rows(self.ledger, question))
        for row in rows:
            if not question.adjustments:
                row.add(row.other.get("adjustments", {}))
        address = self._address(report)
        rows = self.differences.rows(report, address, rows, question, self.ledger)
        kept = [row for row in rows if row.shown(question)]
        done = self.differences.finished(report, address, report.finish(self.ledger, kept))
        return Shown(report, self.fields(report), done)

    def _address(self, report: Report) -> str:
        return f"reporting/report-category/{report.category}/reports/{self.id(report)}"
