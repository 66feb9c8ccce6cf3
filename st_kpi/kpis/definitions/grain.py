"""Which statements can be computed for some keys alone: the proof behind the header `-- incremental_by: job_id`.

A relation is *by* a key when its rows of one key depend on nothing but the rows of that key in the tables
it reads, and on small tables beside them. So the statement over those tables cut down to some keys
returns exactly its rows of those keys. That holds for

- a table that has the column
- relations joined on the key, each to one before it, inner or left; others may be looked up beside them
- groups and windows that have the key among what they group or partition by
- UNION ALL of such relations, and what selects from them and passes the key on

A table that is read in another way too, be it once, is one of those beside: when it changes, the
statement runs whole. NULL and 0 are one key, for the source writes either where there is no record.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope

from st_kpi.kpis.definitions.columns import ColumnTypes, typed
from st_kpi.kpis.definitions.findings import Finding, line_of
from st_kpi.kpis.definitions.statements import Statement, qualified

#: A column of a relation: the relation's name in the FROM, and its own.
ColumnRef = tuple[str, str]


def by_key(
    statements: Iterable[Statement],
    tables: Mapping[str, ColumnTypes],
    trees: Mapping[str, exp.Query],
) -> tuple[dict[str, frozenset[str]], list[Finding]]:
    """Per name of a statement with a key, the tables that can be cut down to some keys for it.

    A key that cannot be proved is a finding. ``tables`` has the columns of every table; statements
    with others are left to the rules about columns. ``trees`` has statements that are typed already, by their name.
    """
    proved: dict[str, frozenset[str]] = {}
    findings = []
    for statement in statements:
        key = statement.incremental_by
        if key is None or not statement.reads <= set(tables):
            continue
        try:
            tree = trees[name] if (name := statement.name) in trees else typed(statement, tables)
        except SqlglotError:
            continue
        beside = frozenset(t for t in statement.reads if tables[t].get(key) != "INT64")
        try:
            proved[statement.name] = _tables_by(tree, key, beside)
        except _NotBy as error:
            message = (
                f"The rows cannot be computed by {key} alone: {error.reason}."
                " Mend it, or leave the header out."
            )
            line = line_of(error.node)
            findings.append(Finding(statement.path, line, "incremental-by", message))
    return proved, findings


class _NotBy(Exception):
    """A relation that is not by the key, with a reason in words; its tables would have to be read whole."""

    def __init__(self, node: exp.Expr, reason: str, scope: Scope | exp.Table) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason
        self.tables = _tables(scope)


@dataclass(frozen=True)
class _By:
    """Positions of the columns that hold the key, and the tables that can be cut down."""

    positions: frozenset[int]
    tables: frozenset[str]


def _tables_by(tree: exp.Query, key: str, beside: frozenset[str]) -> frozenset[str]:
    """The tables to cut down; a table with a use that is not by the key stands beside everywhere."""
    root = build_scope(tree)
    assert root is not None
    if any(node.args.get("recursive") for node in tree.find_all(exp.With)):
        raise _NotBy(tree, "WITH RECURSIVE may lead from one key to another", root)
    first: _NotBy | None = None
    while _tables(root) - beside:
        try:
            proof = _proof(root, key, beside)
        except _NotBy as error:
            first = first or error
            beside |= error.tables
        else:
            if proof and key in _names(tree, proof.positions):
                return proof.tables
            break
    raise first or _NotBy(tree, f"no column of the result is {key} of a table it reads", root)


def _proof(scope: Scope, key: str, beside: Set[str]) -> _By | None:
    """What makes the scope by the key; None when it has only tables that stand beside."""
    if not _tables(scope) - beside:
        return None
    if scope.set_operation_scopes:
        return _union(scope, [_proof(branch, key, beside) for branch in scope.set_operation_scopes])
    select = scope.expression
    if not isinstance(select, exp.Select) or scope.subquery_scopes or select.args.get("limit"):
        raise _NotBy(select, "a subquery in a condition or a LIMIT looks at all rows", scope)
    keys, tables = _sources(scope, select, key, beside)
    _groups(scope, select, keys)
    positions = frozenset(n for n, e in enumerate(select.selects) if _column(e.unalias()) in keys)
    if not positions:
        raise _NotBy(select, "the key is not among the columns it passes on", scope)
    return _By(positions, tables)


def _union(scope: Scope, branches: list[_By | None]) -> _By:
    union = scope.expression
    if union.args.get("limit") or union.args.get("by_name"):
        raise _NotBy(union, "a LIMIT or BY NAME stands behind the UNION", scope)
    if not isinstance(union, exp.Union) or union.args.get("distinct"):
        raise _NotBy(union, "a UNION, INTERSECT or EXCEPT compares rows of all keys", scope)
    positions = None
    tables: frozenset[str] = frozenset()
    for branch in branches:
        if branch is None:
            raise _NotBy(union, "one side of the UNION ALL has no table with the key", scope)
        positions = branch.positions if positions is None else positions & branch.positions
        tables |= branch.tables
    if not positions:
        raise _NotBy(union, "the sides of the UNION ALL have the key in different columns", scope)
    return _By(positions, tables)


def _sources(
    scope: Scope, select: exp.Select, key: str, beside: Set[str]
) -> tuple[set[ColumnRef], frozenset[str]]:
    """The columns that hold the key in every row, and the tables they come from."""
    linked: set[ColumnRef] = set()  # those of a left join too, which may be NULL
    sure: set[ColumnRef] = set()
    tables: frozenset[str] = frozenset()
    for relation, join in _relations(select):
        alias, node = relation.alias_or_name, join or relation
        source = _understood(scope, relation, join)
        keyed = _source(source, key, beside)
        if keyed is None:
            continue
        left = join is not None and join.side == "LEFT"
        columns = {(alias, name) for name in keyed[0]}
        if linked and not (join and _equal(join, columns, linked)):
            raise _NotBy(node, f"{alias} is not joined on the key", source)
        if not linked and left:
            raise _NotBy(node, f"{alias} is joined to rows without the key", source)
        linked |= columns
        sure |= set() if left else columns
        tables |= keyed[1]
    return sure, tables


def _understood(scope: Scope, relation: exp.Expr, join: exp.Join | None) -> Scope | exp.Table:
    """What a relation of a FROM reads; refuses forms and joins of which nothing can be said."""
    source = scope.sources.get(relation.alias_or_name)
    if source is None or any(relation.args.get(part) for part in ("joins", "pivots")):
        raise _NotBy(join or relation, "a nested join or a PIVOT is not understood", scope)
    if join is not None and (join.side not in ("", "LEFT") or join.kind in ("SEMI", "ANTI")):
        raise _NotBy(join, f"a {join.side or join.kind} JOIN looks at all rows", scope)
    return source


def _source(
    source: Scope | exp.Table, key: str, beside: Set[str]
) -> tuple[set[str], frozenset[str]] | None:
    """Names of the key in one relation of a FROM and its tables; None for one that stands beside."""
    if isinstance(source, exp.Table):
        table = qualified(source)
        return None if table in beside else ({key}, frozenset({table}))
    proof = _proof(source, key, beside)
    if proof is None:
        return None
    return _names(source.expression, proof.positions), proof.tables


def _relations(select: exp.Select) -> Iterator[tuple[exp.Expr, exp.Join | None]]:
    start = select.args.get("from_")
    if start is not None:
        yield start.this, None
    for join in select.args.get("joins") or ():
        yield join.this, join


def _equal(join: exp.Join, own: Set[ColumnRef], others: Set[ColumnRef]) -> bool:
    """Whether the join compares a key of its own with one of the others, whatever else it asks for."""
    on = join.args.get("on")
    for condition in on.flatten() if isinstance(on, exp.And) else [on]:
        if isinstance(condition, exp.EQ):
            sides = {_plain(condition.this), _plain(condition.expression)}
            if sides & own and sides & others:
                return True
    return False


def _groups(scope: Scope, select: exp.Select, keys: Set[ColumnRef]) -> None:
    """Refuse groups and windows over rows of several keys."""
    group = select.args.get("group")
    grouped = {_plain(e) for e in group.expressions} if group else set()
    windows = list(scope.find_all(exp.Window))
    inside = {id(f) for w in windows for f in w.find_all(exp.AggFunc)}
    bare = [f for f in scope.find_all(exp.AggFunc) if id(f) not in inside]
    if (group or bare) and not grouped & keys:
        raise _NotBy(select, "it groups rows of several keys", scope)
    for window in windows:
        if not {_plain(e) for e in window.args.get("partition_by") or ()} & keys:
            raise _NotBy(
                window, "a window without the key in PARTITION BY looks at all rows", scope
            )


def _column(node: exp.Expr) -> ColumnRef | None:
    """The column of an expression that is the key where the column is: itself, or without its 0."""
    if isinstance(node, exp.Nullif) and node.expression.name == "0":
        return _plain(node.this)
    return _plain(node)


def _plain(node: exp.Expr) -> ColumnRef | None:
    return (node.table, node.name) if isinstance(node, exp.Column) else None


def _names(query: exp.Expr, positions: Set[int]) -> set[str]:
    assert isinstance(query, exp.Query)
    return {e.alias_or_name for n, e in enumerate(query.selects) if n in positions}


def _tables(source: Scope | exp.Table) -> frozenset[str]:
    """Every table beneath a relation."""
    if isinstance(source, exp.Table):
        return frozenset({qualified(source)})
    inner: list[Scope | exp.Table] = [*source.set_operation_scopes, *source.subquery_scopes]
    inner += [read for _, read in source.selected_sources.values()]
    return frozenset().union(*(_tables(read) for read in inner))
