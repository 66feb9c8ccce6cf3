"""The rules a statement of ``kpi_sql`` has to keep, each a function to what is wrong.

What would make a number depend on chance or multiply rows. What the engines read differently is left to
``st_kpi.kpis.definitions.portable``, which needs the types.
"""

from sqlglot import exp

from st_kpi.kpis.definitions.findings import (
    Finding,
    Rule,
    Violations,
    function_name,
    line_of,
)
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS, HistoryUse, Statement, qualified
from st_kpi.parameters import HISTORY_PARAMETERS, PARAMETERS

#: Schemas a file may read (checks and history also what is kept of loads and builds), and those it may fill.
READABLE = ("st_raw", "st_staging", "st_ref", "st_dim", "st_kpi")
READABLE_BESIDE = (*READABLE, "st_ops")
FILLABLE = ("st_staging", "st_ref", "st_dim", "st_kpi")


def check_statement(statement: Statement) -> list[Finding]:
    """Every finding of every rule on one statement."""
    return [
        Finding(statement.path, line, name, message)
        for name, rule in RULES.items()
        for line, message in rule(statement)
    ]


def _star(statement: Statement) -> Violations:
    for star in statement.found(exp.Star):
        if not isinstance(star.parent, exp.Count):
            yield line_of(star), "SELECT * hides which columns are used: name them."


def _division(statement: Statement) -> Violations:
    for node in statement.found(exp.Div, exp.IntDiv, exp.Mod):
        yield (
            line_of(node),
            "A bare division by zero is an error or infinity: write SAFE_DIVIDE(a, b).",
        )


def _target(statement: Statement) -> Violations:
    yield from _place(statement)
    table, schema = statement.table or "", (statement.table or "").split(".")[0]
    if statement.history is not None:
        if statement.history is not HistoryUse.APPEND and schema != "st_staging":
            message = f"{table} outlives the build: a history replaces tables of st_staging alone."
            yield statement.line, message
    elif (table == CONTRIBUTIONS) != (statement.kpi is not None):
        yield (
            statement.line,
            f"{CONTRIBUTIONS} is filled by kpis/<kpi>/contributions.sql, and those fill nothing else.",
        )
    elif statement.is_inline and schema != "st_staging":
        yield statement.line, f"{table} is for readers: inline are tables of st_staging alone."
    elif statement.is_inline and (statement.replaces or statement.incremental_by):
        yield statement.line, "An inline statement is not stored: leave the other headers out."
    elif table and (table.count(".") != 1 or schema not in FILLABLE):
        yield 1, f"The target {table} has to be schema.name with a schema of {', '.join(FILLABLE)}."


def _place(statement: Statement) -> Violations:
    """Whether the file lies in the folder of its kind."""
    folder = statement.path.parent
    if statement.adds and (folder.name != "alternatives" or folder.parent.parent.name != "kpis"):
        yield statement.line, "An alternative stands in kpis/<kpi>/alternatives: move it there."
    if (statement.history is not None) != statement.name.startswith("history/"):
        message = (
            "What tells of a build's changes stands in history, and nothing else does: move it."
        )
        yield statement.line, message


_CHANCE = (
    exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp, exp.Rand, exp.Uuid,
    exp.AnyValue, exp.SessionUser, exp.TableSample,
)  # fmt: skip

#: What these rules have a word for already.
REFUSED_HERE = (*_CHANCE, exp.Div, exp.IntDiv, exp.Mod)

_BY_ORDER = (
    exp.RowNumber, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue, exp.Ntile,
)  # fmt: skip


def _deterministic(statement: Statement) -> Violations:
    for node in statement.found(*_CHANCE):
        yield (
            line_of(node),
            (
                f"{function_name(node)} gives another answer on another run: use a parameter such as @as_of,"
                " or an aggregate with an order."
            ),
        )
    for node in statement.found(exp.Limit):
        if not node.parent or not node.parent.args.get("order"):
            yield line_of(node), "LIMIT without ORDER BY keeps rows by chance: add an order."
    for node in statement.found(exp.Window):
        if isinstance(_plain(node.this), _BY_ORDER) and not node.args.get("order"):
            yield (
                line_of(node),
                "A window that numbers or picks rows does so by chance without ORDER BY: add an order.",
            )
    for node in statement.found(exp.GroupConcat):
        if not node.find(exp.Order):
            yield line_of(node), "STRING_AGG without ORDER BY joins in any order: add an order."


def _plain(node: exp.Expr) -> exp.Expr:
    """A window's function without IGNORE NULLS around it."""
    return node.this if isinstance(node, (exp.IgnoreNulls, exp.RespectNulls)) else node


def _null_comparison(statement: Statement) -> Violations:
    for node in statement.found(exp.EQ, exp.NEQ):
        if isinstance(node.this, exp.Null) or isinstance(node.expression, exp.Null):
            yield (
                line_of(node),
                "A comparison with NULL is never true: write IS NULL or IS NOT NULL.",
            )


def _cross_join(statement: Statement) -> Violations:
    lines = statement.sql.splitlines()
    for join in statement.found(exp.Join):
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


def _tenant(statement: Statement) -> Violations:
    lines = statement.sql.splitlines()
    for join in statement.found(exp.Join):
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


def _tables(statement: Statement) -> Violations:
    beside = statement.severity or statement.history
    readable = READABLE_BESIDE if beside else READABLE
    defined = {cte.alias for cte in statement.found(exp.CTE)}
    for table in statement.found(exp.Table):
        if not table.db and table.name not in defined:
            yield line_of(table), f"Table {table.name} has no schema: write schema.{table.name}."
        elif table.catalog:
            yield (
                line_of(table),
                f"Table {qualified(table)} names a project: write schema.name only.",
            )
        elif table.db and table.db not in readable:
            yield line_of(table), f"Schema {table.db} is not one of {', '.join(readable)}."
        elif table.db == "st_raw" and not beside and not _near_source(statement):
            yield (
                line_of(table),
                (
                    f"{qualified(table)} holds inactive rows: read the table of st_staging that leaves them out."
                ),
            )


def _near_source(statement: Statement) -> bool:
    return (statement.table or "").split(".")[0] in ("st_staging", "st_ref")


def _parameters(statement: Statement) -> Violations:
    declared = HISTORY_PARAMETERS if statement.history else PARAMETERS
    for parameter in statement.found(exp.Parameter, exp.Placeholder):
        if parameter.name not in declared:
            yield (
                line_of(parameter),
                f"Parameter @{parameter.name} is not declared; there are @{', @'.join(declared)}.",
            )


def _text(lines: list[str], node: exp.Expr) -> str:
    line = line_of(node)
    return lines[line - 1] if line <= len(lines) else ""


RULES: dict[str, Rule] = {
    "select-star": _star,
    "bare-division": _division,
    "target": _target,
    "deterministic": _deterministic,
    "null-comparison": _null_comparison,
    "cross-join": _cross_join,
    "tenant": _tenant,
    "known-table": _tables,
    "declared-parameter": _parameters,
}
