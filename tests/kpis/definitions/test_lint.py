"""Each rule of the lint on a small project that breaks it, and on one that does not."""

import shutil
from pathlib import Path

import pytest

from st_kpi.errors import SqlError
from st_kpi.kpis.definitions.lint import inspect, lint, refuse
from st_kpi.kpis.definitions.statements import default_root, in_order
from st_kpi.parameters import PARAMETERS
from tests.support.statements import read_statements

#: A card without the parts that may be left out.
CARD = (default_root() / "kpis" / "leads" / "card.yaml").read_text(encoding="utf-8")
CARD = CARD[: CARD.index("alternatives:")]

HEADER = "-- Rows of a test.\n-- table: st_dim.made\n"


def project(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def findings(root: Path) -> list[tuple[str, int, str]]:
    return [(f.file.relative_to(root).as_posix(), f.line, f.rule) for f in lint(root)]


def test_the_products_own_sql_is_clean() -> None:
    assert lint() == []


@pytest.mark.parametrize(
    ("body", "line", "rule"),
    [
        pytest.param("SELECT *\nFROM st_staging.a", 3, "select-star", id="SELECT star"),
        pytest.param("SELECT a.*\nFROM st_staging.a AS a", 3, "select-star", id="star of a table"),
        pytest.param("SELECT\n  x / y AS z\nFROM st_staging.a", 4, "bare-division", id="bare division"),
        pytest.param("SELECT MOD(x, y) AS z FROM st_staging.a", 3, "bare-division", id="MOD"),
        pytest.param("SELECT DIV(x, y) AS z FROM st_staging.a", 3, "bare-division", id="DIV"),
        pytest.param("SELECT\n  x,\n  CURRENT_DATE() AS d\nFROM st_staging.a", 5, "deterministic", id="CURRENT_DATE"),
        pytest.param("SELECT CURRENT_TIMESTAMP() AS d, x FROM st_staging.a", 3, "deterministic", id="CURRENT_TIMESTAMP"),
        pytest.param("SELECT RAND() AS d, x FROM st_staging.a", 3, "deterministic", id="RAND"),
        pytest.param("SELECT GENERATE_UUID() AS d, x FROM st_staging.a", 3, "deterministic", id="GENERATE_UUID"),
        pytest.param("SELECT SESSION_USER() AS d, x FROM st_staging.a", 3, "deterministic", id="SESSION_USER"),
        pytest.param("SELECT ANY_VALUE(x) AS d FROM st_staging.a", 3, "deterministic", id="ANY_VALUE"),
        pytest.param("SELECT x FROM st_staging.a LIMIT 1", 3, "deterministic", id="LIMIT without order"),
        pytest.param(
            "SELECT ROW_NUMBER() OVER (PARTITION BY x) AS n FROM st_staging.a", 3, "deterministic", id="ROW_NUMBER without order"
        ),
        pytest.param("SELECT a.x\nFROM st_staging.a AS a\nCROSS JOIN st_staging.a AS b", 5, "cross-join", id="cross join"),
        pytest.param("SELECT a.x\nFROM st_staging.a AS a, st_staging.a AS b", 4, "cross-join", id="comma join"),
        pytest.param("SELECT a.x\nFROM st_staging.a AS a\nJOIN st_staging.a AS b ON TRUE", 5, "cross-join", id="ON TRUE"),
        pytest.param("SELECT a.x\nFROM st_staging.a AS a\nJOIN st_staging.a AS b ON b.x = a.x", 5, "tenant", id="no tenant"),
        pytest.param("SELECT x\nFROM a", 4, "known-table", id="table without schema"),
        pytest.param("SELECT x FROM st_stagin.a", 3, "known-table", id="unknown schema"),
        pytest.param("SELECT x FROM proj.st_staging.a", 3, "known-table", id="project in the name"),
        pytest.param("SELECT id FROM st_raw.jobs", 3, "known-table", id="raw rows outside staging"),
        pytest.param("SELECT x FROM st_staging.b", 3, "known-table", id="a table nobody fills"),
        pytest.param("SELECT x, @today AS d FROM st_staging.a", 3, "declared-parameter", id="undeclared parameter"),
        pytest.param("SELECT FORMAT('%05d', x) AS d FROM st_staging.a", 3, "portable", id="FORMAT"),
        pytest.param("SELECT FORMAT_TIMESTAMP('%F', t) AS d FROM st_staging.a", 3, "portable", id="FORMAT_TIMESTAMP"),
        pytest.param("SELECT FORMAT_DATE('%F', d) AS d FROM st_staging.a", 3, "portable", id="FORMAT_DATE"),
        pytest.param("SELECT PARSE_TIMESTAMP('%F', s) AS d FROM st_staging.a", 3, "portable", id="PARSE_TIMESTAMP"),
        pytest.param("SELECT PARSE_DATE('%F', s) AS d FROM st_staging.a", 3, "portable", id="PARSE_DATE"),
        pytest.param("SELECT TIMESTAMP_MILLIS(x) AS d FROM st_staging.a", 3, "portable", id="TIMESTAMP_MILLIS"),
        pytest.param("SELECT AVG(x) AS d FROM st_staging.a", 3, "portable", id="AVG"),
        pytest.param("SELECT INSTR(s, 'x') AS d FROM st_staging.a", 3, "portable", id="INSTR"),
        pytest.param("SELECT FARM_FINGERPRINT(s) AS d FROM st_staging.a", 3, "portable", id="FARM_FINGERPRINT"),
        pytest.param("SELECT RANGE_BUCKET(x, [1]) AS d FROM st_staging.a", 3, "portable", id="RANGE_BUCKET"),
        pytest.param("SELECT IEEE_DIVIDE(x, x) AS d FROM st_staging.a", 3, "portable", id="IEEE_DIVIDE"),
        pytest.param("SELECT SAFE.PARSE_DATE('%F', s) AS d FROM st_staging.a", 3, "portable", id="SAFE prefix"),
        pytest.param("SELECT ARRAY_AGG(x ORDER BY x LIMIT 1) AS d FROM st_staging.a", 3, "portable", id="ARRAY_AGG"),
        pytest.param("SELECT SPLIT(s)[OFFSET(0)] AS d FROM st_staging.a", 3, "portable", id="OFFSET"),
        pytest.param("SELECT APPROX_COUNT_DISTINCT(x) AS d FROM st_staging.a", 3, "portable", id="APPROX_COUNT_DISTINCT"),
        pytest.param("SELECT MAX_BY(x, x) AS d FROM st_staging.a", 3, "portable", id="MAX_BY"),
        pytest.param("SELECT v FROM UNNEST([1]) AS v WITH OFFSET AS o", 3, "portable", id="WITH OFFSET"),
        pytest.param("SELECT LAX_INT64(j) AS d FROM st_staging.a", 3, "portable", id="LAX_INT64"),
        pytest.param("SELECT CAST(n AS FLOAT64) AS d FROM st_staging.a", 3, "portable", id="FLOAT64"),
        pytest.param("SELECT CAST(n AS BIGNUMERIC) AS d FROM st_staging.a", 3, "portable", id="BIGNUMERIC"),
        pytest.param("SELECT SUM(x) AS d FROM st_staging.a", 3, "portable", id="sum of INT64"),
        pytest.param("SELECT SAFE_DIVIDE(x, x) AS d FROM st_staging.a", 3, "portable", id="quotient of INT64"),
        pytest.param("SELECT SAFE_CAST(n AS INT64) AS d FROM st_staging.a", 3, "portable", id="a safe cast that rounds"),
        pytest.param("SELECT x FROM st_staging.a WHERE s = NULL", 3, "null-comparison", id="equal to NULL"),
        pytest.param("SELECT x FROM st_staging.a WHERE s <> NULL", 3, "null-comparison", id="unequal to NULL"),
        pytest.param("SELECT CAST(n AS STRING) AS d FROM st_staging.a", 3, "portable", id="text of a NUMERIC"),
        pytest.param("SELECT CAST(t AS STRING) AS d FROM st_staging.a", 3, "portable", id="text of an instant"),
        pytest.param("SELECT STRING_AGG(s) AS d FROM st_staging.a", 3, "deterministic", id="STRING_AGG without order"),
        pytest.param(
            "SELECT FIRST_VALUE(s) OVER (PARTITION BY x) AS d FROM st_staging.a", 3, "deterministic", id="FIRST_VALUE without order"
        ),
        pytest.param("SELECT x FROM st_staging.a TABLESAMPLE SYSTEM (10 PERCENT)", 3, "deterministic", id="TABLESAMPLE"),
        pytest.param("SELECT x FROM st_ops.chunks", 3, "known-table", id="how the load went, outside a check"),
        pytest.param("SELECT x FROM st_raw.INFORMATION_SCHEMA.TABLES", 3, "known-table", id="INFORMATION_SCHEMA"),
        pytest.param(
            "SELECT x FROM st_staging.a FOR SYSTEM_TIME AS OF TIMESTAMP '2025-01-01 00:00:00+00'", 3, "portable", id="time travel"
        ),
        pytest.param("SELECT SPLIT(s)[SAFE_OFFSET(0)] AS d FROM st_staging.a", 3, "portable", id="SAFE_OFFSET"),
        pytest.param("SELECT PARSE_DATETIME('%F', s) AS d FROM st_staging.a", 3, "portable", id="PARSE_DATETIME"),
        pytest.param("SELECT FORMAT_DATETIME('%F', t) AS d FROM st_staging.a", 3, "portable", id="FORMAT_DATETIME"),
        pytest.param("SELECT TIMESTAMP_SECONDS(x) AS d FROM st_staging.a", 3, "portable", id="TIMESTAMP_SECONDS"),
        pytest.param("SELECT TIMESTAMP_MICROS(x) AS d FROM st_staging.a", 3, "portable", id="TIMESTAMP_MICROS"),
        pytest.param("SELECT MIN_BY(x, x) AS d FROM st_staging.a", 3, "portable", id="MIN_BY"),
        pytest.param("SELECT APPROX_QUANTILES(x, 2) AS d FROM st_staging.a", 3, "portable", id="APPROX_QUANTILES"),
        pytest.param("SELECT STRING(j) AS d FROM st_staging.a", 3, "portable", id="STRING of JSON"),
        pytest.param("SELECT BOOL(j) AS d FROM st_staging.a", 3, "portable", id="BOOL of JSON"),
        pytest.param("SELECT LAX_BOOL(j) AS d FROM st_staging.a", 3, "portable", id="LAX_BOOL"),
        pytest.param("SELECT LAX_STRING(j) AS d FROM st_staging.a", 3, "portable", id="LAX_STRING"),
        pytest.param("SELECT LAX_FLOAT64(j) AS d FROM st_staging.a", 3, "portable", id="LAX_FLOAT64"),
        pytest.param("SELECT CONTAINS_SUBSTR(s, 'x') AS d FROM st_staging.a", 3, "portable", id="CONTAINS_SUBSTR"),
        pytest.param("SELECT x,\n  SOUNDEX(s) AS d FROM st_staging.a", 4, "portable", id="a function that is not listed"),
        pytest.param("SELECT NOT_BUILT_IN(s) AS d FROM st_staging.a", 3, "portable", id="a function that is not known"),
        pytest.param("SELECT SUBSTR(s, 0, 2) AS d FROM st_staging.a", 3, "portable", id="SUBSTR from 0"),
        pytest.param("SELECT SUBSTR(s, -1) AS d FROM st_staging.a", 3, "portable", id="SUBSTR from the end"),
        pytest.param("SELECT SUBSTR(s, x) AS d FROM st_staging.a", 3, "portable", id="SUBSTR from a column's value"),
        pytest.param("SELECT LEFT(s, x) AS d FROM st_staging.a", 3, "portable", id="LEFT of a column's value"),
        pytest.param("SELECT UPPER(s) AS d FROM st_staging.a", 3, "portable", id="UPPER"),
        pytest.param("SELECT REVERSE(s) AS d FROM st_staging.a", 3, "portable", id="REVERSE"),
        pytest.param("SELECT CHAR_LENGTH(s) AS d FROM st_staging.a", 3, "portable", id="another name of a function"),
        pytest.param("SELECT s LIKE s AS d FROM st_staging.a", 3, "portable", id="LIKE a column's value"),
        pytest.param("SELECT REGEXP_EXTRACT(s, s) AS d FROM st_staging.a", 3, "portable", id="a column's value as pattern"),
        pytest.param("SELECT s || 'x' AS d FROM st_staging.a", 3, "portable", id="||"),
        pytest.param("SELECT n * n AS d FROM st_staging.a", 3, "portable", id="a product of NUMERICs"),
        pytest.param("SELECT ROUND(n * n, 2) AS d FROM st_staging.a", 3, "portable", id="a product rounded to less"),
        pytest.param("SELECT n * 1.5 AS d FROM st_staging.a", 3, "portable", id="a FLOAT64 as operand"),
        pytest.param("SELECT 1.5 AS d FROM st_staging.a", 3, "portable", id="a FLOAT64 as column"),
        pytest.param("SELECT CAST(0.05 AS NUMERIC) AS d FROM st_staging.a", 3, "portable", id="a FLOAT64 that is cast"),
        pytest.param("SELECT b'x' AS d FROM st_staging.a", 3, "portable", id="BYTES"),
        pytest.param("SELECT x FROM st_staging.a WHERE d > '2025-01-31'", 3, "portable", id="a text as a day"),
        pytest.param("SELECT x FROM st_staging.a WHERE s = x", 3, "portable", id="a text beside a whole number"),
        pytest.param("SELECT COALESCE(s, x) AS d FROM st_staging.a", 3, "portable", id="a choice of two types"),
        pytest.param("SELECT NULLIF(x, n) AS d FROM st_staging.a", 3, "portable", id="NULLIF of an INT64 and a NUMERIC"),
        pytest.param("SELECT DATE '2025-1-6' AS d FROM st_staging.a", 3, "portable", id="a day that is written otherwise"),
        pytest.param("SELECT TIMESTAMP '2025-01-06' AS d FROM st_staging.a", 3, "portable", id="an instant without a zone"),
        pytest.param("SELECT NUMERIC '1e3' AS d FROM st_staging.a", 3, "portable", id="a number that is written otherwise"),
        pytest.param("SELECT CAST(s AS DATE) AS d FROM st_staging.a", 3, "portable", id="a text cast to a DATE"),
        pytest.param("SELECT CAST(s AS INT64) AS d FROM st_staging.a", 3, "portable", id="a text cast to an INT64"),
        pytest.param("SELECT SAFE_CAST(s AS TIMESTAMP) AS d FROM st_staging.a", 3, "portable", id="a text read as an instant"),
        pytest.param("SELECT SAFE_CAST(x AS STRING) AS d FROM st_staging.a", 3, "portable", id="SAFE_CAST of a number"),
        pytest.param("SELECT CAST(d AS STRING FORMAT 'YYYY') AS d FROM st_staging.a", 3, "portable", id="a format"),
        pytest.param("SELECT DATE(t, 'UTC') AS d FROM st_staging.a", 3, "portable", id="another zone"),
        pytest.param("SELECT DATE(2025, 1, 31) AS d FROM st_staging.a", 3, "portable", id="DATE of three numbers"),
        pytest.param("SELECT DATE_ADD(d, INTERVAL x DAY) AS d FROM st_staging.a", 3, "portable", id="a column's value as interval"),
        pytest.param("SELECT DATE_TRUNC(d, WEEK) AS d FROM st_staging.a", 3, "portable", id="a week from Sunday"),
        pytest.param("SELECT TIMESTAMP_TRUNC(t, DAY, 'UTC') AS d FROM st_staging.a", 3, "portable", id="TIMESTAMP_TRUNC in a zone"),
        pytest.param("SELECT JSON_VALUE(j, '$.a[0]') AS d FROM st_staging.a", 3, "portable", id="a path through an array"),
        pytest.param("SELECT j = j AS d FROM st_staging.a", 3, "portable", id="JSON compared"),
        pytest.param("SELECT STRUCT(x, s) AS d FROM st_staging.a", 3, "portable", id="STRUCT"),
        pytest.param("SELECT x IN (SELECT y FROM st_staging.a) AS d FROM st_staging.a", 3, "portable", id="IN of a query"),
        pytest.param("SELECT COUNT(DISTINCT x, s) AS d FROM st_staging.a", 3, "portable", id="COUNT DISTINCT of two"),
        pytest.param("SELECT STRING_AGG(DISTINCT s, ',' ORDER BY s) AS d FROM st_staging.a", 3, "portable", id="STRING_AGG DISTINCT"),
        pytest.param("SELECT SUM(n) OVER (ORDER BY x ROWS 1 PRECEDING) AS d FROM st_staging.a", 3, "portable", id="a frame"),
        pytest.param("SELECT x FROM st_staging.a GROUP BY ROLLUP(x)", 3, "portable", id="ROLLUP"),
        pytest.param("SELECT x FROM st_staging.a ORDER BY x LIMIT 1 OFFSET 1", 3, "portable", id="OFFSET of rows"),
        pytest.param("SELECT x FROM st_staging.a EXCEPT DISTINCT SELECT x FROM st_staging.a", 3, "portable", id="EXCEPT"),
        pytest.param("SELECT x AS d FROM st_staging.a UNION ALL\nSELECT s FROM st_staging.a", 3, "portable", id="a UNION of two types"),
        pytest.param("SELECT s AS d\nFROM st_staging.a WHERE x", 4, "portable", id="a number as condition"),
        pytest.param("SELECT COUNT(*) AS d FROM st_staging.a\nHAVING COUNT(*)", 4, "portable", id="a count as condition"),
        pytest.param("SELECT LOWER(s) AS s, COUNT(*) AS d\nFROM st_staging.a GROUP BY s", 4, "portable", id="GROUP BY of two things"),
        pytest.param(
            "SELECT x + 1 AS x FROM (SELECT y AS x FROM st_staging.a) AS b GROUP BY x", 3, "portable", id="GROUP BY of two things, nested"
        ),
        pytest.param("SELECT x\n, nope\nFROM st_staging.a", 4, "known-column", id="unknown column"),
        pytest.param("SELECT x\n, a.nope\nFROM st_staging.a AS a", 4, "known-column", id="unknown column of a table"),
        pytest.param("SELECT x\nFROM st_staging.a WHERE (", 4, "statement", id="syntax error"),
        pytest.param("SELECT x FROM st_staging.a; SELECT x FROM st_staging.a", 1, "statement", id="two statements"),
        pytest.param("DELETE FROM st_staging.a WHERE TRUE", 1, "statement", id="not a SELECT"),
        pytest.param("INSERT INTO st_staging.a (x) SELECT 1", 1, "statement", id="an INSERT"),
        pytest.param("CREATE TABLE st_staging.b AS SELECT 1 AS x", 1, "statement", id="a CREATE"),
        pytest.param("DECLARE x INT64", 1, "statement", id="a DECLARE"),
        pytest.param("ASSERT (SELECT TRUE)", 1, "statement", id="an ASSERT"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_found_where_it_is_broken(
    tmp_path: Path, body: str, line: int, rule: str
) -> None:
    root = project(
        tmp_path,
        {
            "a.sql": "-- A.\n-- table: st_staging.a\n"
            "SELECT tenant_id, id AS x, job_number AS s, total AS n, created_on AS t, DATE(created_on) AS d,\n"
            "  id AS y, _extra AS j FROM st_raw.jobs",
            "made.sql": HEADER + body,
        },
    )
    assert ("made.sql", line, rule) in findings(root)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("SELECT COUNT(*) AS n FROM st_staging.a", id="COUNT(*) is no star"),
        pytest.param(
            "SELECT a.x FROM st_staging.a AS a\nCROSS JOIN st_staging.a AS b -- cross join: two rows", id="a reason"
        ),
        pytest.param(
            "SELECT a.x FROM st_staging.a AS a\nJOIN st_staging.a AS b -- no tenant: one row\n  ON b.x = a.x", id="no tenant"
        ),
        pytest.param("SELECT x FROM st_staging.a ORDER BY x LIMIT 1", id="LIMIT with order"),
        pytest.param("SELECT v FROM UNNEST([1]) AS v", id="UNNEST"),
        pytest.param("SELECT CAST(n AS INT64) AS d, CAST(NULL AS INT64) AS e FROM st_staging.a", id="whole casts"),
        pytest.param("SELECT ROUND(n * n, 9) AS d, n * x AS e, 2 * n AS f FROM st_staging.a", id="products"),
        pytest.param("SELECT DATE '2025-01-31' AS d, NUMERIC '-1.5' AS e FROM st_staging.a", id="values that are written"),
        pytest.param(f"SELECT {', '.join(f'@{p} AS {p}' for p in PARAMETERS)}, x FROM st_staging.a", id="parameters"),
        pytest.param("SELECT SUM(CAST(x AS NUMERIC)) AS d FROM st_staging.a", id="a cast sum"),
        pytest.param("WITH c AS (SELECT x FROM st_staging.a) SELECT x FROM c", id="a CTE"),
        pytest.param("SELECT SAFE_DIVIDE(n, n) AS d FROM st_staging.a", id="a safe division"),
        pytest.param("SELECT x FROM st_staging.a WHERE n IS NULL", id="IS NULL"),
        pytest.param("SELECT x, a.n FROM st_staging.a AS a FULL JOIN st_staging.a AS b USING (tenant_id, x)", id="USING"),
        pytest.param("SELECT abs(n) AS d FROM st_staging.a", id="small letters"),
        pytest.param("SELECT x + 1 AS m, COUNT(*) AS d FROM st_staging.a GROUP BY m", id="GROUP BY of a new name"),
        pytest.param("SELECT x AS x, COUNT(*) AS d FROM st_staging.a GROUP BY x", id="GROUP BY of a column by its name"),
        pytest.param("SELECT CAST(x AS STRING) AS d, CAST(@as_of AS STRING) AS e FROM st_staging.a", id="text of whole numbers"),
        pytest.param("SELECT STRING_AGG(CAST(x AS STRING), ',' ORDER BY x) AS d FROM st_staging.a", id="STRING_AGG with order"),
        pytest.param(
            "SELECT x FROM st_staging.a QUALIFY ROW_NUMBER() OVER (PARTITION BY x ORDER BY n) = 1", id="a window with order"
        ),
        pytest.param(
            "SELECT a.x FROM st_staging.a AS a JOIN st_staging.a AS b ON b.tenant_id = a.tenant_id AND b.x = a.x", id="a join"
        ),
    ],
)  # fmt: skip
def test_what_is_allowed(tmp_path: Path, body: str) -> None:
    a = "-- A.\n-- table: st_staging.a\nSELECT tenant_id, id AS x, total AS n FROM st_raw.jobs"
    assert findings(project(tmp_path, {"a.sql": a, "made.sql": HEADER + body})) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("SELECT 1 AS x", "statement", id="no purpose"),
        pytest.param("-- Purpose.\nSELECT 1 AS x", "statement", id="no target"),
        pytest.param(
            "-- Purpose.\n-- table: st_dim.a\n-- check: fail\nSELECT 1 AS x",
            "statement",
            id="two targets",
        ),
        pytest.param(
            "-- Purpose.\n-- check: perhaps\nSELECT 1 AS x", "statement", id="unknown severity"
        ),
        pytest.param(
            "-- Purpose.\n-- table: elsewhere.a\nSELECT 1 AS x", "target", id="unknown schema"
        ),
        pytest.param(
            "-- Purpose.\n-- table: st_raw.jobs\nSELECT 1 AS x", "target", id="a raw table"
        ),
        pytest.param(
            "-- Purpose.\n-- table: st_ref.dim_kpis\nSELECT 1 AS x",
            "target",
            id="a table of the product",
        ),
        pytest.param(
            "-- Purpose.\n-- table: st_kpi.contributions\nSELECT 1 AS x",
            "target",
            id="not in a KPI folder",
        ),
        pytest.param("", "statement", id="empty"),
    ],
)
def test_header(tmp_path: Path, text: str, rule: str) -> None:
    assert ("made.sql", 1, rule) in findings(project(tmp_path, {"made.sql": text}))


