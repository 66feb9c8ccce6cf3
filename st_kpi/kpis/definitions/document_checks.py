"""``docs/checks.md`` from the checks of ``kpi_sql``: what each claims, and the way on where it does not hold."""

from collections.abc import Iterator

from st_kpi.kpis.definitions.lint import Project
from st_kpi.kpis.definitions.statements import Severity, Statement

_HEAD = """\
# The checks, and the way on from each

Written from the checks in `kpi_sql` by `python -m st_kpi.kpis.definitions.document`: change a check, not this page.

Every build asks all of them. One that *fails* undoes the build, and readers keep the last good one; one that *warns* is told, and the numbers are
published. The message of either names the first rows that break the claim and ends with the way on: a line of a mapping file, a setting, something to put right in
ServiceTitan or in the SQL, or an acceptance.

## To accept one

What is as it should be for this company is accepted in `accepted_checks.csv`, which lies beside the mapping files and is read as they are: all wrong lines are told at once.

| Column | Holds |
|---|---|
| `check` | the name of the check, as the message has it |
| `subject` | the one thing that it complains of, by the columns in the table below, as the line in the message has it: another one is not accepted with it |
| `reason` | why it is right; shown with the numbers from then on |
| `valid_to` | the last as-of day on which it holds; empty for always |

For example, of a company that pays by the piece:

```csv
check,subject,reason,valid_to
literals_required,gross_pay_items.gross_pay_item_type TimesheetTime,We pay by the piece,
```

What is accepted stands below the numbers of `st-kpi show`, in `st-kpi status`, in the JSON of both, in the artifact `kpi-checks` of each run, in what `st-kpi build` says, and in
`st_ops.accepted_checks`. A line that is needed no longer, or whose day has passed, is told by the build. A check that says *no* cannot be accepted: without
it, the numbers would be wrong, or a line of a mapping is the way to say so.
"""


def text(project: Project) -> str:
    """The whole page."""
    checks = sorted((s for s in project.statements if s.severity), key=lambda s: s.check_name)
    parts = [_HEAD]
    for title, severity in (("Those that fail", Severity.FAIL), ("Those that warn", Severity.WARN)):
        parts.append("\n".join(_table(title, [c for c in checks if c.severity is severity])))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _table(title: str, checks: list[Statement]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| Check | Claims | The way on | Accepted by |"
    yield "|---|---|---|---|"
    for check in checks:
        by = ", ".join(f"`{column}`" for column in check.accepted_by) or "no"
        yield f"| `{check.check_name}` | {check.purpose} | {check.way_on} | {by} |"
