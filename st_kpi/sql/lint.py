"""Everything that can be known to be wrong with ``kpi_sql`` before any of it runs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sqlglot
from sqlglot import MappingSchema, exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from st_kpi.errors import SqlError
from st_kpi.mappings import TYPE_COLUMNS, TYPE_TABLE, UNIT_COLUMNS, UNIT_TABLE
from st_kpi.servicetitan.schema import ColumnType
from st_kpi.sql.cards import Card, Kind, read_card
from st_kpi.sql.rules import PARAMETERS, Finding, check_statement, line_of
from st_kpi.sql.statements import (
    CONTRIBUTIONS,
    Statement,
    default_root,
    in_order,
    read_statement,
    sql_files,
)
from st_kpi.warehouse.tables import raw_tables

Columns = dict[str, str]

#: What ``contributions.sql`` returns; the build puts ``kpi`` after the tenant.
CONTRIBUTION_COLUMNS: dict[str, ColumnType] = {
    "tenant_id": ColumnType.INT64,
    "part": ColumnType.STRING,
    "on_date": ColumnType.DATE,
    "business_unit_id": ColumnType.INT64,
    "source_entity": ColumnType.STRING,
    "source_id": ColumnType.INT64,
    "job_id": ColumnType.INT64,
    "amount": ColumnType.NUMERIC,
    "reason": ColumnType.STRING,
}

KPI_COLUMNS: tuple[tuple[str, ColumnType], ...] = (
    ("kpi", ColumnType.STRING),
    ("title", ColumnType.STRING),
    ("kind", ColumnType.STRING),
    ("unit", ColumnType.STRING),
    ("version", ColumnType.INT64),
    ("display_order", ColumnType.INT64),
)
KPI_TABLE = "st_ref.dim_kpis"

_KPI_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WIDE = "st_kpi.kpi_weekly_wide"


@dataclass(frozen=True)
class Project:
    """All of ``kpi_sql``: statements in the order they run, cards, and what is wrong with them.

    With findings, statements and cards are only those that could be read and ordered.
    """

    root: Path
    statements: tuple[Statement, ...]
    cards: Mapping[str, Card]
    findings: tuple[Finding, ...]


def lint(root: Path | None = None) -> list[Finding]:
    """Every finding under ``root`` (by default the product's own SQL); empty is clean."""
    return list(inspect(root).findings)


def inspect(root: Path | None = None) -> Project:
    """Read and check everything under ``root``; remembered until a file there changes."""
    root = root or default_root()
    paths = [*sql_files(root), *sorted(root.glob("kpis/*")), *sorted(root.glob("kpis/*/card.yaml"))]
    stats = [(path, path.stat()) for path in paths]
    return _inspect(root, tuple((path, s.st_mtime_ns, s.st_size) for path, s in stats))


@lru_cache(maxsize=8)
def _inspect(root: Path, _state: tuple[tuple[Path, int, int], ...]) -> Project:
    findings: list[Finding] = []
    statements: list[Statement] = []
    for path in sql_files(root):
        try:
            statements.append(read_statement(path, root))
        except SqlError as error:
            findings.append(Finding(error.file, error.line, "statement", error.reason))
    unread = bool(findings)
    for statement in statements:
        findings += check_statement(statement)
    cards, wrong = _cards(root)
    findings += [*wrong, *_folders(root), *_targets(statements), *_wide(cards, statements)]
    try:
        statements = in_order(statements)
    except SqlError as error:
        findings.append(Finding(error.file, error.line, "cycle", error.reason))
    else:
        findings += _columns(statements, complete=not unread)
    return Project(root, tuple(statements), cards, tuple(sorted(findings)))


def refuse(findings: Iterable[Finding]) -> None:
    """Raise the first finding as ``SqlError``, saying how many more there are."""
    found = list(findings)
    if found:
        first, more = found[0], len(found) - 1
        rest = f" ({more} more: run st-kpi lint)" if more else ""
        raise SqlError(first.file, first.line, f"{first.rule}: {first.message}{rest}")


@lru_cache(maxsize=1)
def provided_tables() -> Mapping[str, Columns]:
    """Tables no file fills: raw rows, the mappings, the cards, and all contributions."""
    tables = {t.qualified: {c.name: str(c.type) for c in t.columns} for t in raw_tables()}
    tables[UNIT_TABLE] = {name: str(kind) for name, kind in UNIT_COLUMNS}
    tables[TYPE_TABLE] = {name: str(kind) for name, kind in TYPE_COLUMNS}
    tables[KPI_TABLE] = {name: str(kind) for name, kind in KPI_COLUMNS}
    tables[CONTRIBUTIONS] = {"kpi": "STRING"} | {n: str(k) for n, k in CONTRIBUTION_COLUMNS.items()}
    return tables


def _cards(root: Path) -> tuple[dict[str, Card], list[Finding]]:
    """The cards in the order they are shown, and those that cannot be read."""
    cards: dict[str, Card] = {}
    findings = []
    for path in sorted(root.glob("kpis/*/card.yaml")):
        try:
            cards[path.parent.name] = read_card(path)
        except SqlError as error:
            findings.append(Finding(error.file, error.line, "card", error.reason))
    return dict(sorted(cards.items(), key=lambda item: (item[1].order, item[0]))), findings


def _folders(root: Path) -> list[Finding]:
    """A KPI is a folder with a card and its contributions, named as a column can be."""
    findings = []
    for folder in sorted(p for p in root.glob("kpis/*") if p.is_dir() and p.name != "__pycache__"):
        if not _KPI_NAME.fullmatch(folder.name):
            message = f"{folder.name!r} cannot be a KPI's name: use small letters, digits and _."
            findings.append(Finding(folder, 1, "kpi-folder", message))
        for name in ("card.yaml", "contributions.sql"):
            if not (folder / name).is_file():
                findings.append(
                    Finding(
                        folder, 1, "kpi-folder", f"The KPI {folder.name} has no {name}: add it."
                    )
                )
    return findings


def _targets(statements: list[Statement]) -> list[Finding]:
    """Each table is filled by one file."""
    seen: dict[str, Statement] = {}
    findings = []
    for statement in statements:
        if statement.table is None or statement.table == CONTRIBUTIONS:
            continue
        if statement.table in seen:
            message = f"{statement.table} is filled by {seen[statement.table].path} already: one file, one table."
            findings.append(Finding(statement.path, 1, "target", message))
        elif statement.table in provided_tables():
            message = f"{statement.table} is filled by the product itself: choose another name."
            findings.append(Finding(statement.path, 1, "target", message))
        seen.setdefault(statement.table, statement)
    return findings


def _wide(cards: Mapping[str, Card], statements: list[Statement]) -> list[Finding]:
    """The wide table has a column for every KPI, and the sums behind it for a ratio."""
    findings = []
    for statement in (s for s in statements if s.table == _WIDE):
        present = set(statement.tree.named_selects)
        for kpi, card in cards.items():
            parts = ("_numerator", "_denominator") if card.kind is Kind.RATIO else ()
            for name in (kpi, *(kpi + part for part in parts)):
                if name not in present:
                    findings.append(
                        Finding(statement.path, 1, "wide", f"There is no column {name}: add it.")
                    )
    return findings


def _columns(ordered: list[Statement], *, complete: bool) -> list[Finding]:
    """Resolve every column against the raw tables and what earlier files return.

    With a file that could not be read (``complete`` false) an unknown table may be that file's,
    so only columns of known tables are judged.
    """
    known = dict(provided_tables())
    findings: list[Finding] = []
    for statement in ordered:
        missing = sorted(t for t in statement.reads if t not in known)
        if missing:
            if complete:
                findings += [_unknown_table(statement, table) for table in missing]
            continue
        try:
            tree = _typed(statement, known)
        except SqlglotError as error:
            findings.append(_unresolved(statement, error))
            continue
        columns = {
            s.alias_or_name: s.type.sql("bigquery") if s.type else "UNKNOWN" for s in tree.selects
        }
        findings += _sums(statement, tree)
        if statement.table == CONTRIBUTIONS:
            findings += _contract(statement, columns)
        elif statement.table:
            known[statement.table] = columns
    return findings


def _typed(statement: Statement, known: dict[str, Columns]) -> exp.Query:
    """The statement with every column resolved and typed; raises ``OptimizeError`` for a column that is nowhere."""
    nested: dict[str, dict[str, Columns]] = {}
    for table in statement.reads:
        db, name = table.split(".")
        nested.setdefault(db, {})[name] = known[table]
    schema = MappingSchema({**nested}, dialect="bigquery")
    tree = statement.tree.transform(_parameter_as_null)
    tree = qualify(tree, schema=schema, dialect="bigquery", quote_identifiers=False)
    typed = annotate_types(tree, schema=schema, dialect="bigquery")
    assert isinstance(typed, exp.Query)
    return typed


def _parameter_as_null(node: exp.Expr) -> exp.Expr:
    """A parameter with the type it is declared with, for the sake of the types around it."""
    if isinstance(node, exp.Parameter) and node.name in PARAMETERS:
        return sqlglot.parse_one(f"CAST(NULL AS {PARAMETERS[node.name]})", read="bigquery")
    return node


def _unknown_table(statement: Statement, table: str) -> Finding:
    nodes = [t for t in statement.tree.find_all(exp.Table) if f"{t.db}.{t.name}" == table]
    message = f"No file fills {table} and it is not loaded: check the name."
    return Finding(statement.path, line_of(nodes[0]), "known-table", message)


def _unresolved(statement: Statement, error: SqlglotError) -> Finding:
    """sqlglot says where only for columns without a table; the others are found by their name."""
    text = str(error).splitlines()[0]
    name = text.split("'")[1] if "'" in text else text.rsplit(": ", 1)[-1]
    at = next((c for c in statement.tree.find_all(exp.Column) if c.name == name), statement.tree)
    known = "no table it reads has that column, or more than one has"
    return Finding(statement.path, line_of(at), "known-column", f"Column {name}: {known}.")


def _sums(statement: Statement, tree: exp.Query) -> list[Finding]:
    """Arithmetic whose type differs between the engines: quotients and sums of whole numbers."""
    findings = []
    for node in tree.find_all(exp.SafeDivide, exp.Sum):
        sides = [node.this, node.expression] if isinstance(node, exp.SafeDivide) else [node.this]
        if any(side.type and side.type.is_type(*exp.DataType.INTEGER_TYPES) for side in sides):
            message = "An INT64 in SUM or SAFE_DIVIDE changes type between the engines: CAST it AS NUMERIC."
            findings.append(Finding(statement.path, line_of(node), "integer-arithmetic", message))
    return findings


def _contract(statement: Statement, columns: Columns) -> list[Finding]:
    """The columns of a contribution, by name and type."""
    findings = []
    if list(columns) != list(CONTRIBUTION_COLUMNS):
        wanted = ", ".join(CONTRIBUTION_COLUMNS)
        message = f"Contributions have the columns {wanted}, in that order; these are {', '.join(columns)}."
        return [Finding(statement.path, 1, "contribution", message)]
    for name, kind in CONTRIBUTION_COLUMNS.items():
        if columns[name] not in (str(kind), "UNKNOWN"):
            message = f"{name} has to be {kind}, not {columns[name]}: CAST it."
            findings.append(Finding(statement.path, 1, "contribution", message))
    return findings
