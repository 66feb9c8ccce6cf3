"""SQL that casts records read as text into typed columns and says what does not fit: text in, text out.

Every trap of reading JSON into columns is closed in this module and in ``shape``: a fraction is not an integer, ``true`` is
not a number, a key in another case is an unknown field and not a NULL, a timestamp without an offset is UTC.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from typing import Any

from st_kpi.columns import Column, ColumnType
from st_kpi.ingest.shape import EXTRA, FieldPath
from st_kpi.servicetitan.models.base import Nested
from st_kpi.servicetitan.schema import columns, known_fields, lines
from st_kpi.warehouse.duckdb.dialect import TYPES, literal

#: A day of the years 1 to 9999, which both engines have, maybe with a time and an offset of less than a day.
_MOMENT = (
    "[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}([Tt ][0-9]{{1,2}}:[0-9]{{2}}(:[0-9]{{2}}(\\.[0-9]*)?)?)?"
    " ?([Zz]|UTC|[-+]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
)
#: A number of which nine decimals hold all digits, written out, and one with an exponent: its digits and its exponent.
_DECIMAL = "[-+]?[0-9]*\\.?[0-9]{{0,9}}0*"
_SCIENTIFIC = "[-+]?([0-9]*)\\.?([0-9]*)[eE]([-+]?[0-9]{{1,4}})"
_DIGITS = f"regexp_extract({{0}}, '{_SCIENTIFIC}', 1) || regexp_extract({{0}}, '{_SCIENTIFIC}', 2)"
_DECIMALS = (
    f"length(regexp_extract({{0}}, '{_SCIENTIFIC}', 2)) - length({_DIGITS}) + length(rtrim({_DIGITS}, '0'))"
    f" - CAST(regexp_extract({{0}}, '{_SCIENTIFIC}', 3) AS INTEGER)"
)

_CASTS: dict[ColumnType, str] = {
    ColumnType.INT64: (
        "CASE WHEN regexp_full_match({0}, '-?[0-9]+') THEN TRY_CAST({0} AS BIGINT) END"
    ),
    ColumnType.STRING: "{0}",
    ColumnType.BOOL: "CASE {0} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END",
    # A cast alone rounds at the ninth decimal.
    ColumnType.NUMERIC: (
        f"CASE WHEN regexp_full_match({{0}}, '{_DECIMAL}') THEN TRY_CAST({{0}} AS DECIMAL(38, 9))"
        f" WHEN regexp_full_match({{0}}, '{_SCIENTIFIC}') AND {_DECIMALS} <= 9"
        " THEN TRY_CAST({0} AS DECIMAL(38, 9)) END"
    ),
    ColumnType.FLOAT64: (
        "CASE WHEN regexp_full_match({0}, '[-+.0-9eE]*') AND isfinite(TRY_CAST({0} AS DOUBLE))"
        " THEN TRY_CAST({0} AS DOUBLE) END"
    ),
    # DuckDB also knows words such as "infinity" and "epoch", years beyond 9999, offsets of days, and names of zones.
    ColumnType.TIMESTAMP: (
        f"CASE WHEN regexp_full_match({{0}}, '{_MOMENT}') AND TRY_CAST({{0}} AS TIMESTAMPTZ)"
        " BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"
        " THEN TRY_CAST({0} AS TIMESTAMPTZ) END"
    ),
    ColumnType.DATE: (
        f"CASE WHEN regexp_full_match({{0}}, '{_MOMENT}') AND TRY_CAST({{0}} AS DATE) >= DATE '0001-01-01'"
        " THEN TRY_CAST({0} AS DATE) END"
    ),
    ColumnType.JSON: "{0}",
}
#: What DuckDB's plain casts take and ``_CASTS`` does not, looked for in all texts of a type at once: what stands between
#: them, and what they then match. A text that only looks wrong here is found to be right by ``Texts.misfit``.
_PLAIN: tuple[tuple[tuple[ColumnType, ...], str, str], ...] = (
    ((ColumnType.INT64,), "", "[-0-9]*"),
    ((ColumnType.BOOL,), "", "(true|false)*"),
    ((ColumnType.NUMERIC,), " ", "(-?[0-9]*(\\.[0-9]{0,9}0*)?( |$))*"),
    ((ColumnType.FLOAT64,), " ", "(-?[0-9]{1,3}(\\.[0-9]*)?( |$))*"),
    (
        (ColumnType.TIMESTAMP, ColumnType.DATE),
        " ",
        "([12][0-9][0-9][0-9]-[-0-9]*(T[0-9:.]*(Z|[-+][01][0-9]:[0-5][0-9])?)?( |$))*",
    ),
)
#: Types that any text fits.
NEVER_WRONG = (ColumnType.STRING, ColumnType.JSON)
#: The day that .NET writes where there is none.
EMPTY_DATE = "0001-01-01"
#: The text of the error that ends a statement at a value that does not fit.
MISFIT = "misfit"


class Texts:
    """A record or line as a row of texts, one column for each field that the model knows."""

    def __init__(self, model: type[Nested]) -> None:
        self.model = model
        nested = lines(model)
        self.list = nested.path if nested else None

    @cached_property
    def names(self) -> dict[FieldPath, str]:
        """The name of each text by the path of its field; short ones, for they are written often."""
        leaves = (path for path in _leaves(known_fields(self.model), ()) if path != (self.list,))
        return {path: f"t{n}" for n, path in enumerate((*leaves, (EXTRA,)))}

    def select(self) -> str:
        """The texts of the struct ``r``: an empty one is none where no text is wanted, and so is .NET's empty date.

        A list that has only live rows does not say ``active``, its feed does: both are the same row.
        """
        kinds = {c.path: c.type for c in columns(self.model, personal=True) if not c.derived}

        def text(path: FieldPath) -> str:
            raw = ".".join(("r", *(f'"{part}"' for part in path)))
            kind = kinds.get(path, ColumnType.JSON)
            if kind in NEVER_WRONG:
                return raw
            if kind in (ColumnType.TIMESTAMP, ColumnType.DATE):
                return (
                    f"CASE WHEN NOT starts_with({raw}, '{EMPTY_DATE}') THEN NULLIF({raw}, '') END"
                )
            present = f"NULLIF({raw}, '')"
            return f"COALESCE({present}, 'true')" if path == _ACTIVE else present

        return ", ".join(f"{text(path)} AS {name}" for path, name in self.names.items())

    def text(self, column: Column) -> str:
        """The name of the column's text."""
        return self.names[column.path]

    def cast(self, column: Column) -> str:
        """The column's typed value, NULL where the text does not fit."""
        return _CASTS[column.type].format(self.text(column))

    def plain(self, column: Column) -> str:
        """The same, cheaper, and an error where the text does not fit; what ``plainly`` tells of has to be left out."""
        text = self.text(column)
        return text if column.type in NEVER_WRONG else f"CAST({text} AS {TYPES[column.type]})"

    def plainly(self, own: Iterable[Column]) -> str:
        """A condition that is true, or an error that says ``MISFIT`` where a plain cast may take what does not fit."""
        conditions = ["TRUE"]
        for types, between, pattern in _PLAIN:
            texts = ", ".join(self.text(column) for column in own if column.type in types)
            if texts:
                conditions.append(
                    f"regexp_full_match(concat_ws('{between}', {texts}), '{pattern}')"
                )
        return f"CASE WHEN {' AND '.join(conditions)} THEN TRUE ELSE error('{MISFIT}') END"

    def misfit(self, column: Column) -> str:
        """A condition that is true where the value is there and does not fit."""
        return f"({self.text(column)} IS NOT NULL AND ({self.cast(column)}) IS NULL)"

    def content(self, fingerprint: str) -> str:
        """The hash of all that a record says, lines included, and of how it is typed; the order of its fields says nothing."""
        lists = [f'to_json(r."{self.list}")'] if self.list else []
        # A text that is missing is not the empty one; no text of a record is a lone NUL.
        parts = ", ".join(
            f"COALESCE(CAST({text} AS VARCHAR), chr(0))" for text in (*self.names.values(), *lists)
        )
        return f"md5(concat_ws(chr(31), {literal(fingerprint)}, {parts}))"


