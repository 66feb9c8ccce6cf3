"""Every line of the list of what is allowed, filled with edge values, on DuckDB beside Google's reference executor.

DuckDB is reached as a build reaches it, through the transpile; the executor shares nothing with it.
"""

import datetime as dt
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from st_kpi.columns import ColumnType
from st_kpi.errors import WarehouseError
from st_kpi.kpis.definitions.allowed import EXPRESSIONS, PLACEHOLDERS
from st_kpi.kpis.definitions.lint import inspect
from st_kpi.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support import edges, googlesql

pytestmark = pytest.mark.long

LINES = [line for group in EXPRESSIONS.values() for line in group]
WINDOWS = EXPRESSIONS["Windows"]
AGGREGATES = EXPRESSIONS["Aggregates"]
ARRAYS = [line for line in EXPRESSIONS["JSON and arrays"] if "VALUE" not in line]
PYTHON = {
    "INT64": int, "NUMERIC": Decimal, "STRING": str, "BOOL": bool, "DATE": dt.date, "TIMESTAMP": dt.datetime,
}  # fmt: skip
#: Above it a NUMERIC fails on DuckDB where its decimals leave no room: louder, and not another number.
ROOM = Decimal(10) ** 20
FAILS = "fails"


def _table(kind: str) -> str:
    return f"st_staging.edges_{kind}"


def _scalars() -> Iterator[tuple[str, str]]:
    for line in LINES:
        if line not in (*WINDOWS, *AGGREGATES, *ARRAYS):
            for text in filter(edges.operands, edges.spelled(line)):
                for zone in edges.ZONES if "@timezone" in text else ("UTC",):
                    yield text, zone


def _arrays() -> Iterator[tuple[str, str]]:
    """The elements of arrays; of those that grow with their operands, where they stay short."""
    short = {"whole": "BETWEEN -3 AND 10", "day": "BETWEEN DATE '2024-02-01' AND DATE '2025-03-31'"}
    for line in ARRAYS:
        for text in edges.spelled(line):
            columns = edges.operands(text)
            kept = [f"({c} IS NULL OR {c} {short[kind]})" for c, kind in columns.items()
                    if "GENERATE" in line]  # fmt: skip
            element = "JSON_VALUE(element, '$.key')" if "json" in columns else "element"
            rows = f"({edges.source(columns, _table)}) AS t CROSS JOIN UNNEST({text}) AS element"
            where = " AND ".join((*kept, "TRUE"))
            yield f"{text}, its elements", f"SELECT id, {element} AS v FROM {rows} WHERE {where}"


def _grouped() -> Iterator[tuple[str, str]]:
    """Aggregates over NULL alone, over some rows, over many and over none."""
    group = "CASE WHEN id = 0 THEN 0 WHEN id < 4 THEN 1 ELSE 2 END"
    for line in AGGREGATES:
        for text in edges.spelled(line):
            columns = edges.operands(text) or {"text": "text"}
            if len(columns) > 1:  # rows that are equal in the one would come in any order
                continue
            rows = f"({edges.source(columns, _table)}) AS t"
            yield text, f"SELECT {group} AS id, {text} AS v FROM {rows} GROUP BY {group}"
            yield f"{text}, of no rows", f"SELECT {text} AS v FROM {rows} WHERE id < 0"


def _windowed() -> Iterator[tuple[str, str]]:
    """Windows over values in their order, with NULLs, and backwards."""
    for line in (*WINDOWS, *AGGREGATES):
        if "DISTINCT" in line or "_AGG" in line:
            continue
        for text in edges.spelled(line):
            for name, kind in (edges.operands(text) or {c: c for c in edges.EDGES}).items():
                if kind == "json":
                    continue
                rows = f"({edges.source({name: kind}, _table)}) AS t"
                for order in (name, f"{name} DESC"):
                    ordered = order if "RANK" in line else f"{order}, id"
                    window = f"{text} OVER (PARTITION BY id < 5 ORDER BY {ordered})"
                    yield window, f"SELECT id, {window} AS v FROM {rows}"