CHECKED = """\
-- Every one is one.
-- check: fail ones
SELECT x FROM st_staging.a WHERE x <> 1;

-- None is two; this goes on.
-- check: warn twos
SELECT x
FROM st_staging.a
WHERE x = {two};  -- that is all
"""


def test_a_file_of_checks_holds_several_claims(tmp_path: Path) -> None:
    a = "-- A.\n-- table: st_staging.a\nSELECT id AS x FROM st_raw.jobs"
    root = project(tmp_path, {"a.sql": a, "kpis/one/checks.sql": CHECKED.format(two=2)})
    checks = [s for s in read_statements(root) if s.severity]
    assert [(s.name, s.severity, s.purpose) for s in checks] == [
        ("kpis/one/checks/ones", "fail", "Every one is one."),
        ("kpis/one/checks/twos", "warn", "None is two; this goes on."),
    ]
    project(tmp_path, {"kpis/one/checks.sql": CHECKED.format(two="nope")})
    assert ("kpis/one/checks.sql", 9, "known-column") in findings(root)
    project(tmp_path, {"kpis/one/checks.sql": CHECKED.format(two="(")})
    assert ("kpis/one/checks.sql", 9, "statement") in findings(root)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        pytest.param(CHECKED.replace(" ones", ""), 1, "needs a name", id="no name"),
        pytest.param(CHECKED.replace("twos", "ones"), 5, "Two checks are called ones", id="a name twice"),
        pytest.param(CHECKED.replace("warn twos", "perhaps twos"), 5, "`fail` or `warn`", id="unknown severity"),
        pytest.param(CHECKED.replace("check: warn twos", "table: st_dim.b"), 5, "holds checks only", id="a table"),
        pytest.param("", 1, "no check here", id="empty"),
    ],
)  # fmt: skip
def test_a_file_of_checks_that_cannot_be_read(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    root = project(tmp_path, {"kpis/one/checks.sql": text.replace("{two}", "2")})
    (finding,) = [f for f in lint(root) if f.rule == "statement"]
    assert (finding.line, reason in finding.message) == (line, True), finding


ALTERNATIVE = (
    "alternatives:\n  - name: other\n    title: Other\n    meaning: Counted in another way.\n"
)


@pytest.mark.parametrize(
    ("card", "file", "reason"),
    [
        pytest.param(ALTERNATIVE, None, "either settings on the card or the file", id="neither"),
        pytest.param(ALTERNATIVE + "    settings: {include_tax: false}\n", "other", "not both", id="both"),
        pytest.param(ALTERNATIVE + "    settings: {no_tax: true}\n", None, "no_tax is no setting", id="unknown setting"),
        pytest.param("", "other", "does not name the alternative other", id="not on the card"),
    ],
)  # fmt: skip
def test_an_alternative_is_on_the_card_and_somewhere_else(
    tmp_path: Path, card: str, file: str | None, reason: str
) -> None:
    files = {"kpis/leads/card.yaml": CARD + card}
    if file:
        files[f"kpis/leads/alternatives/{file}.sql"] = "-- O.\n-- alternative: sum\nSELECT 1 AS x"
    (finding,) = [f for f in lint(project(tmp_path, files)) if f.rule == "alternative"]
    assert reason in finding.message


def test_an_alternative_is_made_of_contributions_and_stands_in_its_place(tmp_path: Path) -> None:
    root = project(tmp_path, {"made.sql": "-- O.\n-- alternative: distinct\nSELECT 1 AS x"})
    assert findings(root) == [("made.sql", 1, "contribution"), ("made.sql", 1, "target")]
    project(tmp_path, {"made.sql": "-- O.\n-- alternative: most\nSELECT 1 AS x"})
    assert findings(root) == [("made.sql", 1, "statement")]


INLINE = (
    "-- Jobs that count.\n-- inline: st_staging.counting\n"
    "SELECT tenant_id, id AS job_id FROM st_raw.jobs WHERE active"
)
READER = (
    "-- Jobs that count, numbered.\n-- table: st_dim.made\n-- incremental_by: job_id\n"
    "SELECT one.tenant_id, one.job_id FROM st_staging.billed AS one\n"
    "JOIN st_staging.counting AS job ON job.tenant_id = one.tenant_id AND job.job_id = one.job_id"
)
BILLED = "-- Invoices.\n-- table: st_staging.billed\nSELECT tenant_id, job_id FROM st_raw.invoices"


def test_what_is_inline_stands_in_front_of_what_reads_it(tmp_path: Path) -> None:
    outer = (
        "-- Once more.\n-- inline: st_staging.seldom\n"
        "SELECT tenant_id, job_id FROM st_staging.counting WHERE @include_tax"
    )
    files = {"a.sql": READER, "b.sql": INLINE, "c.sql": outer, "d.sql": BILLED}
    files["a.sql"] = READER.replace("st_staging.counting", "st_staging.seldom")
    root = project(tmp_path, files)
    assert findings(root) == []
    inspected = inspect(root)
    assert {s.name for s in inspected.statements} == {"a", "b", "c", "d"}
    billed, made = inspected.compiled
    assert (billed.table, billed.sql) == ("st_staging.billed", BILLED)
    assert made.reads == {"st_staging.billed", "st_raw.jobs"}
    assert made.parameters == {"include_tax"}
    assert made.tree.named_selects == ["tenant_id", "job_id"]
    assert (made.purpose, made.meaning) == (
        "Jobs that count, numbered.",
        "Jobs that count, numbered.",
    )
    assert inspected.by_key == {"a": {"st_staging.billed"}}


def test_an_order_stays_that_of_the_whole(tmp_path: Path) -> None:
    """On BigQuery that of a query inside of another one is none."""
    checks = {
        "checks/two.sql": "-- Two.\n-- check: warn\nSELECT job_id FROM st_staging.counting ORDER BY job_id",
        "checks/own.sql": (
            "-- Own.\n-- check: warn\n-- So.\nWITH own AS (SELECT job.job_id, COUNT(*) AS n FROM st_staging.counting AS job"
            " GROUP BY job_id)\nSELECT n FROM own ORDER BY n"
        ),
    }
    root = project(tmp_path, {"b.sql": INLINE, **checks})
    assert findings(root) == []
    for check in inspect(root).compiled:
        assert check.tree.args["order"] is not None
        assert check.reads == {"st_raw.jobs"}
        assert check.sql.startswith("-- ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("st_staging.counting AS job", "`st_staging`.`counting` AS job", id="quoted"),
        pytest.param(
            "counting AS job ON job.tenant_id = one.tenant_id AND job.job_id",
            "counting ON counting.tenant_id = one.tenant_id AND counting.job_id",
            id="columns told by the name of the table",
        ),
        pytest.param("JOIN st_staging.counting", "JOIN st_staging.billed", id="nobody reads it"),
    ],
)
def test_what_cannot_stand_in_front_is_a_finding(tmp_path: Path, old: str, new: str) -> None:
    assert old in READER
    root = project(tmp_path, {"a.sql": READER.replace(old, new), "b.sql": INLINE, "d.sql": BILLED})
    assert "inline" in {found[2] for found in findings(root)}


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        pytest.param("st_staging.counting\n", "st_kpi.counting\n", "target", id="a table for readers"),
        pytest.param("counting\n", "counting\n-- incremental_by: job_id\n", "target", id="a key"),
        pytest.param("counting\n", "counting\n-- replaces: job_id = 1\n", "target", id="rows renewed"),
        pytest.param("counting\n", "counting\n-- table: st_staging.b\n", "statement", id="a table too"),
    ],
)  # fmt: skip
def test_what_is_inline_is_of_the_build_alone_and_never_stored(
    tmp_path: Path, old: str, new: str, rule: str
) -> None:
    root = project(tmp_path, {"b.sql": INLINE.replace(old, new, 1)})
    assert rule in {found[2] for found in findings(root)}


