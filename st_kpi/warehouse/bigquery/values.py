"""Statements on their way to BigQuery: values as typed parameters, tables under other names, rows on their way back."""

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import sqlglot
from google.cloud.bigquery import (
    ArrayQueryParameter,
    ScalarQueryParameter,
    ScalarQueryParameterType,
    StructQueryParameter,
    StructQueryParameterType,
)
from google.cloud.bigquery.table import RowIterator
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from st_kpi.columns import Columns, ColumnType
from st_kpi.parameters import PARAMETERS
from st_kpi.warehouse.base import Params
from st_kpi.warehouse.system_tables import SCHEMAS

Parameter = ScalarQueryParameter | ArrayQueryParameter

_NINE = Decimal("1e-9")
_EXACT = Context(prec=38)


def query_parameters(sql: str, params: Params | None) -> list[Parameter]:
    """The parameters that the statement or script names, each of the type of its value.

    A None or an empty list has the type that the KPI SQL declares for a parameter of this name, else STRING.
    """
    return [_parameter(name, (params or {})[name]) for name in parameters_in(sql)]


def named_parameters(params: Params, names: Collection[str]) -> list[Parameter]:
    """Those of ``params`` that are among the names, each of the type of its value."""
    return [_parameter(name, value) for name, value in params.items() if name in names]


def rows_parameter(
    columns: Columns, rows: Iterable[Sequence[Any]], name: str = "rows"
) -> ArrayQueryParameter:
    """The rows as one parameter, by default ``@rows``, an array of structs; JSON travels as text."""
    structs = [
        StructQueryParameter(
            None,
            *(
                ScalarQueryParameter(name, sent_type(column_type), value)
                for (name, column_type), value in zip(columns, row, strict=True)
            ),
        )
        for row in rows
    ]
    types = [
        ScalarQueryParameterType(sent_type(kind), name=column)  # type: ignore[no-untyped-call]
        for column, kind in columns
    ]
    # Said of no rows too, from which nobody could tell it.
    row = StructQueryParameterType(*types)  # type: ignore[no-untyped-call]
    return ArrayQueryParameter(name, row, structs)


def rows_select(columns: Columns) -> str:
    """The SELECT of the columns from ``@rows``."""
    return f"SELECT {parsed(columns, 'sent')} FROM UNNEST(@rows) AS sent"


def sent_type(column_type: ColumnType) -> str:
    """The type that values of a column have on their way to BigQuery."""
    return str(ColumnType.STRING if column_type is ColumnType.JSON else column_type)


def parsed(columns: Columns, alias: str) -> str:
    """The columns of rows as they were sent, of which JSON is text."""
    return ", ".join(
        f"PARSE_JSON({alias}.`{name}`, wide_number_mode=>'round') AS `{name}`"
        if column_type is ColumnType.JSON
        else f"{alias}.`{name}`"
        for name, column_type in columns
    )


def quoted(names: Iterable[str], alias: str = "") -> str:
    """The columns of these names, as a list in a statement."""
    return ", ".join(f"{alias}.`{name}`" if alias else f"`{name}`" for name in names)


def row_values(rows: RowIterator) -> list[dict[str, Any]]:
    """The rows as every engine gives them; see ``each_row``."""
    return list(each_row(rows))


def each_row(rows: RowIterator) -> Iterator[dict[str, Any]]:
    """The rows page by page: NUMERIC with nine decimals, TIMESTAMP in UTC, JSON as its text."""
    numbers = [field.name for field in rows.schema if field.field_type == "NUMERIC"]
    documents = [field.name for field in rows.schema if field.field_type == "JSON"]
    for row in rows:
        values: dict[str, Any] = dict(row.items())
        for name in numbers:
            if values[name] is not None:
                values[name] = values[name].quantize(_NINE, context=_EXACT)
        for name in documents:
            if values[name] is not None:
                values[name] = json.dumps(values[name], ensure_ascii=False, separators=(",", ":"))
        yield values


def renamed(sql: str, names: Mapping[str, str]) -> str:
    """The statement with tables exchanged, by their ``schema.name``; their rows are still called as before."""
    pieces, position = [], 0
    for found in _tables(sql):
        if found.table in names:
            is_unnamed = found.is_read and found.named_until == found.end
            as_before = f" AS {found.table.split('.')[1]}" if is_unnamed else ""
            pieces += [sql[position : found.start], names[found.table], as_before]
            position = found.end
    return "".join([*pieces, sql[position:]])


