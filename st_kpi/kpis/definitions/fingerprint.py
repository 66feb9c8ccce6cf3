"""Whether the SQL of a KPI is still the one its card tells of.

The fingerprint is taken of the contributions together with everything they read, down to the raw
tables, after columns the KPI does not use are left out: white space, comments and another KPI's columns
change nothing, a condition in a staging file changes every KPI that reads it.
"""

import hashlib
from pathlib import Path

import sqlglot
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify

from st_kpi.kpis.definitions.columns import CONTRIBUTION_COLUMNS, provided_tables, schema_of
from st_kpi.kpis.definitions.findings import Finding
from st_kpi.kpis.definitions.inline import filling, inlined, upstream
from st_kpi.kpis.definitions.lint import Project

#: Columns that say what a row is and change no number: wording is no definition.
_NOT_DEFINITION = ("reason", "component")


def definition_fingerprint(project: Project, kpi: str) -> str:
    """Twelve hex digits that change with the definition of ``kpi``."""
    statement = next(s for s in project.statements if s.kpi == kpi)
    columns = ", ".join(c for c in CONTRIBUTION_COLUMNS if c not in _NOT_DEFINITION)
    select = f"SELECT {columns} FROM (\n{statement.sql.strip()}\n) AS counted"
    text = inlined(select, filling(upstream(statement, project.statements)))
    schema = schema_of(provided_tables())
    tree = qualify(sqlglot.parse_one(text, read="bigquery"), schema=schema, dialect="bigquery")
    pruned = pushdown_projections(tree)
    return hashlib.sha256(pruned.sql("bigquery", comments=False).encode()).hexdigest()[:12]


def changed(project: Project) -> list[Finding]:
    """Each KPI whose SQL is not that of the last version on its card, with what to do."""
    findings = []
    for kpi, card in project.cards.items():
        now = definition_fingerprint(project, kpi)
        last = card.history[-1] if card.history else None
        if last and last.sql == now:
            continue
        if last is None or last.sql is None:
            message = (
                f"The history has no `sql` for version {card.version}: add `sql: {now}` to it."
            )
        else:
            message = (
                f"The SQL of {card.title}, or a file it reads, is no longer that of version {card.version}."
                f" Raise version to {card.version + 1} and add to the history what changed and why,"
                f" with `sql: {now}`."
            )
        path = project.root / "kpis" / kpi / "card.yaml"
        findings.append(Finding(path, _version_line(path), "definition", message))
    return findings


def _version_line(path: Path) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((n for n, line in enumerate(lines, 1) if line.startswith("version:")), 1)