LOG = (
    "-- What changed.\n-- history: st_ops.reported_weeks append\n"
    "SELECT tenant_id, 'leads' AS kpi, CAST(NULL AS DATE) AS week_start, @build AS build\n"
    "FROM st_staging.weeks_before"
)
BEFORE = (
    "-- What was there.\n-- history: st_staging.weeks_before replace\n"
    "SELECT DISTINCT tenant_id FROM st_kpi.kpi_reported"
)


def test_the_history_stands_beside_the_build(tmp_path: Path) -> None:
    files = {"history/weeks.sql": LOG, "history/weeks_before.sql": BEFORE}
    root = project(tmp_path, files)
    assert findings(root) == []
    inspected = inspect(root)
    assert inspected.statements == ()
    assert {n: (s.table, str(s.history)) for n, s in inspected.history.items()} == {
        "weeks": ("st_ops.reported_weeks", "append"),
        "weeks_before": ("st_staging.weeks_before", "replace"),
    }
    assert inspected.history_tables["st_staging.weeks_before"] == {"tenant_id": "INT64"}
    assert "st_staging.weeks_before" not in inspected.tables
    assert "st_kpi.kpi_reported" not in inspected.tables


@pytest.mark.parametrize(
    ("file", "text", "line", "rule"),
    [
        pytest.param("history/weeks.sql", LOG.replace("'leads' AS kpi, ", ""), 1, "history", id="a column is missing"),
        pytest.param("history/weeks.sql", LOG.replace("'leads' AS", "1 AS"), 1, "history", id="another type"),
        pytest.param("history/weeks.sql", LOG.replace("st_ops.reported_weeks", "st_kpi.a"), 1, "history", id="no log of ours"),
        pytest.param("history/weeks.sql", LOG.replace("append", "add"), 1, "statement", id="unknown use"),
        pytest.param("history/weeks.sql", LOG.replace(" append", ""), 1, "statement", id="no use"),
        pytest.param("history/weeks.sql", LOG.replace("@build", "@timezone"), 3, "declared-parameter", id="a build's parameter"),
        pytest.param("history/weeks.sql", LOG.replace("tenant_id,", "nope,", 1), 3, "known-column", id="unknown column"),
        pytest.param("history/weeks.sql", LOG.replace("weeks_before", "later"), 4, "known-table", id="unknown table"),
        pytest.param("history/weeks.sql", LOG.replace("append", "replace"), 1, "target", id="a log replaced"),
        pytest.param("weeks.sql", LOG, 1, "target", id="elsewhere"),
        pytest.param("history/weeks_once_more.sql", BEFORE, 1, "target", id="two files for one table"),
        pytest.param("history/weeks.sql", HEADER + "SELECT 1 AS x", 1, "target", id="a table of the build"),
        pytest.param("made.sql", HEADER + "SELECT tenant_id FROM st_staging.weeks_before", 3, "known-table", id="read by the build"),
        pytest.param("made.sql", HEADER + "SELECT kpi FROM st_kpi.kpi_reported", 3, "known-table", id="a log read by the build"),
    ],
)  # fmt: skip
def test_a_history_that_breaks_a_rule(
    tmp_path: Path, file: str, text: str, line: int, rule: str
) -> None:
    root = project(tmp_path, {"history/weeks_before.sql": BEFORE, file: text})
    assert (file, line, rule) in findings(root)


