"""Which columns there are, of what type, and statements that ask for others."""

from collections.abc import Mapping
from functools import lru_cache

import sqlglot
from sqlglot import MappingSchema, exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from st_kpi.columns import ColumnType
from st_kpi.kpis.definitions.findings import Finding, line_of
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, Statement
from st_kpi.kpis.mappings import TYPE_COLUMNS, TYPE_TABLE, UNIT_COLUMNS, UNIT_TABLE
from st_kpi.parameters import PARAMETERS
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.system_tables import OPERATIONS

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


@lru_cache(maxsize=1)
def provided_tables() -> Mapping[str, Columns]:
    """Tables no file fills: raw rows, the mappings, the cards, and all contributions."""
    tables = {t.qualified: {c.name: str(c.type) for c in t.columns} for t in raw_tables()}
    tables[UNIT_TABLE] = {name: str(kind) for name, kind in UNIT_COLUMNS}
    tables[TYPE_TABLE] = {name: str(kind) for name, kind in TYPE_COLUMNS}
    tables[KPI_TABLE] = {name: str(kind) for name, kind in KPI_COLUMNS}
    tables[CONTRIBUTIONS] = {"kpi": "STRING"} | {n: str(k) for n, k in CONTRIBUTION_COLUMNS.items()}
    tables |= {name: {c: str(k) for c, k in columns} for name, columns in OPERATIONS.items()}
    return tables


def check_columns(
    ordered: list[Statement], known: dict[str, Columns], *, complete: bool
) -> list[Finding]:
    """Resolve every column against the ``known`` tables, to which each file adds what it fills.

    With a file that could not be read (``complete`` false) an unknown table may be that file's,
    so only columns of known tables are judged.
    """
    findings: list[Finding] = []
    for statement in ordered:
        missing = sorted(t for t in statement.reads if t not in known)
        if missing:
            if complete:
                findings += [_unknown_table(statement, table) for table in missing]
            continue
        try:
            tree = typed(statement, known)
        except SqlglotError as error:
            findings.append(_unresolved(statement, error))
            continue
        columns = {
            s.alias_or_name: s.type.sql("bigquery") if s.type else "UNKNOWN" for s in tree.selects
        }
        findings += [*_sums(statement, tree), *_texts(statement, tree)]
        if statement.table == CONTRIBUTIONS or statement.adds:
            findings += _contract(statement, columns)
        elif statement.table:
            known[statement.table] = columns
    return findings


def typed(statement: Statement, known: Mapping[str, Columns]) -> exp.Query:
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


_WRITTEN_DIFFERENTLY = (
    exp.DataType.Type.DECIMAL, *exp.DataType.FLOAT_TYPES, *exp.DataType.TEMPORAL_TYPES,
)  # fmt: skip


def _texts(statement: Statement, tree: exp.Query) -> list[Finding]:
    """Text made of values that the engines write differently; whole numbers and days are written alike."""
    findings = []
    for node in tree.find_all(exp.Cast):
        source = node.this.type
        if not node.to.is_type(*exp.DataType.TEXT_TYPES) or source is None:
            continue
        if source.is_type(*_WRITTEN_DIFFERENTLY) and not source.is_type("date"):
            message = (
                f"{source.sql('bigquery')} is written differently by the two engines (1.5 and 1.500000000):"
                " publish the value, or CAST a whole number or a DATE."
            )
            findings.append(Finding(statement.path, line_of(node), "text-of-value", message))
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
