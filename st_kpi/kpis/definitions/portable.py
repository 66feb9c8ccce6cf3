"""Whether a statement is made of nothing but what is on the list: of that, and of nothing else, two engines are proved to make the same."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

from st_kpi.kpis.definitions.allowed import (
    CLAUSES,
    EXPRESSIONS,
    INSTEAD,
    LITERALS,
    PLACEHOLDERS,
    TEXTS,
    VARIABLES,
)
from st_kpi.parameters import PARAMETERS

_NAMES = re.compile(rf"\b({'|'.join((*PLACEHOLDERS, *VARIABLES))})\d?\b")
_Type = exp.DataType.Type
_TYPE_NAMES = {
    **dict.fromkeys(exp.DataType.INTEGER_TYPES, "INT64"),
    **dict.fromkeys(exp.DataType.TEXT_TYPES, "STRING"),
    _Type.DECIMAL: "NUMERIC",
    _Type.TIMESTAMPTZ: "TIMESTAMP",
    _Type.BOOLEAN: "BOOL",
    _Type.DATE: "DATE",
    _Type.JSON: "JSON",
}
#: Functions and forms of which a line of the list shows two and a statement may have any number.
_OF_ANY_LENGTH = (exp.Coalesce, exp.Concat, exp.Greatest, exp.Least, exp.In, exp.Case, exp.Array)


def with_typed_parameters(tree: exp.Expr, types: dict[str, str]) -> None:
    """Put a NULL of its type in the place of every parameter, which sqlglot cannot type."""
    for parameter in list(tree.find_all(exp.Parameter)):
        if kind := types.get(parameter.name):
            parameter.replace(exp.cast(exp.null(), kind, dialect="bigquery"))


def unportable(tree: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    """Parts of a typed statement that are not on the list, each with what to write instead."""
    consumed: set[int] = set()
    for node in tree.walk():
        if id(node) in consumed:
            continue
        kind = type(node)
        if kind in CLAUSES:
            for arg in _given(node).keys() - set(CLAUSES[kind]):
                consumed |= {id(part) for part in _parts(node.args[arg])}
                yield node, _no_clause(node, arg)
            if message := _mistyped(node):
                yield node, message
            continue
        match = _match(node)
        if match is not None:
            consumed |= match.parts
        elif message := _refusal(node):
            yield node, message


def type_name(node: exp.Expr) -> str:
    """BigQuery's name of an expression's type."""
    kind = node.type
    if isinstance(node, exp.Null):
        return "NULL"
    if kind is None:
        return "UNKNOWN"
    return _TYPE_NAMES.get(kind.this) or kind.sql("bigquery")


@dataclass
class _Match:
    """A node laid beside a line: the types of the line's variables, and the nodes below that belong to the form."""

    variables: dict[str, str] = field(default_factory=dict)
    parts: set[int] = field(default_factory=set)


def _match(node: exp.Expr) -> _Match | None:
    if isinstance(node, exp.Cast) and _is_text(node.this):
        known = LITERALS.get(type_name(node))
        return _Match() if known and re.fullmatch(known.pattern, node.this.name) else None
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Null):
        return _Match() if type_name(node) in PLACEHOLDERS.values() else None
    for form, _ in _forms().get(type(node), ()):
        match = _Match()
        if _fits(node, form, match):
            return match
    return None


@lru_cache(maxsize=1)
def _forms() -> dict[type[exp.Expr], list[tuple[exp.Expr, str]]]:
    """The lines of the list as trees, by the kind of node that each begins with."""
    lines = [line for group in EXPRESSIONS.values() for line in group]
    select = sqlglot.parse_one(f"SELECT {', '.join(lines)}", read="bigquery")
    with_typed_parameters(select, PARAMETERS)
    forms: dict[type[exp.Expr], list[tuple[exp.Expr, str]]] = {}
    for form, line in zip(select.expressions, lines, strict=True):
        forms.setdefault(type(form), []).append((form, line))
    return forms


def _fits(node: Any, form: Any, match: _Match) -> bool:
    """Whether a node, or what one of its arguments holds, is as a line has it."""
    if isinstance(form, exp.Column):
        is_operand = isinstance(node, exp.Expr) and not isinstance(node, exp.Distinct)
        return is_operand and _has_type(node, form.name, match.variables)
    if isinstance(form, exp.Literal) and isinstance(node, exp.Expr):
        match.parts.add(id(node))
        return _same_literal(node, form)
    if isinstance(form, exp.Query):
        return isinstance(node, exp.Query)
    if isinstance(form, list):
        return (
            isinstance(node, list)
            and len(node) == len(form)
            and all(_fits(n, f, match) for n, f in zip(node, form, strict=True))
        )
    if not isinstance(form, exp.Expr):
        return bool(node == form)
    if type(node) is not type(form) or _written_name(node) not in ("", _written_name(form)):
        return False
    match.parts.add(id(node))
    if isinstance(form, exp.JSONPathKey):
        return str(node.this).isidentifier()
    ours, theirs = _given(node), _given(form)
    if ours.keys() != theirs.keys():
        return False
    return all(_argument_fits(node, ours[name], theirs[name], match) for name in theirs)