def as_of(sql: str, moment: str, is_meant: Callable[[str], bool]) -> str:
    """The SELECT with some of its tables read as they were at a moment, which is a TIMESTAMP's text."""
    pieces, position = [], 0
    for found in _tables(sql):
        if found.is_read and is_meant(found.table):
            then = f" FOR SYSTEM_TIME AS OF TIMESTAMP '{moment}'"
            pieces += [sql[position : found.named_until], then]
            position = found.named_until
    return "".join([*pieces, sql[position:]])


def tables_in(sql: str) -> set[str]:
    """Every table of our schemas that the text names, as ``schema.name``."""
    return {found.table for found in _tables(sql)}


def numbered(sql: str, number: int) -> str:
    """The statement with a number on each of its parameters, so that it can stand beside others in one script."""
    pieces, position = [], 0
    for name in _marked(sql):
        pieces += [sql[position : name.end + 1], f"_{number}"]
        position = name.end + 1
    return "".join([*pieces, sql[position:]])


def joinable(sql: str) -> str:
    """The statement or condition with comparisons that know NULL as BigQuery can join by them.

    It joins by equalities alone, and ``IS NOT DISTINCT FROM`` is none to it; as JSON, NULL is a text like others.
    """
    if "IS NOT DISTINCT FROM" not in sql:
        return sql
    tree = sqlglot.parse_one(sql, read="bigquery")

    def compared(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.NullSafeEQ):
            sides = (
                exp.func("TO_JSON_STRING", side.copy()) for side in (node.this, node.expression)
            )
            return exp.EQ(this=next(sides), expression=next(sides))
        return node

    return tree.transform(compared).sql(dialect="bigquery")


@lru_cache(maxsize=1024)
def written_table(sql: str) -> str:
    """The table that an INSERT, UPDATE or DELETE writes; raises ``ValueError`` for any other statement."""
    tree = sqlglot.parse_one(sql, read="bigquery")
    if not isinstance(tree, exp.Insert | exp.Update | exp.Delete):
        raise ValueError(f"not an INSERT, UPDATE or DELETE: {sql[:60]}")
    table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    return f"{table.db}.{table.name}"


class _Found(NamedTuple):
    """Where a text names a table of ours, and until where its rows get a name; ``is_read``: in a FROM."""

    start: int
    end: int
    table: str
    is_read: bool
    named_until: int


def _tables(sql: str) -> Iterator[_Found]:
    """Every place where the text names a table of ours."""
    tokens = sqlglot.tokenize(sql, read="bigquery")
    for at in range(len(tokens) - 2):
        schema, dot, name = tokens[at : at + 3]
        if schema.text not in SCHEMAS or dot.token_type is not TokenType.DOT:
            continue
        last, after = name, tokens[at + 3 : at + 5]
        if after and _is_alias(after[0]):
            last = after[1] if after[0].token_type is TokenType.ALIAS else after[0]
        is_read = at > 0 and tokens[at - 1].token_type in _READS
        table = f"{schema.text}.{name.text}"
        yield _Found(schema.start, name.end + 1, table, is_read, last.end + 1)


@lru_cache(maxsize=1024)
def parameters_in(sql: str) -> tuple[str, ...]:
    """The parameters that a statement or script names."""
    return tuple(sorted({token.text for token in _marked(sql)}))


def _marked(sql: str) -> list[Token]:
    """The names after an @; after two it is one of BigQuery's own."""
    tokens = sqlglot.tokenize(sql, read="bigquery")
    is_mark = [token.token_type is TokenType.PARAMETER for token in tokens]
    return [
        name
        for n, name in enumerate(tokens)
        if n and is_mark[n - 1] and not is_mark[n] and not (n > 1 and is_mark[n - 2])
    ]


_READS = (TokenType.FROM, TokenType.JOIN, TokenType.COMMA)


def _is_alias(token: Token) -> bool:
    return token.token_type in (
        TokenType.ALIAS,
        TokenType.VAR,
        TokenType.IDENTIFIER,
    )


def _parameter(name: str, value: Any) -> Parameter:
    declared = PARAMETERS.get(name, "STRING").removeprefix("ARRAY<").removesuffix(">")
    if isinstance(value, list | tuple):
        return ArrayQueryParameter(name, _type(value[0]) if value else declared, list(value))
    return ScalarQueryParameter(name, declared if value is None else _type(value), value)


def _type(value: object) -> str:
    for python, name in _TYPES:
        if isinstance(value, python):
            return name
    raise TypeError(f"a {type(value).__name__} cannot be a parameter")


#: In this order: True is an int too, and a datetime a date.
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "BOOL"),
    (int, "INT64"),
    (str, "STRING"),
    (Decimal, "NUMERIC"),
    (float, "FLOAT64"),
    (dt.datetime, "TIMESTAMP"),
    (dt.date, "DATE"),
)
