"""Which columns there are, of what type, and statements that ask for others."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from sqlglot import MappingSchema, exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope

from st_kpi.columns import Columns, ColumnType
from st_kpi.errors import SqlError
from st_kpi.kpis.definitions.findings import Finding, line_of
from st_kpi.kpis.definitions.portable import unportable, with_typed_parameters
from st_kpi.kpis.definitions.rules import REFUSED_HERE
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, HistoryUse, Statement, qualified
from st_kpi.kpis.mappings import TYPE_COLUMNS, TYPE_TABLE, UNIT_COLUMNS, UNIT_TABLE
from st_kpi.parameters import HISTORY_PARAMETERS, PARAMETERS
from st_kpi.servicetitan.tables import raw_tables
from st_kpi.warehouse.system_tables import HISTORY, OPERATIONS

#: The columns of a table with their types, as BigQuery names them.
ColumnTypes = dict[str, str]

#: What ``contributions.sql`` returns; the build puts ``kpi`` after the tenant. ``component`` says which part of a job's
#: cost a row is, and is NULL where it is no cost.
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
    "component": ColumnType.STRING,
}
#: A row of the table that all contributions fill.
STORED_COLUMNS: dict[str, ColumnType] = {
    "tenant_id": ColumnType.INT64,
    "kpi": ColumnType.STRING,
    **CONTRIBUTION_COLUMNS,
}

#: Contributions of which a build has more or less equal rows (``after``) than the one before (``before``).
CHANGED_CONTRIBUTIONS = "st_staging.changed_contributions"
CHANGED_COLUMNS: tuple[tuple[str, ColumnType], ...] = (
    *STORED_COLUMNS.items(),
    ("before", ColumnType.INT64),
    ("after", ColumnType.INT64),
)
#: What has become of the source rows behind them, and of their jobs.
CHANGED_SOURCES = "st_staging.changed_sources"
SOURCE_COLUMNS: tuple[tuple[str, ColumnType], ...] = (
    ("entity", ColumnType.STRING),
    ("tenant_id", ColumnType.INT64),
    ("id", ColumnType.INT64),
    ("is_active", ColumnType.BOOL),
    ("is_new", ColumnType.BOOL),
    ("is_edited", ColumnType.BOOL),
)
#: Rows of the raw tables that no build has met, and one without an id for each table with when its newest was read.
UNSEEN = "st_staging.unseen_rows"
UNSEEN_COLUMNS: tuple[tuple[str, ColumnType], ...] = (
    ("entity", ColumnType.STRING),
    ("tenant_id", ColumnType.INT64),
    ("id", ColumnType.INT64),
    ("newest", ColumnType.TIMESTAMP),
)

KPI_COLUMNS: tuple[tuple[str, ColumnType], ...] = (
    ("kpi", ColumnType.STRING),
    ("title", ColumnType.STRING),
    ("kind", ColumnType.STRING),
    ("unit", ColumnType.STRING),
    ("version", ColumnType.INT64),
    ("display_order", ColumnType.INT64),
)
KPI_TABLE = "st_ref.dim_kpis"

_PARAMETERS = PARAMETERS | HISTORY_PARAMETERS

#: BigQuery's dialect that finds columns without their types: those are worked out once, of the whole statement.
_BIGQUERY = BigQuery()
_BIGQUERY.ANNOTATE_ALL_SCOPES = False


@lru_cache(maxsize=1)
def provided_tables() -> Mapping[str, ColumnTypes]:
    """Tables no file fills: raw rows, the mappings, the cards, and all contributions."""
    tables = {t.qualified: {c.name: str(c.type) for c in t.columns} for t in raw_tables()}
    listed = {UNIT_TABLE: UNIT_COLUMNS, TYPE_TABLE: TYPE_COLUMNS, KPI_TABLE: KPI_COLUMNS}
    listed |= {CONTRIBUTIONS: tuple(STORED_COLUMNS.items())} | OPERATIONS
    return tables | _types(listed)


@lru_cache(maxsize=1)
def history_tables() -> Mapping[str, ColumnTypes]:
    """What a build's history reads besides: its logs, and what the build notes of the contributions that change."""
    noted = {
        CHANGED_CONTRIBUTIONS: CHANGED_COLUMNS,
        CHANGED_SOURCES: SOURCE_COLUMNS,
        UNSEEN: UNSEEN_COLUMNS,
    }
    return _types(HISTORY | noted)


