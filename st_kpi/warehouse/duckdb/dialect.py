"""BigQuery's SQL dialect into DuckDB's, keeping the meaning.

sqlglot alone changes the value or type of some constructs without an error (NUMERIC becomes
DECIMAL(18, 3), COUNTIF over nothing becomes NULL, TIMESTAMP_DIFF counts boundaries ...). The rules
here put those right; what they do not is forbidden by ``st_kpi.kpis.definitions.lint``. All of it assumes a
connection with ``TimeZone = 'UTC'``.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

import sqlglot
from sqlglot import exp

from st_kpi.columns import ColumnType

#: As DuckDB itself spells them.
TYPES: dict[ColumnType, str] = {
    ColumnType.INT64: "BIGINT",
    ColumnType.STRING: "VARCHAR",
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.NUMERIC: "DECIMAL(38,9)",
    ColumnType.FLOAT64: "DOUBLE",
    ColumnType.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    ColumnType.DATE: "DATE",
    ColumnType.JSON: "JSON",
}

_BARE_NUMERIC = {exp.DataType.Type.DECIMAL, exp.DataType.Type.BIGDECIMAL}
_ON_DATES = (exp.DateTrunc, exp.DateAdd, exp.DateSub, exp.LastDay)

#: Exact quotient of two NUMERICs, rounded half away from zero at the ninth decimal as BigQuery does,
#: where DuckDB would divide as doubles: both sides become whole billionths, and half the divisor is
#: added before dividing.
_QUOTIENT = """
CASE WHEN :d = 0 THEN NULL ELSE
  CAST('0.000000001' AS DECIMAL(9, 9)) * CAST(
    SIGN(:n) * SIGN(:d) * (
      (CAST(ABS(:n) * CAST(1e9 AS DECIMAL(38, 0)) AS HUGEINT) * CAST(2000000000 AS HUGEINT)
        + CAST(ABS(:d) * CAST(1e9 AS DECIMAL(38, 0)) AS HUGEINT))
      // (CAST(2 AS HUGEINT) * CAST(ABS(:d) * CAST(1e9 AS DECIMAL(38, 0)) AS HUGEINT))
    ) AS DECIMAL(29, 0))
END
"""


def to_duckdb(sql: str) -> str:
    """The same statement in DuckDB's dialect; parameters ``@name`` become ``$name``.

    Raises ``sqlglot.errors.SqlglotError`` for text that is not one statement.
    """
    return _translated(sql)[0]


def parameters(sql: str) -> frozenset[str]:
    """Names of the parameters a BigQuery statement uses: only these may be bound to it."""
    return _translated(sql)[1]


@lru_cache(maxsize=1024)
def _translated(sql: str) -> tuple[str, frozenset[str]]:
    """A statement in DuckDB's dialect, and the names of its parameters."""
    tree = sqlglot.parse_one(sql, read="bigquery")
    names = frozenset(p.name for p in tree.find_all(exp.Parameter))
    for node in reversed(
        list(tree.walk(bfs=True))
    ):  # leaves first: a rule finds its operands already put right
        fixed = _fix(node)
        if fixed is not node:
            if node is tree:
                tree = fixed
            else:
                node.replace(fixed)
    return tree.sql(dialect="duckdb", pretty=True, copy=False), names


def literal(value: str) -> str:
    """A SQL text literal."""
    return "'" + value.replace("'", "''") + "'"


def quoted(names: Iterable[str]) -> str:
    """The columns of these names, as a list in a statement."""
    return ", ".join(f'"{name}"' for name in names)


def _fix(node: exp.Expr) -> exp.Expr:
    """One node as DuckDB needs it; nodes without a rule come back as they are."""
    for kind, rule in _RULES:
        if isinstance(node, kind):
            return rule(node)
    return node


def _numeric(node: exp.Expr) -> exp.Expr:
    if node.this in _BARE_NUMERIC and not node.expressions:
        return exp.DataType.build("DECIMAL(38, 9)", dialect="duckdb")
    return node


