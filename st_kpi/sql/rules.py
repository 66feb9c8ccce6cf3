"""The rules a statement of ``kpi_sql`` has to keep, each a function to what is wrong.

Two kinds: what would make a number depend on chance or multiply rows, and what the two engines
read differently and ``st_kpi.sql.transpile`` does not put right (each with a way around).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlglot import exp

from st_kpi.sql.statements import CONTRIBUTIONS, Statement, qualified

#: Parameters a file may use, with their BigQuery types.
PARAMETERS: dict[str, str] = {
    "timezone": "STRING",
    "as_of": "DATE",
    "cost_source": "STRING",
    "include_tax": "BOOL",
    "ar_minimum": "NUMERIC",
    "ar_skip_unstarted": "BOOL",
    "produced_excludes": "ARRAY<STRING>",
    "future_bookings_excludes": "ARRAY<STRING>",
    "input_watermark": "TIMESTAMP",
}

#: Schemas a file may read, and those it may fill.
READABLE = ("st_raw", "st_staging", "st_ref", "st_dim", "st_kpi")
FILLABLE = ("st_staging", "st_ref", "st_dim", "st_kpi")


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong: where, which rule, and what to write instead."""

    file: Path
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"


Found = Iterator[tuple[int, str]]
Rule = Callable[[Statement], Found]


def check_statement(statement: Statement) -> list[Finding]:
    """Every finding of every rule on one statement."""
    return [
        Finding(statement.path, line, name, message)
        for name, rule in RULES.items()
        for line, message in rule(statement)
    ]


def line_of(node: exp.Expr) -> int:
    """The line a node starts on: its own, else that of what it contains, else its parent's."""
    if "line" in node.meta:
        return int(node.meta["line"])
    lines = [int(n.meta["line"]) for n in node.walk() if "line" in n.meta]
    if lines:
        return min(lines)
    return line_of(node.parent) if node.parent else 1


def _star(statement: Statement) -> Found:
    for star in statement.tree.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count):
            yield line_of(star), "SELECT * hides which columns are used: name them."


def _division(statement: Statement) -> Found:
    for node in statement.tree.find_all(exp.Div, exp.IntDiv, exp.Mod):
        yield (
            line_of(node),
            "A bare division by zero is an error or infinity: write SAFE_DIVIDE(a, b).",
        )


def _target(statement: Statement) -> Found:
    table = statement.table
    if table is None:
        return
    if table.count(".") != 1 or table.split(".")[0] not in FILLABLE:
        yield 1, f"The target {table} has to be schema.name with a schema of {', '.join(FILLABLE)}."
    if (table == CONTRIBUTIONS) != (statement.kpi is not None):
        yield (
            1,
            f"{CONTRIBUTIONS} is filled by kpis/<kpi>/contributions.sql, and those fill nothing else.",
        )


_CHANCE = (
    exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp, exp.Rand, exp.Uuid,
    exp.AnyValue, exp.SessionUser, exp.TableSample,
)  # fmt: skip


def _deterministic(statement: Statement) -> Found:
    for node in statement.tree.find_all(*_CHANCE):
        yield (
            line_of(node),
            (
                f"{_name(node)} gives another answer on another run: use a parameter such as @as_of,"
                " or an aggregate with an order."
            ),
        )
    for node in statement.tree.find_all(exp.Limit):
        if not node.parent or not node.parent.args.get("order"):
            yield line_of(node), "LIMIT without ORDER BY keeps rows by chance: add an order."
    for node in statement.tree.find_all(exp.Window):
        if isinstance(node.this, (exp.RowNumber, exp.Lag, exp.Lead)) and not node.args.get("order"):
            yield (
                line_of(node),
                "A numbered window without ORDER BY numbers by chance: add an order.",
            )


def _cross_join(statement: Statement) -> Found:
    lines = statement.sql.splitlines()
    for join in statement.tree.find_all(exp.Join):
        if isinstance(join.this, exp.Unnest) or join.args.get("using"):
            continue
        on = join.args.get("on")
        if (on is None or isinstance(on, exp.Boolean)) and "-- cross join:" not in _text(
            lines, join
        ):
            yield (
                line_of(join),
                (
                    "A join without a condition multiplies rows: add ON, or say why on its line with `-- cross join: ...`."
                ),
            )


