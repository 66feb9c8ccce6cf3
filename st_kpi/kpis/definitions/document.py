"""``docs/kpis.md`` from the cards, ``docs/checks.md``, ``docs/kpi-sql.md``, and whether the cards still tell of the SQL beside them.

``python -m st_kpi.kpis.definitions.document`` writes the files; with ``--check`` it writes nothing, and exits with 1
when one is stale or the SQL of a KPI changed without a new version.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from st_kpi.kpis.definitions import document_checks, document_sql
from st_kpi.kpis.definitions.cards import Aggregation, Card
from st_kpi.kpis.definitions.fingerprint import changed
from st_kpi.kpis.definitions.inline import upstream
from st_kpi.kpis.definitions.lint import Project, inspect
from st_kpi.kpis.definitions.statements import Statement
from st_kpi.parameters import NO_SETTINGS

DOCUMENT = Path("docs/kpis.md")
SQL_DOCUMENT = Path("docs/kpi-sql.md")
CHECKS_DOCUMENT = Path("docs/checks.md")

_KINDS = {
    Aggregation.SUM: "a sum: days, weeks and rollups add up",
    Aggregation.RATIO: "a ratio: numerators and denominators are summed first, and divided last",
    Aggregation.SNAPSHOT: "a snapshot of one day: a week shows the last day it was measured on",
}
_UNITS = {"count": "a number", "money": "money", "percent": "a share, shown as percent"}
_HEAD = """\
# The KPIs

What each published number means, written from the cards in `kpi_sql/kpis` by `python -m st_kpi.kpis.definitions.document`: change
a card, not this page. Days are the tenant's local days, weeks run from Monday to Sunday, and rows that are
inactive in ServiceTitan never count, nor does what is of a unit or job type that the mapping says does not.
A number is the sum of its contributions, or the quotient of two such sums.

| KPI | Name in tables | Meaning | Owner | Version |
|---|---|---|---|---|
"""


def text(project: Project) -> str:
    """The whole page."""
    rows = [
        f"| [{card.title}](#{kpi}) | `{kpi}` | {card.meaning} | {card.owner} | {card.version} |"
        for kpi, card in project.cards.items()
    ]
    parts = [_HEAD + "\n".join(rows) + "\n"]
    parts += ["\n".join(_section(project, kpi, card)) + "\n" for kpi, card in project.cards.items()]
    parts.append("\n".join(_shared_checks(project)) + "\n")
    return "\n".join(parts)


def _section(project: Project, kpi: str, card: Card) -> Iterator[str]:
    yield f'<a id="{kpi}"></a>'
    yield f"## {card.title}"
    yield ""
    yield card.meaning
    yield ""
    yield f"- **Is** {_UNITS[card.unit]}; {_KINDS[card.kind]}."
    yield f"- **Business units** with role {card.role} or BOTH."
    yield f"- **Dated by** {_lowered(card.dated_by)}"
    yield f"- **Statuses** {_lowered(card.statuses)}"
    yield f"- **Left out** {_lowered(card.exclusions)}"
    statement = next(s for s in project.statements if s.kpi == kpi)
    read = [statement, *upstream(statement, project.statements)]
    raw = sorted({t for s in read for t in s.reads if t.startswith("st_raw.")})
    settings = sorted({p for s in read for p in s.parameters} - NO_SETTINGS)
    yield f"- **Made of** {_code(raw)}."
    yield f"- **Settings that change it** {_code(settings)}."
    yield f"- **Owner** {card.owner}."
    if card.alternatives:
        yield ""
        yield f"Alternatives, beside it with `st-kpi show --kpi {kpi} --alternatives`:"
        yield ""
        for other in card.alternatives:
            yield f"- **{other.title}** (`{kpi}/{other.name}`). {other.meaning}"
    checks = [s for s in project.statements if s.name.startswith(f"kpis/{kpi}/checks/")]
    if checks:
        yield ""
        yield "Checked at every build:"
        yield ""
        yield from _claims(checks)
    if card.history:
        yield ""
        yield "| Version | Since | What changed | Why |"
        yield "|---|---|---|---|"
        for change in reversed(card.history):
            yield f"| {change.version} | {change.date} | {change.what} | {change.why} |"


def _shared_checks(project: Project) -> Iterator[str]:
    yield "## Checks for all KPIs"
    yield ""
    yield "A claim that fails stops the build before it publishes; one that warns is told and kept in `st_ops.check_results`."
    yield ""
    yield from _claims(s for s in project.statements if s.name.startswith("checks/"))


def _claims(checks: Iterable[Statement]) -> Iterator[str]:
    for check in checks:
        yield f"- {check.purpose} ({check.severity})"


def _lowered(sentence: str) -> str:
    """A sentence that goes on after a bold word; names in capitals stay as they are."""
    return sentence if sentence[1:2].isupper() else sentence[0].lower() + sentence[1:]


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


def main(arguments: list[str]) -> int:
    """Write the pages or, with ``--check``, say what is stale; returns the exit code."""
    project = inspect()
    for finding in project.findings:
        print(finding)
    if project.findings:
        return 1
    pages = {
        DOCUMENT: text(project),
        CHECKS_DOCUMENT: document_checks.text(project),
        SQL_DOCUMENT: document_sql.text(),
    }
    if "--check" not in arguments:
        for path, page in pages.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(page, encoding="utf-8")
        return 0
    stale = [p for p in pages if not p.is_file() or p.read_text(encoding="utf-8") != pages[p]]
    for path in stale:
        print(f"{path}:1: stale: run python -m st_kpi.kpis.definitions.document.")
    definitions = changed(project)
    for finding in definitions:
        print(finding)
    return 1 if stale or definitions else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