#: A way to write the value of a column.
Cast = Callable[[Texts, Column], str]


@cache
def texts_of(model: type[Nested]) -> Texts:
    """The texts of a model, named once."""
    return Texts(model)


@cache
def read_columns(model: type[Nested]) -> str:
    """The argument ``columns`` of ``read_json`` that reads every known field as text, and ``EXTRA`` as JSON."""
    return (
        "{" + ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in _types(model)) + "}"
    )


def _types(model: type[Nested]) -> Iterator[tuple[str, str]]:
    """Name and type of each field that a record or a line is read with."""
    json_paths = {c.path for c in columns(model, personal=True) if c.type is ColumnType.JSON}
    nested = lines(model)

    def kind(path: FieldPath, inner: dict[str, Any] | None) -> str:
        if nested and path == (nested.path,):
            return f"{_struct(_types(nested.model))}[]"
        if inner is None:
            return "JSON" if path in json_paths else "VARCHAR"
        return _struct((name, kind((*path, name), deeper)) for name, deeper in inner.items())

    for name, inner in known_fields(model).items():
        yield name, kind((name,), inner)
    yield EXTRA, "JSON"


def _struct(fields: Iterable[tuple[str, str]]) -> str:
    return "STRUCT(" + ", ".join(f'"{name}" {kind}' for name, kind in fields) + ")"


def _leaves(fields: dict[str, Any], path: FieldPath) -> Iterator[FieldPath]:
    for name, inner in fields.items():
        if inner is None:
            yield (*path, name)
        else:
            yield from _leaves(inner, (*path, name))


_ACTIVE = ("active",)
