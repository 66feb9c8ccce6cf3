"""Which columns of which tables a statement reads, as BigQuery bills it: those that count for the result, once a table.

A query on a subquery is billed for what it takes from it, and not for all that the subquery names. Where the columns of a
table are not known, all that are named count for each table.
"""

from collections.abc import Iterable, Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

#: The columns of each table, by its name as ``schema.name``.
Columns = Mapping[str, Iterable[str]]


def scanned(sql: str, columns: Columns) -> dict[str, set[str]]:
    """The columns that a statement reads of each table; of one that it changes all."""
    tree = sqlglot.parse_one(_query(sql), read="bigquery")
    read: dict[str, set[str]] = {}
    for query in _queries(tree):
        for table, names in _columns(query, columns):
            read.setdefault(table, set()).update(names)
    if _changes_rows(tree):
        target = tree.this.find(exp.Table) or tree.this
        read[_name(target)] = set(columns.get(_name(target), ()))
    return read


def _query(sql: str) -> str:
    """What SET assigns; other statements as they are."""
    return f"SELECT {sql.split('=', 1)[1]}" if sql.lstrip().upper().startswith("SET ") else sql


def _queries(tree: exp.Expression) -> Iterator[exp.Query]:
    """The queries of a statement; of a MERGE its source, and the comparison with its target."""
    if isinstance(tree, exp.Query):
        yield tree
    elif isinstance(tree, exp.Create | exp.Insert):
        if isinstance(tree.expression, exp.Query):
            yield tree.expression
    elif isinstance(tree, exp.Merge):
        using = tree.args["using"]
        yield exp.select("*").from_(using.copy())
        compared = exp.select(tree.args["on"].copy().as_("same"))
        yield compared.from_(using.copy()).join(tree.this.copy(), join_type="cross")
    else:
        yield from (q for q in tree.find_all(exp.Select) if not q.find_ancestor(exp.Select))


def _changes_rows(tree: exp.Expression) -> bool:
    if isinstance(tree, exp.Merge):
        return any(
            not isinstance(when.args["then"], exp.Insert) for when in tree.find_all(exp.When)
        )
    return isinstance(tree, exp.Update | exp.Delete)


def _columns(query: exp.Query, columns: Columns) -> Iterator[tuple[str, set[str]]]:
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for table in {_name(table) for table in query.find_all(exp.Table)} & columns.keys():
        dataset, name = table.split(".")
        schema.setdefault(dataset, {})[name] = dict.fromkeys(columns[table], "STRING")
    try:
        resolved = qualify(
            query.copy(),
            dialect="bigquery",
            schema=schema,
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
        )
    except OptimizeError:  # of a temporary table nobody knows the columns
        yield from _named(query, columns)
        return
    for scope in traverse_scope(pushdown_projections(resolved)):
        rows = {row.name for row in scope.find_all(exp.TableColumn)}  # as in TO_JSON_STRING(t)
        for alias, source in scope.sources.items():
            if isinstance(source, exp.Table):
                names = {column.name for column in scope.columns if column.table in (alias, "")}
                known = set(columns.get(_name(source), names))
                yield _name(source), known if alias in rows or "*" in names else names & known


def _named(query: exp.Query, columns: Columns) -> Iterator[tuple[str, set[str]]]:
    """Of each table the columns of all that the query names."""
    names = {column.name for column in query.find_all(exp.Column)}
    own = {cte.alias for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if table.name not in own:
            yield _name(table), names.intersection(columns.get(_name(table), names))


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}" if table.db else table.name