def _countif(node: exp.Expr) -> exp.Expr:
    return exp.Count(this=exp.Case(ifs=[exp.If(this=node.this, true=exp.Literal.number(1))]))


def _timestamp_diff(node: exp.Expr) -> exp.Expr:
    """Whole units elapsed, which is DuckDB's ``date_sub``: its ``date_diff`` counts boundaries."""
    unit = exp.Literal.string(node.args["unit"].name.lower())
    return exp.Anonymous(this="DATE_SUB", expressions=[unit, node.expression, node.this])


def _extract(node: exp.Expr) -> exp.Expr:
    part, value = node.this, node.expression
    name = part.this.name if isinstance(part, exp.WeekStart) else part.name.upper()
    if name == "DATE":
        return exp.cast(value, "DATE", dialect="duckdb")
    if name == "DAYOFWEEK":  # BigQuery counts Sunday as 1, DuckDB as 0
        return exp.paren(exp.Add(this=node.copy(), expression=exp.Literal.number(1)))
    if name == "ISOWEEK":
        return exp.Extract(this=exp.var("WEEK"), expression=value)
    if name in ("WEEK", "MONDAY"):
        form = exp.Literal.string("%W" if isinstance(part, exp.WeekStart) else "%U")
        return exp.cast(
            exp.Anonymous(this="STRFTIME", expressions=[value, form]), "BIGINT", dialect="duckdb"
        )
    return node


def _local_date(node: exp.Expr) -> exp.Expr:
    """``DATE(instant, zone)``: sqlglot's own form converts twice."""
    zone = node.args.get("zone")
    if zone is None:
        return node
    return exp.cast(exp.AtTimeZone(this=_operand(node.this), zone=zone), "DATE", dialect="duckdb")


def _as_date(node: exp.Expr) -> exp.Expr:
    if isinstance(node.parent, exp.Cast) and node.parent.to.is_type("date"):
        return node
    return exp.cast(node.copy(), "DATE", dialect="duckdb")


def _sum(node: exp.Expr) -> exp.Expr:
    """A sum of integers stays INT64, where the text shows that it is one (DuckDB: HUGEINT)."""
    if not _whole(node.this) or isinstance(node.parent, exp.Window):
        return node
    return exp.cast(node.copy(), "BIGINT", dialect="duckdb")


def _whole(node: exp.Expr) -> bool:
    if isinstance(node, exp.Literal):
        return node.is_int
    if isinstance(node, exp.Cast):
        return bool(node.to.is_type(*exp.DataType.INTEGER_TYPES))
    if isinstance(node, exp.Case):
        branches = [i.args["true"] for i in node.args["ifs"]]
        return all(_whole(n) for n in (*branches, node.args.get("default")) if n is not None)
    if isinstance(node, exp.If):
        return all(_whole(n) for n in (node.args["true"], node.args.get("false")) if n is not None)
    return False


def _divide(node: exp.Expr) -> exp.Expr:
    n, d = (
        exp.cast(x.copy(), "DECIMAL(38, 9)", dialect="duckdb") for x in (node.this, node.expression)
    )
    text = _QUOTIENT.replace(":n", n.sql("duckdb")).replace(":d", d.sql("duckdb"))
    return exp.paren(sqlglot.parse_one(text, read="duckdb"))


def _operand(node: exp.Expr) -> exp.Expr:
    return node if isinstance(node, (exp.Column, exp.Func, exp.Parameter)) else exp.paren(node)


_RULES: tuple[tuple[type[exp.Expr] | tuple[type[exp.Expr], ...],
                    Callable[[exp.Expr], exp.Expr]], ...] = (
    (exp.DataType, _numeric),
    (exp.CountIf, _countif),
    (exp.TimestampDiff, _timestamp_diff),
    (exp.Extract, _extract),
    (exp.Date, _local_date),
    (_ON_DATES, _as_date),
    (exp.Sum, _sum),
    (exp.SafeDivide, _divide),
)  # fmt: skip
