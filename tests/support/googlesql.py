"""Google's SQL analyzer and reference executor, behind the few calls that the tests need.

The package runs Google's code in WebAssembly. Compiling it takes up to a minute on a new machine and a
second once the result is kept, which the cache of wasmtime does for all later processes.
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pytest

ColumnTypes = Mapping[str, str]

wasmtime = pytest.importorskip(
    "wasmtime",
    reason="the dev extra is not installed: no zetasql to compare with",
    exc_type=ImportError,
)
wasm_client = pytest.importorskip(
    "zetasql.core.wasm_client",
    reason="the dev extra is not installed: no zetasql to compare with",
    exc_type=ImportError,
)


class _Cached(wasmtime.Config):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.cache = True


wasm_client.Config = _Cached  # before the first use: the client makes its own from this name

import zetasql.types as Z  # noqa: E402
from zetasql.api import CatalogBuilder, PreparedQuery, TableBuilder  # noqa: E402
from zetasql.core.local_service import ZetaSqlLocalService  # noqa: E402
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2  # noqa: E402

_KINDS = {
    "INT64": Z.TypeKind.TYPE_INT64,
    "STRING": Z.TypeKind.TYPE_STRING,
    "BOOL": Z.TypeKind.TYPE_BOOL,
    "NUMERIC": Z.TypeKind.TYPE_NUMERIC,
    "FLOAT64": Z.TypeKind.TYPE_DOUBLE,
    "TIMESTAMP": Z.TypeKind.TYPE_TIMESTAMP,
    "DATE": Z.TypeKind.TYPE_DATE,
    "JSON": Z.TypeKind.TYPE_JSON,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def analyzed(
    sql: str, tables: Mapping[str, ColumnTypes], parameters: ColumnTypes
) -> dict[str, str]:
    """Names and types of the columns a statement returns; raises with ``[at line:column]``."""
    columns = _analyzed(sql, tables, parameters).resolved_query_stmt_node.output_column_list
    return {c.name: _NAMES.get(c.column.type.type_kind, str(c.column.type)) for c in columns}


def refused(sql: str, tables: Mapping[str, ColumnTypes], parameters: ColumnTypes) -> str | None:
    """What Google's analyzer has against a statement of any kind; None where that is nothing."""
    try:
        _analyzed(sql, tables, parameters)
    except wasm_client.ServerError as error:
        return f"{error}: {' '.join(sql.split())[:300]}"
    return None


def _analyzed(sql: str, tables: Mapping[str, ColumnTypes], parameters: ColumnTypes) -> Any:
    # The catalog goes to the analyzer with each statement: no table that it does not name.
    named = {name: columns for name, columns in tables.items() if name in sql}
    catalog = _catalog(tuple((name, tuple(columns.items())) for name, columns in named.items()))
    text = _quoted(sql, named)
    for name in sorted(parameters, key=len, reverse=True):
        text = text.replace(f"@{name}", f"CAST(NULL AS {parameters[name]})")
    request = Z.AnalyzeRequest(sql_statement=text, options=_options(), simple_catalog=catalog)
    # As it comes: to make an object of each node takes longer than the analysis, and only the columns are looked at.
    answer = ZetaSqlLocalService.get_instance().wasm_client.call_grpc_func(
        "ZetaSqlLocalService_Analyze", request.to_proto(), local_service_pb2.AnalyzeResponse
    )
    return answer.resolved_statement


def executed(sql: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a query without tables, parameters being literals; every value as JSON holds it."""
    text = sql
    for name in sorted(parameters, key=len, reverse=True):
        text = text.replace(f"@{name}", parameters[name])
    text = f"SELECT TO_JSON_STRING(answer) FROM (\n{text}\n) AS answer"
    builder = PreparedQuery.builder().set_sql(text).set_analyzer_options(_options())
    with builder.set_registered_catalog_id(_without_tables()).prepare() as query:
        answer = query.execute().content.table_data
    rows = answer.row if answer else []
    return [json.loads(row.cell[0].string_value) for row in rows]


def table_of(columns: ColumnTypes, rows: Iterable[Mapping[str, Any]]) -> str:
    """A SELECT that returns ``rows``, typed by ``columns``."""
    fields = ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
    values = ",\n".join(
        f"({', '.join(literal(row.get(name), kind) for name, kind in columns.items())})"
        for row in rows
    )
    return f"SELECT * FROM UNNEST(ARRAY<STRUCT<{fields}>>[\n{values}])"


def literal(value: Any, kind: str) -> str:
    """A value as GoogleSQL writes it."""
    if value is None:
        return "NULL"
    if kind.startswith("ARRAY"):
        return f"CAST([{', '.join(literal(v, 'STRING') for v in value)}] AS {kind})"
    if kind in ("STRING", "JSON"):
        text = json.dumps(str(value), ensure_ascii=False)  # GoogleSQL knows no surrogates
        return f"JSON {text}" if kind == "JSON" else text
    if kind == "TIMESTAMP":
        assert isinstance(value, dt.datetime)
        return f"TIMESTAMP '{value.astimezone(dt.UTC).isoformat(sep=' ')}'"
    if kind in ("DATE", "NUMERIC"):
        return f"{kind} '{value:f}'" if isinstance(value, Decimal) else f"{kind} '{value}'"
    return str(value)


def comparable(value: Any) -> Any:
    """A value of the other engine as ``executed`` returns it."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else f"{value:f}".rstrip("0")
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, dt.date) else value


@lru_cache(maxsize=1)
def _language() -> Any:
    language = Z.LanguageOptions.maximum_features()
    language.product_mode = Z.ProductMode.PRODUCT_EXTERNAL
    language.reserved_keywords = ["QUALIFY"]  # else QUALIFY needs a WHERE before it
    language.supported_statement_kinds = []  # all of them
    return language


@lru_cache(maxsize=1)
def _options() -> Any:
    return Z.AnalyzerOptions(
        language_options=_language(),
        default_timezone="UTC",
        error_message_mode=Z.ErrorMessageMode.ERROR_MESSAGE_ONE_LINE,
    )


@lru_cache(maxsize=1)
def _without_tables() -> int:
    """A catalog of functions alone that the analyzer keeps: to fill one anew takes as long as a short query."""
    service = ZetaSqlLocalService.get_instance()
    registered: int = service.register_catalog(simple_catalog=_catalog(())).registered_id
    return registered


@lru_cache(maxsize=4)
def _catalog(tables: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> Any:
    builder = CatalogBuilder("warehouse")
    for name, columns in tables:
        table = TableBuilder(name)
        for column, kind in columns:
            table = table.add_column(column, _KINDS[kind])
        builder = builder.add_table(table.build())
    functions = Z.ZetaSQLBuiltinFunctionOptions(language_options=_language())
    return builder.with_builtin_functions(functions).build()


def _quoted(sql: str, tables: Iterable[str]) -> str:
    """Dotted names as one quoted path, as the catalog has them."""
    names = set(tables)
    return re.sub(
        r"\bst_[a-z]+\.[a-z_][a-z0-9_]*\b", lambda m: f"`{m[0]}`" if m[0] in names else m[0], sql
    )