@pytest.mark.parametrize(
    ("condition", "rules"),
    [
        pytest.param("x = 1", [], id="a comparison"),
        pytest.param("UPPER(s) = 'A'", ["portable"], id="a function that is not listed"),
        pytest.param("y = 1", ["statement"], id="an unknown column"),
        pytest.param("x = (", ["statement"], id="a syntax error"),
    ],
)
def test_the_condition_on_renewed_rows_is_read_too(
    tmp_path: Path, condition: str, rules: list[str]
) -> None:
    header = f"-- Rows of a test.\n-- table: st_dim.made\n-- replaces: {condition}\n"
    root = project(tmp_path, {"a.sql": header + "SELECT 1 AS x, 'a' AS s"})
    assert [finding.rule for finding in lint(root)] == rules


def test_two_files_for_one_table(tmp_path: Path) -> None:
    root = project(tmp_path, {"a.sql": HEADER + "SELECT 1 AS x", "b.sql": HEADER + "SELECT 1 AS x"})
    assert findings(root) == [("b.sql", 1, "target")]


def test_a_circle_names_the_files(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        {
            "a.sql": "-- A.\n-- table: st_dim.a\nSELECT x FROM st_dim.b",
            "b.sql": "-- B.\n-- table: st_dim.b\nSELECT x FROM st_dim.a",
        },
    )
    (finding,) = lint(root)
    assert finding.rule == "cycle"
    assert "a reads b reads a" in finding.message or "b reads a reads b" in finding.message