def _types(tables: Mapping[str, Columns]) -> dict[str, ColumnTypes]:
    return {table: {name: str(kind) for name, kind in tables[table]} for table in tables}


def check_columns(
    ordered: Iterable[Statement],
    tables: dict[str, ColumnTypes],
    trees: dict[str, exp.Query],
    *,
    complete: bool,
) -> list[Finding]:
    """Resolve every column against ``tables``, to which each file adds the one it fills.

    ``trees`` gets, by the name of its statement, what was resolved. With a file that could not be read (``complete`` false) an unknown table may be that file's,
    so only columns of known tables are judged.
    """
    findings: list[Finding] = []
    for statement in ordered:
        tree, wrong = _resolved(statement, tables, complete)
        findings += wrong
        if tree is None:
            continue
        trees[statement.name] = tree
        columns = _returned(tree)
        if statement.history is HistoryUse.APPEND:
            findings += _log_contract(statement, columns, tables.get(statement.table or "", {}))
        elif statement.table == CONTRIBUTIONS or statement.adds:
            findings += _contract(statement, columns)
        elif statement.table:
            tables[statement.table] = columns
            if statement.replaces is not None:
                findings += _renewed(statement, statement.replaces, tables)
    return findings


def _renewed(
    statement: Statement, condition: str, tables: Mapping[str, ColumnTypes]
) -> list[Finding]:
    """What is wrong with the condition on the rows that a statement renews: both engines run it as well."""
    text = f"SELECT 1 AS one FROM {statement.table} WHERE {condition}"
    try:
        tree = typed(replace(statement, sql=text), tables)
    except (SqlError, SqlglotError) as error:
        reason = error.reason if isinstance(error, SqlError) else str(error).splitlines()[0]
        return [Finding(statement.path, statement.line, "statement", reason)]
    return [
        Finding(statement.path, statement.line, "portable", message)
        for _, message in unportable(tree)
    ]


def _resolved(
    statement: Statement, tables: Mapping[str, ColumnTypes], complete: bool
) -> tuple[exp.Query | None, list[Finding]]:
    """The statement as ``typed``, None where that cannot be, and what is wrong with it."""
    missing = sorted(t for t in statement.reads if t not in tables)
    if missing:
        return None, [_unknown_table(statement, table) for table in missing] if complete else []
    try:
        tree = typed(statement, tables)
    except SqlglotError as error:
        return None, [_unresolved(statement, error)]
    return tree, [*_differences(statement, tree), *_two_names(statement, tables)]


def _returned(tree: exp.Query) -> ColumnTypes:
    """The columns that a typed statement returns."""
    return {s.alias_or_name: s.type.sql("bigquery") if s.type else "UNKNOWN" for s in tree.selects}


def typed(statement: Statement, tables: Mapping[str, ColumnTypes]) -> exp.Query:
    """The statement with every column resolved and typed; raises ``OptimizeError`` for a column that is nowhere."""
    schema = schema_of({table: tables[table] for table in statement.reads})
    tree = statement.tree.copy()
    with_typed_parameters(tree, _PARAMETERS)
    tree = qualify(tree, schema=schema, dialect=_BIGQUERY, quote_identifiers=False)
    annotated = annotate_types(tree, schema=schema, dialect=_BIGQUERY)
    assert isinstance(annotated, exp.Query)
    return annotated


def schema_of(tables: Mapping[str, ColumnTypes]) -> MappingSchema:
    """The tables as sqlglot looks columns up in them."""
    nested: dict[str, dict[str, ColumnTypes]] = {}
    for table, columns in tables.items():
        db, name = table.split(".")
        nested.setdefault(db, {})[name] = columns
    return MappingSchema({**nested}, dialect=_BIGQUERY)


