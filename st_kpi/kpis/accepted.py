"""What a person accepts: checks that do not hold and are right not to, with the reason, in a file beside the mappings.

``accepted_checks.csv`` is optional, and read as the mapping files are. A line names the check and the one thing that it
complains of, its subject, so that a new fault is not accepted by an old line; the check's message says both. Checks
without which a published number would be wrong cannot be accepted (no ``accepted_by`` in their SQL).
"""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from st_kpi.errors import MappingError
from st_kpi.kpis.definitions.statements import Statement
from st_kpi.kpis.mapping_file import all_at_once, day, folded, rows

FILE = "accepted_checks.csv"
_COLUMNS = ("check", "subject", "reason", "valid_to")


@dataclass(frozen=True)
class Acceptance:
    """One line: the check's ``subject`` is accepted for ``reason``, through ``valid_to`` where that is set."""

    line: int
    check: str
    subject: str
    reason: str
    valid_to: dt.date | None

    def holds_on(self, as_of: dt.date) -> bool:
        return self.valid_to is None or as_of <= self.valid_to

    def covers(self, subject: str) -> bool:
        """Whether it is of this subject, in any case and spacing."""
        return folded(self.subject) == folded(subject)


def read_accepted(folder: Path, checks: Iterable[Statement]) -> tuple[Acceptance, ...]:
    """The lines of the file in ``folder``, none where there is no such file; raises ``MappingError`` for all wrong ones."""
    file = folder / FILE
    if not file.exists():
        return ()
    known = {check.check_name: check for check in checks if check.severity}
    read: dict[tuple[str, str], Acceptance] = {}
    with all_at_once() as problems:
        for line, cells in rows(file, _COLUMNS, problems):
            with problems.noted():
                entry = _entry(cells, known, file, line)
                key = (entry.check, folded(entry.subject))
                if key in read:
                    raise MappingError(
                        file,
                        line,
                        f"{entry.check} is accepted for {entry.subject!r} on line {read[key].line} already.",
                    )
                read[key] = entry
    return tuple(read.values())


def subject_of(check: Statement, row: Mapping[str, Any]) -> str:
    """What a row of a check complains of, by the columns that its SQL names."""
    return " ".join(str(row[column]) for column in check.accepted_by)


def line_to_write(check: str, subject: str) -> str:
    """The line that accepts it, with a place for the reason."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow((check, subject, "REASON", ""))
    return out.getvalue()


def _entry(
    cells: Mapping[str, str], known: Mapping[str, Statement], file: Path, line: int
) -> Acceptance:
    name = cells["check"].strip("/").lower()
    check = known.get(name)
    if check is None:
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        nearest = f"; nearest: {', '.join(near)}" if near else ""
        raise MappingError(file, line, f"There is no check {cells['check']!r}{nearest}.")
    if not check.accepted_by:
        raise MappingError(
            file,
            line,
            f"{name} cannot be accepted. {check.way_on}",
        )
    if not cells["subject"]:
        raise MappingError(
            file,
            line,
            f"The subject is empty: name what {name} complains of, its {' and '.join(check.accepted_by)}, as the check's"
            " message does.",
        )
    if not cells["reason"]:
        raise MappingError(
            file, line, f"The reason is empty: say why it is right that {name} does not hold."
        )
    until = day(cells["valid_to"], "valid_to", file, line)
    return Acceptance(line, name, cells["subject"], cells["reason"], until)
