"""Values at the edges of each type, and every example of the list of what is allowed, filled with them."""

import datetime as dt
import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from st_kpi.kpis.definitions.allowed import PLACEHOLDERS, VARIABLES

_TEXTS = (
    "", "a", "abc", "a_c", "a%c", r"a\_c", " a ", "\ta\t", "0", " 12 ", "-7", "true", "2025-01-31", "ÄÖ", "😀x",
    "aAa", "\n", "a\nb", "e\u0301", "İ", "ẞ", "Straße", "Σς", "ǆ", "\u00a0a\u00a0", "\u3000a\u2009", "it's", "(a)", "a.c",
    "$1", r"\1", "a,b", "1", "007", "+7", "1.5", "2.5", ".5", "5.", "-0", "1e3", "0x1A", "1_000", "٣", "\t5\n",
    "9223372036854775807", "9223372036854775808", "12345678901234567890.123456789", "0.0000000005", "TRUE",
    "False", " true", "yes", "t", "f", "no", "on", "2025-1-6", "2025-02-30", "2025-01-06 10:00", "2025-01-06T10:00:00Z",
    "2025-01-06 10:00:00+02", "20250106", "2025/01/06", " 2025-01-06 ", "\t2025-01-06", "25-01-06", "infinity", "nan", "epoch",
    "today", "0001-01-01", "9999-12-31", "10000-01-01", "-1-01-01", "2025-01-06 BC", "0000-01-01", "02025-01-06",
)  # fmt: skip
_WHOLE = (
    0, 1, -1, 2, 3, -2, 10, 365, 2147483647, 2147483648, -2147483648, 9223372036854775807, -9223372036854775808,
)  # fmt: skip
_NUMBERS = (
    "0", "0.5", "1.5", "-2.5", "0.000000001", "-0.1", "0.333333333", "1234.565", "1.005", "-0.000000001",
    "-1234.565", "2", "1E9", "123456789012.123456789", "-999999999.999999999", "9223372036854775807.5",
    "12345678901234567890",
)  # fmt: skip
_DAYS = (
    "2024-02-29", "2025-01-31", "2025-01-05", "2025-01-06", "2024-12-31", "2025-01-01", "1969-12-31", "2024-03-31",
    "2026-01-01", "2024-12-29", "2024-12-30", "2021-01-03", "1900-02-28", "1582-10-10", "2100-02-28", "1000-01-01",
    "8999-12-31",
)  # fmt: skip
_INSTANTS = (
    "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2025-03-09 06:59:59", "2025-03-09 07:00:00",
    "2025-11-02 05:30:00", "2025-11-02 06:30:00", "2025-01-13 06:59:59.999999", "2025-01-13 07:00:00",
    "2024-02-29 12:34:56.789012", "2024-12-31 23:30:00", "1000-01-01 00:00:00", "8999-12-31 23:59:59.999999",
)  # fmt: skip
_JSON = (
    "null", "{}", "[]", '{"key": 1}', '{"key": "x"}', '{"key": null}', '{"key": true}', '{"key": "12"}', '{"key": [1]}',
    '{"key": {"key": 2}}', '{"key": "é\\n\\"x"}', '{"key": 9223372036854775807}', '[{"key": "a"}, {}, null, 1, [2], {"key": null}]',
    '{"key": 1.50}', '{"key": 1e3}', '{"key": -0.0}', '{"key": "\\u00e9\\/"}', '{"key": 1, "key": 2}', '{"Key": 1}', ' {"key" : ""} ',
    '"text"', "5", '{"key": " "}', '{"key": "1e3"}', '{"key": 1.5}', '{"other": 1, "key": 2}',
)  # fmt: skip

EDGES: dict[str, tuple[Any, ...]] = {
    "text": (None, *_TEXTS),
    "whole": (None, *_WHOLE),
    "number": (None, *map(Decimal, _NUMBERS)),
    "day": (None, *map(dt.date.fromisoformat, _DAYS)),
    "instant": (None, *(dt.datetime.fromisoformat(f"{text}+00:00") for text in _INSTANTS)),
    "flag": (None, True, False),
    "json": (None, *_JSON),
}
#: How many values each operand takes, by the number of operands: all of them in every row would be too many.
_KEPT = (None, None, 20, 9, 5)

ZONES = ("America/Phoenix", "America/New_York", "Asia/Kathmandu", "UTC")

