"""What the two engines read differently and the transpile does not put right: forbidden, with a way around."""

from sqlglot import exp

from st_kpi.kpis.definitions.findings import Violations, function_name, line_of
from st_kpi.kpis.definitions.statements import Statement

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


_KINDS = tuple(kind for kind, _, _ in _FORBIDDEN_NODES)


def portable(statement: Statement) -> Violations:
    """Functions and forms that the engines read differently."""
    for node in statement.found(exp.Expr):
        message = _unportable(node)
        if message:
            yield line_of(node), message


def _unportable(node: exp.Expr) -> str | None:
    if isinstance(node, _KINDS):
        name, instead = next((n, i) for kind, n, i in _FORBIDDEN_NODES if isinstance(node, kind))
        return f"{name} is read differently by the two engines: {instead}."
    if isinstance(node, exp.Func):
        name = function_name(node)
        if name in _FORBIDDEN_FUNCTIONS:
            return f"{name} is read differently by the two engines: {_FORBIDDEN_FUNCTIONS[name]}."
    elif isinstance(node, exp.Dot) and node.this.name.upper() == "SAFE":
        return "The SAFE. prefix is known to one engine only: use SAFE_CAST or SAFE_DIVIDE."
    if isinstance(node, exp.Unnest) and node.args.get("offset"):
        return "WITH OFFSET counts from 0 here and from 1 there: load the position as a column."
    return None


def casts(statement: Statement) -> Violations:
    for node in statement.found(exp.Cast):
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