def test_a_kpi_is_a_folder_with_card_and_contributions(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        {"kpis/one/card.yaml": CARD, "kpis/Two/contributions.sql": HEADER + "SELECT 1 AS x"},
    )
    assert {(f[0], f[2]) for f in findings(root)} == {
        ("kpis/one", "kpi-folder"),
        ("kpis/Two", "kpi-folder"),
        ("kpis/Two/contributions.sql", "target"),
    }


@pytest.mark.parametrize(
    ("card", "line"),
    [
        pytest.param(CARD.replace("kind: sum", "kind: average"), 3, id="unknown kind"),
        pytest.param(CARD.replace("version: 2", "version: zero"), 10, id="no number"),
        pytest.param(CARD.replace("title: Leads\n", ""), 1, id="missing key"),
        pytest.param(CARD + "colour: blue\n", 12, id="unknown key"),
        pytest.param("title: [", 1, id="not YAML"),
        pytest.param("", 1, id="empty"),
    ],
)
def test_a_card_that_cannot_be_read(tmp_path: Path, card: str, line: int) -> None:
    contributions = (default_root() / "kpis/leads/contributions.sql").read_text(encoding="utf-8")
    root = project(
        tmp_path, {"kpis/leads/card.yaml": card, "kpis/leads/contributions.sql": contributions}
    )
    assert ("kpis/leads/card.yaml", line, "card") in findings(root)