#: What is put in the place of a text or a number that a line has as a literal, by what stands before it.
_WRITTEN: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("LIKE", "'pattern'", ("'a_c'", r"'a\\_c'", r"r'a\_c'", r"'a\\%c'", "'%a%'", "'%'", "''", "'_'", "'A%'", "'a\\n_'", r"'%\\\\%'",
                          r"'%\\_%'", "'%Ö'", "'😀%'", "'it\\'s'", '"it\'s"')),
    ("REGEXP_CONTAINS", "'pattern'", ("r'^a.c$'", "r'a$'", "'(?i)AA'", r"r'\d+'", r"'\\s'", "''", r"r'\bc'", "'^[^,]*$'", "'[[:alpha:]]'",
                                     "r'a.b'", "'(?s)a.b'", "'[éÖ]'", "'^$'", r"r'\pL'")),
    ("REGEXP_EXTRACT", "'(pattern)'", ("'a(.)'", "'(a)?b'", "'()a'", r"r'(\d+)\.'", "'(?i)(A.)'")),
    ("REGEXP_EXTRACT", "'pattern'", ("r'^[^,]*'", "'[0-9]+'", "'x*'", "'a|b'", "'(?:a)c?'", "'.'")),
    ("REGEXP_REPLACE", "'pattern', 'replacement'", (
        "r'[0-9]', ''", r"'(a)', r'<\1>'", r"'a', r'\0\0'", "'a', '$1'", "'x*', '-'", "'', '-'", "'[^a]', 'é'", r"r'(a)(b)?', r'\2\1'", r"'a', '\\\\'",
        "'^', '>'", "'.', '.'")),
    ("SUBSTR", "1, 1", ("1, 1", "1, 2", "2, 1", "3, 100", "100, 1")),
    ("SUBSTR", "1", ("1", "2", "100")),
    ("LEFT", "1", ("1", "2", "100")),
    ("RIGHT", "1", ("1", "2", "100")),
    ("ROUND", "1", ("1", "2", "8", "9")),
    ("DATE_ADD", "INTERVAL 1", ("INTERVAL 1", "INTERVAL 13")),
    ("DATE_SUB", "INTERVAL 1", ("INTERVAL 1", "INTERVAL 13")),
    ("TIMESTAMP_ADD", "INTERVAL 1", ("INTERVAL 1", "INTERVAL 90")),
    ("TIMESTAMP_SUB", "INTERVAL 1", ("INTERVAL 1", "INTERVAL 365")),
    ("GENERATE_DATE_ARRAY", "INTERVAL 1", ("INTERVAL 1", "INTERVAL 7")),
    ("IN UNNEST", "texts", ("['a', '', 'ÄÖ']", "['a', CAST(NULL AS STRING)]")),
    ("STRING_AGG", "'separator'", ("', '", "''", "'\\n'")),
)  # fmt: skip

_COMPARED = ("text", "whole", "number", "day", "instant", "flag")
#: The types that a variable of a line stands for, one after the other where it stands more than once.
_SAME = tuple((kind,) * 3 for kind in _COMPARED)
_CHOICES = {
    "value": (*_SAME, ("number", "whole", "number"), ("whole", "number", "whole")),
    "other": _SAME[:3],
    "same": _SAME,
}

_NAME = re.compile(rf"\b({'|'.join((*PLACEHOLDERS, *VARIABLES))})(\d?)\b")

_COLUMN = re.compile(rf"\b({'|'.join(EDGES)})(\d?)\b")


def spelled(line: str) -> list[str]:
    """A line of the list as expressions over columns that are called as their types are."""
    texts = [line]
    for name in VARIABLES:
        if any(m[1] == name for m in _NAME.finditer(line)):
            texts = [_with_types(text, name, kinds) for text in texts for kinds in _CHOICES[name]]
    return list(dict.fromkeys(text for one in texts for text in _with_literals(one)))


def _with_types(line: str, variable: str, kinds: tuple[str, ...]) -> str:
    def column(match: re.Match[str]) -> str:
        if match[1] != variable:
            return match[0]
        place = int(match[2] or 1)
        return f"{kinds[place - 1]}{place + 5 if variable == 'other' else match[2]}"

    return _NAME.sub(column, line)


def _with_literals(line: str) -> Iterator[str]:
    for start, old, literals in _WRITTEN:
        if start in line and old in line:
            yield from (line.replace(old, literal) for literal in literals)
            return
    yield line


def operands(text: str) -> dict[str, str]:
    """The columns that an expression reads, each with the name of its type."""
    return {m[0]: m[1] for m in _COLUMN.finditer(re.sub(r"'[^']*'", "", text))}


def source(columns: dict[str, str], relation: Callable[[str], str]) -> str:
    """A SELECT of each column's edge values with those of all others, each row with an ``id``.

    ``relation`` is what to read for a type: a table with the place of a value in ``EDGES``, ``n``, and the value, ``v``.
    """
    kept = _KEPT[len(columns)]
    number, fields, relations = "0", [], []
    for name, kind in columns.items():
        number = f"({number}) * {len(EDGES[kind][:kept])} + {name}_.n"
        fields.append(f"{name}_.v AS {name}")
        relations.append(f"{relation(kind)} AS {name}_")
    conditions = [f"{name}_.n < {kept}" for name in columns if kept]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return (
        f"SELECT {number} AS id, {', '.join(fields)} FROM {' CROSS JOIN '.join(relations)}{where}"
    )


def rows(columns: dict[str, str]) -> list[tuple[Any, ...]]:
    """The same rows in the order of their ids."""
    kept = _KEPT[len(columns)]
    return list(itertools.product(*(EDGES[kind][:kept] for kind in columns.values())))


#: Every column that a composed expression may read: two of each type.
COLUMNS = {f"{kind}{digit}": kind for kind in EDGES for digit in ("", "2")}


def some_rows(chance: random.Random, number: int) -> list[dict[str, Any]]:
    """Rows of all ``COLUMNS``, each value at an edge."""
    return [
        {"id": n} | {name: chance.choice(EDGES[kind]) for name, kind in COLUMNS.items()}
        for n in range(number)
    ]


def composed(
    chance: random.Random, by_type: Mapping[str, Sequence[str]], text: str, depth: int
) -> str:
    """An expression in whose operands stand others of the same type, and columns in the innermost."""

    def operand(match: re.Match[str]) -> str:
        kind = match[1]
        if depth and kind in by_type and chance.random() < 0.6:
            inner = chance.choice(by_type[kind])
            return f"({composed(chance, by_type, inner, depth - 1)})"
        return f"{kind}{chance.choice(('', '2'))}"

    parts = re.split(r"""('(?:[^'\\]|\\.)*'|"[^"]*")""", text)  # every other one is a text
    return "".join(p if n % 2 else _COLUMN.sub(operand, p) for n, p in enumerate(parts))
