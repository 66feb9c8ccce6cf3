"""``docs/kpi-sql.md`` from the list of what the SQL of ``kpi_sql`` may be made of."""

from collections.abc import Iterator

from st_kpi.kpis.definitions.allowed import EXPRESSIONS, INSTEAD, LITERALS, PLACEHOLDERS

_HEAD = """\
# What the SQL of a KPI may say

Written from `st_kpi/kpis/definitions/allowed.py` by `python -m st_kpi.kpis.definitions.document`: change the list, not this page.

`kpi_sql` is written in BigQuery's dialect and runs on two engines: on BigQuery as it is, on DuckDB translated. The same text does not mean
the same on both in more places than one can keep in mind: `TRIM` leaves a tab on one of them, `SAFE_CAST('yes' AS BOOL)` is true on one of
them and NULL on the other, a product of two NUMERICs has more decimals on one. A number that depends on the engine is no number, so
`st-kpi lint` lets through what is on this page and nothing else, and says of the rest what to write instead. A test puts edge values into every
line, and texts, days and numbers that are written oddly, and compares DuckDB, by way of the translation, with Google's own executor.

A name in a line stands for any expression of its type: {names}.
`value` and `other` are of any of these types that can be compared, the same wherever the name stands in a line, and an INT64 among NUMERICs
is one of them; `same` is as `value`, but without the INT64. A NULL that is written has no type: elsewhere it is `CAST(NULL AS type)`. `'pattern'`, `'replacement'` and `'separator'` stand for any text that is written
in the statement, `1` for any whole number from 1 that is. What takes a list takes a longer one too.
"""

_TAIL = """\
## What a statement is put together with

`WITH`, `SELECT` and `SELECT DISTINCT`, `FROM` a table, a query in parentheses or `UNNEST`, `JOIN` with `ON` or `USING` (`LEFT`, `RIGHT`, `FULL`) and `CROSS JOIN`,
`WHERE`, `GROUP BY`, `HAVING`, `QUALIFY`, `ORDER BY` with `DESC`, `NULLS FIRST` or `NULLS LAST`, `LIMIT`, `UNION ALL` and `UNION DISTINCT`; aggregates and what stands under
"Windows" with `OVER (PARTITION BY ... ORDER BY ...)`, without a frame. The other rules of the lint (joins compare `tenant_id`, a window has an
order, and so on) come on top.

## What the text alone does not decide

- Days before the year 1 and after 9999: BigQuery fails, DuckDB goes on.
- A NUMERIC of 10^20 and more in a product or a quotient: DuckDB may fail where BigQuery has a value.
- A number with a point, out of JSON, of 10^15 and more or less than 0.0001 (no id and no amount is one): `JSON_VALUE` writes it with other zeros.
- `LOWER` of letters that Unicode got in 2024 and later: each engine knows those of its version.

## To add a line

Add it to `EXPRESSIONS` and run `scripts/test tests/kpis/definitions/test_allowed.py`, with values of its own in `tests/support/edges.py` where it has a text or a number in it.
Where a row differs, either `st_kpi/warehouse/duckdb/dialect.py` puts it right for every value of the test, or the line stays out, and
`INSTEAD` says what to write.
"""


def text() -> str:
    """The whole page."""
    names = ", ".join(f"`{name}` {kind}" for name, kind in PLACEHOLDERS.items())
    return "\n".join([_HEAD.format(names=names), *_lines(), _TAIL])


def _lines() -> Iterator[str]:
    for title, lines in EXPRESSIONS.items():
        yield f"## {title}\n\n```sql\n" + "\n".join(lines) + "\n```\n"
    written = [f"{kind} '{literal.example}'" for kind, literal in LITERALS.items()]
    yield (
        "## Values\n\n```sql\n"
        + "\n".join((*written, "'text'", "12", "TRUE", "NULL", "CAST(NULL AS type)"))
        + "\n```\n"
    )
    yield "## What to write instead\n\n| Not | Instead |\n|---|---|"
    yield from (f"| `{name}` | {instead} |" for name, instead in INSTEAD.items() if name.isupper())
    yield "| `a * b` of NUMERICs | " + INSTEAD["Mul"] + " |"
    yield "| `a \\|\\| b` | " + INSTEAD["DPipe"] + " |\n"