TEXTS, WHOLES, NUMBERS, DAYS = (_table(kind) for kind in ("text", "whole", "number", "day"))
WRITTEN_TEXTS = (
    r"'it\'s'", '''"it's"''', r"'\t\n\\'", r"r'\d\\'", "\'\'\'a 'b' c\'\'\'", r"'\u00e9\U0001F600'", r"'\x41\101'", "'$1 :x @y ?'",
    "'-- no comment'", "'/* nor this */'", r"'a\\_'", "''",
)  # fmt: skip
WRITTEN_VALUES = (
    "DATE '2025-01-31'", "DATE '0001-01-01'", "DATE '9999-12-31'", "NUMERIC '-1.5'", "NUMERIC '0.000000001'",
    "NUMERIC '99999999999999999999.999999999'", "TIMESTAMP '2025-01-31 12:30:00+00'",
    "TIMESTAMP '1969-12-31 23:59:59.999999+00'", "9223372036854775807", "TRUE", "CAST(NULL AS DATE)",
)  # fmt: skip
WRITTEN_SUMS = (
    "50000 * 50000",
    "2147483647 + 1",
    "-2147483647 - 2",
    "IF(TRUE, 2147483647, 0) + 1",
    "32768 * 65536",
)


def _selected(values: tuple[str, ...]) -> str:
    return f"SELECT {', '.join(f'{value} AS v{n}' for n, value in enumerate(values))}"


CLAUSES = {
    "a left join on what may be NULL": f"SELECT a.n, b.v FROM {WHOLES} AS a LEFT JOIN {WHOLES} AS b ON b.v = a.v",
    "a full join": f"SELECT a.n, b.n AS m FROM {WHOLES} AS a FULL JOIN {TEXTS} AS b ON b.n = a.v",
    "a right join": f"SELECT a.n, b.n AS m FROM {WHOLES} AS a RIGHT JOIN {DAYS} AS b ON b.n = a.v",
    "a join on texts": f"SELECT a.n, b.n AS m FROM {TEXTS} AS a JOIN {TEXTS} AS b ON LOWER(b.v) = LOWER(a.v)",
    "USING": f"SELECT n, a.v, b.v AS w FROM {WHOLES} AS a FULL JOIN {TEXTS} AS b USING (n)",
    "DISTINCT": f"SELECT DISTINCT LOWER(v) AS v FROM {TEXTS}",
    "groups of NULL and of texts that look alike": f"SELECT v, COUNT(*) AS m FROM {TEXTS} GROUP BY v",
    "HAVING": f"SELECT LENGTH(v) AS v, COUNT(*) AS m FROM {TEXTS} GROUP BY LENGTH(v) HAVING COUNT(*) > 1",
    "UNION DISTINCT": f"SELECT v FROM {TEXTS} UNION DISTINCT SELECT LOWER(v) FROM {TEXTS}",
    "UNION ALL of an INT64 and a NUMERIC": f"SELECT v FROM {WHOLES} UNION ALL SELECT v FROM {NUMBERS}",
    "the first by order": f"SELECT n FROM {TEXTS} ORDER BY v, n LIMIT 5",
    "the last by order": f"SELECT n FROM {TEXTS} ORDER BY v DESC, n LIMIT 20",
    "NULLS FIRST": f"SELECT n FROM {DAYS} ORDER BY v DESC NULLS FIRST, n LIMIT 3",
    "NULLS LAST": f"SELECT n FROM {DAYS} ORDER BY v NULLS LAST, n LIMIT 3",
    "QUALIFY": f"SELECT n FROM {TEXTS} QUALIFY ROW_NUMBER() OVER (PARTITION BY LENGTH(v) ORDER BY v DESC, n) = 1",
    "EXISTS": f"SELECT n FROM {WHOLES} AS a WHERE EXISTS(SELECT 1 FROM {TEXTS} AS b WHERE b.n = a.v)",
    "NOT EXISTS": f"SELECT n FROM {WHOLES} AS a WHERE NOT EXISTS(SELECT 1 FROM {TEXTS} AS b WHERE b.n = a.v)",
    "a query as value": f"SELECT n, v = (SELECT MAX(v) FROM {NUMBERS}) AS v FROM {NUMBERS}",
    "WITH": f"WITH days AS (SELECT n, v FROM {DAYS}) SELECT a.n, b.v FROM days AS a CROSS JOIN days AS b",
    "whole numbers that are written alone": _selected(WRITTEN_SUMS),
    "whole numbers of a column that is written": f"SELECT v * 40000 AS v, v + 2147483647 AS w FROM ({_selected(('50000',)).replace('v0', 'v')}) AS a",
    "texts as they are written": _selected(WRITTEN_TEXTS),
    "values as they are written": _selected(WRITTEN_VALUES),
}  # fmt: skip