def _unknown_table(statement: Statement, table: str) -> Finding:
    nodes = [t for t in statement.found(exp.Table) if f"{t.db}.{t.name}" == table]
    message = f"No file fills {table} and it is not loaded: check the name."
    return Finding(statement.path, line_of(nodes[0]), "known-table", message)


def _unresolved(statement: Statement, error: SqlglotError) -> Finding:
    """sqlglot says where only for columns without a table; the others are found by their name."""
    text = str(error).splitlines()[0]
    name = text.split("'")[1] if "'" in text else text.rsplit(": ", 1)[-1]
    at = next((c for c in statement.found(exp.Column) if c.name == name), statement.tree)
    reason = "no table it reads has that column, or more than one has"
    return Finding(statement.path, line_of(at), "known-column", f"Column {name}: {reason}.")


def _differences(statement: Statement, tree: exp.Query) -> list[Finding]:
    """What of a typed statement the engines may read differently."""
    return [
        Finding(statement.path, line_of(node), "portable", message)
        for node, message in unportable(tree)
        if not isinstance(node, REFUSED_HERE)
    ]


def _two_names(statement: Statement, tables: Mapping[str, ColumnTypes]) -> Iterator[Finding]:
    """GROUP BY a name that a column has and what is selected too: DuckDB takes the one, BigQuery the other."""
    if not any(_renamed_groups(select) for select in statement.found(exp.Select)):
        return
    for scope in traverse_scope(statement.tree):
        for column in _renamed_groups(scope.expression):
            if any(column.name in _names(s, tables) for s in scope.sources.values()):
                message = (
                    f"GROUP BY {column.name} means the column on one engine and what is selected"
                    f" AS {column.name} on the other: write the expression, or another name."
                )
                yield Finding(statement.path, line_of(column), "portable", message)


def _renamed_groups(select: exp.Expr) -> list[exp.Column]:
    """The plain names in GROUP BY that SELECT gives to something else."""
    group = select.args.get("group")
    if group is None:
        return []
    renamed = {
        e.alias
        for e in select.expressions
        if isinstance(e, exp.Alias)
        and not (isinstance(e.this, exp.Column) and e.this.name == e.alias)
    }
    plain = [c for c in group.expressions if isinstance(c, exp.Column) and not c.table]
    return [column for column in plain if column.name in renamed]


def _names(source: Scope | exp.Table, tables: Mapping[str, ColumnTypes]) -> Collection[str]:
    """The columns of one relation in a FROM."""
    if isinstance(source, exp.Table):
        return tables.get(qualified(source), {})
    query = source.expression
    return query.named_selects if isinstance(query, exp.Query) else ()


def _contract(statement: Statement, columns: ColumnTypes) -> list[Finding]:
    """The columns of a contribution, by name and type."""
    if list(columns) != list(CONTRIBUTION_COLUMNS):
        message = (
            f"Contributions have the columns {', '.join(CONTRIBUTION_COLUMNS)}, in that order;"
            f" these are {', '.join(columns)}."
        )
        return [Finding(statement.path, 1, "contribution", message)]
    required = {name: str(kind) for name, kind in CONTRIBUTION_COLUMNS.items()}
    return _retyped(statement, columns, required, "contribution")


def _log_contract(
    statement: Statement, columns: ColumnTypes, required: ColumnTypes
) -> list[Finding]:
    """The columns of a log that a history adds rows to, by name and type."""
    if list(columns) != list(required):
        message = (
            f"{statement.table} has the columns {', '.join(required) or 'of no log'}, in that order;"
            f" these are {', '.join(columns)}."
        )
        return [Finding(statement.path, 1, "history", message)]
    return _retyped(statement, columns, required, "history")


def _retyped(
    statement: Statement, columns: ColumnTypes, required: ColumnTypes, rule: str
) -> list[Finding]:
    return [
        Finding(statement.path, 1, rule, f"{name} has to be {kind}, not {columns[name]}: CAST it.")
        for name, kind in required.items()
        if columns[name] not in (kind, "UNKNOWN")
    ]