def test_contributions_have_fixed_columns_and_types(tmp_path: Path) -> None:
    root = Path(shutil.copytree(default_root(), tmp_path / "sql"))
    file = root / "kpis/leads/contributions.sql"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("CAST(1 AS NUMERIC) AS amount", "'1' AS amount"), encoding="utf-8")
    assert findings(root) == [("kpis/leads/contributions.sql", 1, "contribution")]
    file.write_text(text.replace("AS amount", "AS money"), encoding="utf-8")
    assert findings(root) == [("kpis/leads/contributions.sql", 1, "contribution")]


def test_the_wide_table_has_every_kpi(tmp_path: Path) -> None:
    root = Path(shutil.copytree(default_root(), tmp_path / "sql"))
    shutil.copytree(root / "kpis/gpm", root / "kpis/margin")
    wide = "rollup/kpi_weekly_wide.sql"
    assert findings(root) == [(wide, 1, "wide")] * 3


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    root = project(tmp_path, {"a.sql": HEADER + "SELECT 1 AS x"})
    assert inspect(root) is inspect(root)
    assert lint(root) == []
    (root / "a.sql").write_text(HEADER + "SELECT RAND() AS x", encoding="utf-8")
    assert [f.rule for f in lint(root)] == ["deterministic"]


def test_refuse_raises_the_first_finding(tmp_path: Path) -> None:
    root = project(tmp_path, {"a.sql": HEADER + "SELECT RAND() AS x,\n RAND() AS y"})
    refuse([])
    with pytest.raises(SqlError, match=r"a\.sql:3: deterministic: .*1 more: run st-kpi lint"):
        refuse(lint(root))


def test_each_statement_comes_after_what_it_reads() -> None:
    done: set[str] = {"st_kpi.contributions"}
    statements = in_order(s for s in read_statements(default_root()) if not s.history)
    own = {s.table for s in statements if s.table}
    for statement in statements:
        assert not {t for t in statement.reads if t in own} - done - {statement.table}
        done.add(statement.table or "")
    contributions = [n for n, s in enumerate(statements) if s.kpi]
    daily = [n for n, s in enumerate(statements) if s.table == "st_kpi.kpi_daily"]
    assert max(contributions) < daily[0]
    kinds = [
        "fills" if s.table else "checks" if s.severity else "stands beside" for s in statements
    ]
    assert kinds == sorted(kinds, key=["fills", "checks", "stands beside"].index)