#: Those over the same columns one after the other: their rows are written once.
SCALARS = sorted(_scalars(), key=lambda scalar: str(edges.operands(scalar[0])))
STATEMENTS = dict((*_arrays(), *_grouped(), *_windowed())) | CLAUSES


@pytest.fixture(scope="module")
def warehouse() -> Iterator[DuckDBWarehouse]:
    made = DuckDBWarehouse(":memory:")
    made.ensure([])
    for kind, values in edges.EDGES.items():
        columns = [("n", ColumnType.INT64), ("v", ColumnType(PLACEHOLDERS[kind]))]
        made.write_table(_table(kind), columns, list(enumerate(values)))
    yield made
    made.close()


@pytest.mark.parametrize(("text", "zone"), SCALARS, ids=[" in ".join(s) for s in SCALARS])
def test_an_expression_has_the_same_value(warehouse: DuckDBWarehouse, text: str, zone: str) -> None:
    columns = edges.operands(text)
    rows = edges.rows(columns)
    theirs, kind = _google(tuple(columns.items()), zone)[text]
    source = edges.source(columns, _table)
    ours = _ours(warehouse, f"SELECT id, {text} AS v FROM ({source}) AS t", len(rows), zone)
    different = [
        (row, their, our)
        for row, their, our in zip(rows, theirs, ours, strict=True)
        if not _same(their, our, kind)
    ]
    assert different == []
    assert any(value is not FAILS and value is not None for value in theirs), "nothing was compared"


def test_the_lint_allows_every_line_and_knows_its_type(tmp_path: Path) -> None:
    texts = {text: kind for kind, each in _by_type().items() for text in each}
    columns = {name: kind for text in texts for name, kind in edges.operands(text).items()}
    nulls = ", ".join(f"CAST(NULL AS {PLACEHOLDERS[kind]}) AS {c}" for c, kind in columns.items())
    lines = ",\n".join(f"{text} AS v{n}" for n, text in enumerate(texts))
    files = {"rows": f"SELECT {nulls}", "made": f"SELECT {lines}\nFROM st_staging.rows"}
    for name, sql in files.items():
        header = f"-- Rows of a test.\n-- table: st_staging.{name}\n"
        (tmp_path / f"{name}.sql").write_text(header + sql, encoding="utf-8")
    project = inspect(tmp_path)
    assert project.findings == ()
    assert list(project.tables["st_staging.made"].values()) == [
        PLACEHOLDERS[kind] for kind in texts.values()
    ]


@pytest.mark.parametrize("seed", range(4))
def test_expressions_within_expressions_have_the_same_values(
    warehouse: DuckDBWarehouse, seed: int
) -> None:
    chance = random.Random(seed)
    texts = [
        edges.composed(chance, _by_type(), text, depth=2)
        for text in chance.sample([t for t, zone in SCALARS if zone == "UTC"], 40)
    ]
    rows = edges.some_rows(chance, 60)
    columns = {"id": "INT64"} | {name: PLACEHOLDERS[kind] for name, kind in edges.COLUMNS.items()}
    warehouse.write_table(
        "st_staging.rows",
        [(name, ColumnType(kind)) for name, kind in columns.items()],
        [list(row.values()) for row in rows],
    )
    theirs = _answers(texts, googlesql.table_of(columns, rows), "UTC")
    for text in texts:
        ours = _ours(warehouse, f"SELECT id, {text} AS v FROM st_staging.rows", len(rows), "UTC")
        values, kind = theirs[text]
        different = [
            (row, their, our)
            for row, their, our in zip(rows, values, ours, strict=True)
            if FAILS not in (their, our)
            and not _same(their, our, kind)  # which branch fails is left open
        ]
        assert (text, different) == (text, [])


@cache
def _by_type() -> dict[str, list[str]]:
    """The expressions by the placeholder that each may stand for."""
    names = {kind: name for name, kind in PLACEHOLDERS.items()}
    found: dict[str, list[str]] = {}
    for text, zone in SCALARS:
        if zone == "UTC":
            kind = _google(tuple(edges.operands(text).items()), zone)[text][1]
            found.setdefault(names[kind], []).append(text)
    return found


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_has_the_same_rows(warehouse: DuckDBWarehouse, name: str) -> None:
    ours = [list(row.values()) for row in warehouse.query(STATEMENTS[name])]
    assert sorted(map(_told, ours)) == sorted(map(_told, _google_rows()[name]))
    assert ours