def _tenant(statement: Statement) -> Found:
    lines = statement.sql.splitlines()
    for join in statement.tree.find_all(exp.Join):
        on = join.args.get("on")
        if on is None or isinstance(on, exp.Boolean) or isinstance(join.this, exp.Unnest):
            continue
        equal = any({e.this.name, e.expression.name} == {"tenant_id"} for e in on.find_all(exp.EQ))
        if not equal and "-- no tenant:" not in _text(lines, join):
            yield (
                line_of(join),
                (
                    "A join has to compare tenant_id, or rows of one company meet another's:"
                    " add it, or say why not on its line with `-- no tenant: ...`."
                ),
            )


def _tables(statement: Statement) -> Found:
    defined = {cte.alias for cte in statement.tree.find_all(exp.CTE)}
    for table in statement.tree.find_all(exp.Table):
        if not table.db and table.name not in defined:
            yield line_of(table), f"Table {table.name} has no schema: write schema.{table.name}."
        elif table.catalog:
            yield (
                line_of(table),
                f"Table {qualified(table)} names a project: write schema.name only.",
            )
        elif table.db and table.db not in READABLE:
            yield line_of(table), f"Schema {table.db} is not one of {', '.join(READABLE)}."
        elif table.db == "st_raw" and statement.table and not _near_source(statement):
            yield (
                line_of(table),
                (
                    f"{qualified(table)} holds inactive rows: read the table of st_staging that leaves them out."
                ),
            )


def _near_source(statement: Statement) -> bool:
    return (statement.table or "").split(".")[0] in ("st_staging", "st_ref")


def _parameters(statement: Statement) -> Found:
    for parameter in statement.tree.find_all(exp.Parameter, exp.Placeholder):
        if parameter.name not in PARAMETERS:
            yield (
                line_of(parameter),
                (
                    f"Parameter @{parameter.name} is not declared; there are @{', @'.join(PARAMETERS)}."
                ),
            )


#: Functions the engines read differently, by the name BigQuery gives them, with the way around.
_FORBIDDEN_FUNCTIONS: dict[str, str] = {
    "FORMAT": "use CONCAT and CAST(... AS STRING)",
    "FORMAT_TIMESTAMP": "the zone is lost: use DATE(instant, @timezone)",
    "FORMAT_DATETIME": "use DATE(instant, @timezone)",
    "FORMAT_DATE": "publish the DATE and leave the format to the reader",
    "TIMESTAMP_MILLIS": "load a TIMESTAMP column",
    "TIMESTAMP_SECONDS": "load a TIMESTAMP column",
    "TIMESTAMP_MICROS": "load a TIMESTAMP column",
    "PARSE_TIMESTAMP": "load a TIMESTAMP column",
    "PARSE_DATETIME": "load a TIMESTAMP column",
    "PARSE_DATE": "use SAFE_CAST(... AS DATE)",
    "AVG": "a ratio is a sum over a sum: SAFE_DIVIDE(SUM(a), SUM(b))",
    "INSTR": "use STRPOS",
    "STRING": "use JSON_VALUE",
    "BOOL": "use JSON_VALUE",
    "LAX_BOOL": "use JSON_VALUE",
    "LAX_INT64": "use JSON_VALUE",
    "LAX_FLOAT64": "use JSON_VALUE",
    "LAX_STRING": "use JSON_VALUE",
    "FARM_FINGERPRINT": "use the key of the row itself",
    "RANGE_BUCKET": "use CASE",
    "IEEE_DIVIDE": "use SAFE_DIVIDE",
    "DIV": "use SAFE_DIVIDE",
    "MOD": "a modulus of zero is an error or NULL",
    "APPROX_COUNT_DISTINCT": "use COUNT(DISTINCT x)",
    "APPROX_QUANTILES": "use PERCENTILE_CONT",
    "MAX_BY": "use QUALIFY ROW_NUMBER()",
    "MIN_BY": "use QUALIFY ROW_NUMBER()",
    "ARRAY_AGG": "its order and LIMIT are lost: use QUALIFY ROW_NUMBER()",
    "CONTAINS_SUBSTR": "use LOWER(x) LIKE '%...%'",
}  # fmt: skip