def _argument_fits(node: exp.Expr, given: Any, form: Any, match: _Match) -> bool:
    if isinstance(given, list) and isinstance(form, list) and isinstance(node, _OF_ANY_LENGTH):
        return all(any(_fits(n, f, match) for f in form) for n in given)
    return _fits(given, form, match)


def _written_name(node: exp.Expr) -> str:
    """The name that a function was called by, where sqlglot reads several as one; none of what it made itself (out of USING)."""
    return str(node.meta.get("bigquery_name", "")).upper()


def _given(node: exp.Expr) -> dict[str, Any]:
    return {name: value for name, value in node.args.items() if value not in (None, False, [])}


def _has_type(node: exp.Expr, placeholder: str, variables: dict[str, str]) -> bool:
    """Whether a node is of the placeholder's type; a variable takes the type of the first that has one."""
    name, found = placeholder.rstrip("0123456789"), type_name(node)
    if name == "json" and found == "UNKNOWN":  # what JSON_QUERY_ARRAY holds is not known to sqlglot
        return True
    if name not in VARIABLES:
        return found == PLACEHOLDERS[name]
    known = variables.get(name)
    if found == known:
        return True
    if {found, known} == {"INT64", "NUMERIC"} and name != "same":
        found = "NUMERIC"
    elif known is not None or found in ("JSON", "UNKNOWN") or found not in _TYPE_NAMES.values():
        return False
    variables[name] = found
    return True


def _same_literal(node: exp.Expr, form: exp.Literal) -> bool:
    if form.name in TEXTS:
        return _is_text(node)
    if form.name == "1":
        return isinstance(node, exp.Literal) and node.name.isdigit() and int(node.name) > 0
    return isinstance(node, exp.Literal) and node.name == form.name


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.RawString) or (isinstance(node, exp.Literal) and node.is_string)


def _mistyped(node: exp.Expr) -> str | None:
    """What one engine refuses and the other casts in silence."""
    if isinstance(node, exp.Literal) and node.is_number and not node.name.isdigit():
        return f"{node.name} is a FLOAT64, not exact: write NUMERIC '{node.name}'."
    if isinstance(node, (exp.Where, exp.Having, exp.Qualify, exp.Join)):
        condition = node.args.get("on") if isinstance(node, exp.Join) else node.this
        if condition is not None and type_name(condition) != "BOOL":
            return f"{_shown(condition)} is {type_name(condition)} and no condition: compare it."
    if isinstance(node, exp.Union):
        for one, other in zip(node.left.selects, node.right.selects, strict=False):
            kinds = {type_name(one), type_name(other)} - {"NULL"}
            if len(kinds) > 1 and kinds != {"INT64", "NUMERIC"}:
                return f"{one.alias_or_name} is {' and '.join(sorted(kinds))} in a UNION: CAST it."
    return None


def _parts(value: Any) -> Iterator[exp.Expr]:
    """All nodes of what an argument holds."""
    for node in value if isinstance(value, list) else [value]:
        if isinstance(node, exp.Expr):
            yield from node.walk()


def _no_clause(node: exp.Expr, arg: str) -> str:
    instead = INSTEAD.get(f"{type(node).__name__} {arg}", "leave it out")
    word = arg.strip("_").upper()
    return f"{word} in {_shown(node)} is read differently by the two engines: {instead}."


def _refusal(node: exp.Expr) -> str:
    text = _shown(node)
    called = re.match(r"\w+(?=\()", text)
    instead = INSTEAD.get(called[0] if called else type(node).__name__)
    if instead:
        return f"{text} is read differently by the two engines: {instead}."
    proved = _alike(node)
    if proved:
        types = " and ".join(type_name(child) for child in node.iter_expressions() if child.type)
        return (
            f"{text}, of {types}, is not proved to be the same on both engines."
            f" Proved is {', '.join(proved)}: write that, or CAST."
        )
    return (
        f"{text} is not on the list of what both engines read alike (docs/kpi-sql.md):"
        " use what is on it, or load the value as a column."
    )


def _alike(node: exp.Expr) -> list[str]:
    """Lines of the list about the same function, and of casts those to the same type, with types where they have names."""
    if isinstance(node, exp.Cast) and _is_text(node.this) and type_name(node) in LITERALS:
        return [f"{type_name(node)} '{LITERALS[type_name(node)].example}'"]
    return [
        _NAMES.sub(lambda m: PLACEHOLDERS.get(m[1]) or "T", line)
        for form, line in _forms().get(type(node), ())
        if _written_name(form) == _written_name(node)
        and (not isinstance(form, exp.Cast) or form.to == node.args["to"])
    ]


def _shown(node: exp.Expr) -> str:
    text = node.sql("bigquery", comments=False)
    if name := _written_name(node):
        text = re.sub(r"^\w+(?=\()", name, text)
    return text if len(text) <= 80 else f"{text[:77]}..."