@cache
def _google_rows() -> dict[str, list[list[Any]]]:
    """The rows of all statements, of one query: the edge values are written once."""
    tables = ", ".join(f"{_name(_table(kind))} AS {_written(kind)}" for kind in edges.EDGES)
    parts = []
    for n, sql in enumerate(STATEMENTS.values()):
        columns = sqlglot.parse_one(sql, read="bigquery").named_selects
        pairs = ", ".join(f"[TO_JSON_STRING(a.{c}), TYPEOF(a.{c})] AS {c}" for c in columns)
        parts.append(
            f"SELECT {n} AS n, TO_JSON_STRING(STRUCT({pairs})) AS row FROM ({_name(sql)}) AS a"
        )
    answers = googlesql.executed(f"WITH {tables} {' UNION ALL '.join(parts)}", {})
    rows: dict[str, list[list[Any]]] = {name: [] for name in STATEMENTS}
    names = list(STATEMENTS)
    for answer in answers:
        values = json.loads(answer["row"]).values()
        rows[names[answer["n"]]].append([_decoded(json.loads(v), kind) for v, kind in values])
    return rows


def _name(sql: str) -> str:
    """The tables by names that a WITH can give."""
    return sql.replace("st_staging.", "st_staging_")


def _told(row: list[Any]) -> str:
    """A row as a text, of equal values the same one."""
    return repr(
        [
            v.normalize() if isinstance(v, Decimal)
            else v.astimezone(dt.UTC).isoformat() if isinstance(v, dt.datetime)
            else v
            for v in row
        ]
    )  # fmt: skip


def _same(theirs: Any, ours: Any, kind: str) -> bool:
    if ours is FAILS and isinstance(theirs, Decimal) and abs(theirs) >= ROOM:
        return True
    typed = ours is None or ours is FAILS or type(ours) is PYTHON[kind]
    return typed and bool(theirs == ours)


@cache
def _google(columns: tuple[tuple[str, str], ...], zone: str) -> dict[str, tuple[list[Any], str]]:
    """Values and type of all expressions over these columns, of one query."""
    texts = [t for t, z in SCALARS if z == zone and tuple(edges.operands(t).items()) == columns]
    return _answers(texts, edges.source(dict(columns), _written), zone)


def _answers(texts: list[str], rows: str, zone: str) -> dict[str, tuple[list[Any], str]]:
    """Values and type of expressions over the rows of a query, in the order of their ids."""
    guarded = ", ".join(
        f"NULLIFERROR({text}) AS v{n}, ISERROR({text}) AS e{n}, TYPEOF({text}) AS k{n}"
        for n, text in enumerate(texts)
    )
    select = f"SELECT t.id, {guarded} FROM ({rows}) AS t"
    answers = googlesql.executed(select, {"timezone": googlesql.literal(zone, "STRING")})
    answers.sort(key=lambda answer: answer["id"])
    return {
        text: (
            [FAILS if a[f"e{n}"] else _decoded(a[f"v{n}"], a[f"k{n}"]) for a in answers],
            answers[0][f"k{n}"],
        )
        for n, text in enumerate(texts)
    }


def _ours(warehouse: DuckDBWarehouse, select: str, rows: int, zone: str) -> list[Any]:
    """The values of DuckDB; where a row makes the statement fail, of each row alone."""
    try:
        answers = warehouse.query(f"{select} ORDER BY id", {"timezone": zone})
        return [answer["v"] for answer in answers]
    except WarehouseError:
        return [_alone(warehouse, select, key, zone) for key in range(rows)]


def _alone(warehouse: DuckDBWarehouse, select: str, key: int, zone: str) -> Any:
    try:
        (answer,) = warehouse.query(f"{select} WHERE id = @build", {"timezone": zone, "build": key})
        return answer["v"]
    except WarehouseError:
        return FAILS


@cache
def _written(kind: str) -> str:
    rows = [{"n": n, "v": value} for n, value in enumerate(edges.EDGES[kind])]
    return f"({googlesql.table_of({'n': 'INT64', 'v': PLACEHOLDERS[kind]}, rows)})"


def _decoded(value: Any, kind: str) -> Any:
    """A value of ``googlesql.executed`` as Python has it."""
    if value is None or kind in ("STRING", "BOOL"):
        return value
    if kind in ("INT64", "NUMERIC"):
        return PYTHON[kind](str(value))
    return PYTHON[kind].fromisoformat(value)  # type: ignore[attr-defined]