_FORBIDDEN_NODES: tuple[tuple[type[exp.Expr], str, str], ...] = (
    (exp.Format, "FORMAT", _FORBIDDEN_FUNCTIONS["FORMAT"]),
    (exp.Avg, "AVG", _FORBIDDEN_FUNCTIONS["AVG"]),
    (exp.ArrayAgg, "ARRAY_AGG", _FORBIDDEN_FUNCTIONS["ARRAY_AGG"]),
    (exp.ArgMax, "MAX_BY", _FORBIDDEN_FUNCTIONS["MAX_BY"]),
    (exp.ArgMin, "MIN_BY", _FORBIDDEN_FUNCTIONS["MIN_BY"]),
    (exp.ApproxDistinct, "APPROX_COUNT_DISTINCT", "use COUNT(DISTINCT x)"),
    (exp.UnixToTime, "TIMESTAMP_SECONDS, _MILLIS and _MICROS", "load a TIMESTAMP column"),
    (exp.StrToTime, "PARSE_TIMESTAMP", "load a TIMESTAMP column"),
    (exp.StrToDate, "PARSE_DATE", "use SAFE_CAST(... AS DATE)"),
    (exp.TimeToStr, "FORMAT_DATE and FORMAT_TIMESTAMP", "publish the DATE; its format is the reader's"),
    (exp.Contains, "CONTAINS_SUBSTR", _FORBIDDEN_FUNCTIONS["CONTAINS_SUBSTR"]),
    (exp.Bracket, "[OFFSET(n)]", "one engine fails past the end, the other gives NULL: use JSON_VALUE or a join"),
    (exp.Version, "FOR SYSTEM_TIME", "a build reads what is there"),
    (exp.ParseDatetime, "PARSE_DATETIME", "load a TIMESTAMP column"),
)  # fmt: skip


def _portable(statement: Statement) -> Found:
    for kind, name, instead in _FORBIDDEN_NODES:
        for node in statement.tree.find_all(kind):
            yield line_of(node), f"{name} is read differently by the two engines: {instead}."
    for node in statement.tree.find_all(exp.Func):
        name = _name(node)
        if name in _FORBIDDEN_FUNCTIONS and not isinstance(
            node, tuple(k for k, _, _ in _FORBIDDEN_NODES)
        ):
            yield (
                line_of(node),
                f"{name} is read differently by the two engines: {_FORBIDDEN_FUNCTIONS[name]}.",
            )
    for node in statement.tree.find_all(exp.Dot):
        if node.this.name.upper() == "SAFE":
            yield (
                line_of(node),
                "The SAFE. prefix is known to one engine only: use SAFE_CAST or SAFE_DIVIDE.",
            )
    for node in statement.tree.find_all(exp.Unnest):
        if node.args.get("offset"):
            yield (
                line_of(node),
                "WITH OFFSET counts from 0 here and from 1 there: load the position as a column.",
            )


def _casts(statement: Statement) -> Found:
    for node in statement.tree.find_all(exp.Cast):
        kind = node.to
        if kind.is_type(*exp.DataType.FLOAT_TYPES):
            yield line_of(node), "FLOAT64 is not exact: use NUMERIC."
        elif kind.is_type("bigdecimal"):
            yield line_of(node), "BIGNUMERIC does not fit the other engine: use NUMERIC."
        elif kind.is_type(*exp.DataType.INTEGER_TYPES) and not _whole_source(node):
            yield (
                line_of(node),
                (
                    "A cast to INT64 rounds 2.5 to 3 here and to 2 there: write CAST(ROUND(x) AS INT64)."
                ),
            )


def _whole_source(cast: exp.Cast) -> bool:
    """Casts to INT64 that no engine can round: of NULL, of ROUND, of text out of JSON."""
    return isinstance(cast.this, (exp.Null, exp.Round, exp.JSONExtractScalar, exp.Boolean))


def _text(lines: list[str], node: exp.Expr) -> str:
    line = line_of(node)
    return lines[line - 1] if line <= len(lines) else ""


def _name(node: exp.Expr) -> str:
    """What BigQuery calls a function."""
    if isinstance(node, exp.Anonymous):
        return str(node.name).upper()
    known = node.meta.get("bigquery_name")
    if known:
        return str(known).upper()
    return node.sql_name() if isinstance(node, exp.Func) else type(node).__name__


RULES: dict[str, Rule] = {
    "select-star": _star,
    "bare-division": _division,
    "target": _target,
    "deterministic": _deterministic,
    "cross-join": _cross_join,
    "tenant": _tenant,
    "known-table": _tables,
    "declared-parameter": _parameters,
    "portable": _portable,
    "cast": _casts,
}
