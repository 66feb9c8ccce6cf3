"""Nothing secret and nobody's name, phone or street stays behind; and what comes from outside cannot break out."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import duckdb
import httpx
import pytest

from flows.backfill import backfill
from st_kpi.columns import Column, ColumnType
from st_kpi.errors import ConfigurationError
from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.normalized import Stamp
from st_kpi.ingest.session import Session, credentials, open_session
from st_kpi.kpis.mappings import UNIT_COLUMNS, UNIT_TABLE, SourceRecord, read_units
from st_kpi.sandbox import SandboxCredentials, generate_company
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.schema import columns, lines
from st_kpi.servicetitan.tables import entity_tables, raw_tables
from st_kpi.settings import load_settings
from st_kpi.warehouse import open_warehouse
from tests.conftest import tenant_settings
from tests.support.tenant import Tenant

#: In every personal text of every record, in whatever else may hold one, and nowhere else.
PERSONAL = "Qxzperson"
#: In every coordinate, which is a number.
DIGITS = 33.7193518264
#: The sandbox's own secrets, and the beginning of each access token that it hands out.
SECRETS = (
    SandboxCredentials.CLIENT_ID,
    SandboxCredentials.CLIENT_SECRET,
    SandboxCredentials.APP_KEY,
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
)
HIDDEN = (*SECRETS, PERSONAL, str(DIGITS)[:10])
PUBLIC = "Zinnober campaign"


class Marked(Tenant):
    """A tenant whose every personal field holds a mark, and whose errors quote one."""

    def misbehave(self, *faults: str, seed: int = 1) -> None:
        super().misbehave(*faults, seed=seed)
        inner = self._faulty

        async def marking(scope: Any, receive: Any, send: Any) -> None:
            start: dict[str, Any] = {}
            body = b""

            async def edit(message: Any) -> None:
                nonlocal start, body
                if message["type"] == "http.response.start":
                    start = message
                    return
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                if scope["path"] != "/connect/token" or start["status"] != 200:
                    body = _marked(scope["path"], start["status"], body)
                length = (b"content-length", str(len(body)).encode())
                headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                await send(start | {"headers": [*headers, length]})
                await send({"type": "http.response.body", "body": body})

            await inner(scope, receive, edit)

        self._faulty = marking  # type: ignore[assignment]


def _marked(path: str, status: int, body: bytes) -> bytes:
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    if status != 200:
        told = {"detail": f"{PERSONAL} 1", "error_description": PERSONAL}
        return json.dumps(answer | told | {"errors": {"name": [PERSONAL]}}).encode()
    found = [e for e in REGISTRY.values() if f"{e.module}/" in path and _ends(path, e)]
    records = answer if isinstance(answer, list) else answer["data"]
    for entity in found[:1]:
        nested = lines(entity.model)
        for n, record in enumerate(records):
            _mark(record, columns(entity.model, personal=True), n)
            for line in (record.get(nested.path) or ()) if nested else ():
                _mark(line, columns(nested.model, personal=True), n)  # type: ignore[union-attr]
    return json.dumps(answer).encode()


def _ends(path: str, entity: Any) -> bool:
    return path.endswith((f"/{entity.path}", f"/{entity.export}"))


def _mark(record: dict[str, Any], found: Any, n: int) -> None:
    """Put the mark into each personal field; a name keeps what it was, for the flag made from it."""
    for column in found:
        if column.personal:
            *above, name = column.path
            holder: Any = record
            for part in above:
                holder = holder.get(part) if isinstance(holder, dict) else None
            if isinstance(holder, dict):
                holder[name] = _mark_for(column, holder.get(name), n)


def _mark_for(column: Column, value: Any, n: int) -> Any:
    if column.type is ColumnType.FLOAT64:
        return DIGITS
    if column.type is ColumnType.JSON:
        return [{"name": f"{PERSONAL} field", "value": PERSONAL}]
    return f"{PERSONAL} {value or n}"


@pytest.fixture(scope="module")
def tenant() -> Iterator[Marked]:
    company = generate_company(seed=7, scale=0.004)
    company.campaigns[0].name = PUBLIC
    company.touch()
    with Marked(company) as served:
        yield served


class Life:
    """Commands in processes of their own, in one folder, and everything that they printed."""

    def __init__(self, url: str, folder: Path, prefect_api: str) -> None:
        self.folder = folder
        self.file = folder / "kpi.duckdb"
        self.printed = ""
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("ST_KPI_")} | {
            "ST_KPI_TENANT_ID": str(SandboxCredentials.TENANT_ID),
            "ST_KPI_CLIENT_ID": SandboxCredentials.CLIENT_ID,
            "ST_KPI_CLIENT_SECRET": SandboxCredentials.CLIENT_SECRET,
            "ST_KPI_APP_KEY": SandboxCredentials.APP_KEY,
            "ST_KPI_API_URL": url,
            "ST_KPI_AUTH_URL": url,
            "ST_KPI_TIMEZONE": "America/Phoenix",
            "ST_KPI_WAREHOUSE": f"duckdb:///{self.file}",
            "PREFECT_API_URL": prefect_api,
            "PREFECT_HOME": str(folder / "prefect"),
            # As talkative as it can be: all of it goes to Prefect's database and to the terminal.
            "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "st_kpi",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "DEBUG",
        }

    def run(self, *arguments: str, ends: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "st_kpi", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.printed += done.stdout + done.stderr
        assert done.returncode == ends, done.stderr[-3000:]
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def life(tenant: Marked, prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A backfill with errors and refused rows, a day of changes, a sync, a build, and somebody reading."""
    life = Life(tenant.url, tmp_path_factory.mktemp("life"), prefect_server)
    rough = [
        "server-error=0.05",
        "number-as-word=0.1@accounting/invoices#subTotal",
        "forbidden@/payrolls",
    ]
    awry = ["object-as-string=0.2@crm#address", "unknown-field@jpm/jobs", "truncated-json=0.02"]
    tenant.misbehave(*rough, *awry)
    assert "rows refused" in life.run("backfill", ends=1)
    tenant.misbehave("token-refused")
    life.run("sync", ends=2)
    tenant.misbehave()
    life.run("backfill")
    tenant.live(150)
    tenant.misbehave("number-as-word=0.5@export/invoices#subTotal", "token-dies=0.2")
    named = ("customers", "locations", "jobs", "estimates", "invoices")
    life.run("sync", *(f"--entity={name}" for name in named), ends=1)
    tenant.misbehave()
    life.run("sync", "--sweep")
    life.run("build", "--as-of", str(tenant.company.last_day))
    life.run("status")
    life.run("explain", "leads", "--week", "2025-10-13")
    return life


def stored(file: Path) -> str:
    """Every column of every table as text: the file itself is compressed."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{file}' AS warehouse (READ_ONLY)")
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'warehouse'"
        ).fetchall()
        assert len(tables) > 40
        return "\n".join(
            str(row)
            for schema, table in tables
            for row in connection.execute(
                f'SELECT CAST(COLUMNS(*) AS VARCHAR) FROM warehouse."{schema}"."{table}"'
            ).fetchall()
        )


#: What the Prefect server keeps, by where it is asked for.
KEPT = (
    "flows",
    "flow_runs",
    "task_runs",
    "logs",
    "artifacts",
    "artifacts/latest",
    "block_documents",
    "block_types",
    "variables",
    "deployments",
    "concurrency_limits",
    "v2/concurrency_limits",
)


def prefect_keeps(api: str) -> dict[str, str]:
    """Everything, page by page, as text."""
    found = {}
    with httpx.Client(base_url=api, trust_env=False, timeout=60) as client:
        for kind in KEPT:
            pages: list[Any] = []
            while True:
                asked = {"limit": 200, "offset": len(pages)}
                page = client.post(f"{api}/{kind}/filter", json=asked).raise_for_status().json()
                pages += page
                if len(page) < 200:
                    break
            found[kind] = json.dumps(pages, ensure_ascii=False)
        states = [client.get(f"{api}/flow_run_states/", params={"flow_run_id": run["id"]})
                  for run in json.loads(found["flow_runs"])]  # fmt: skip
        found["states"] = "".join(answer.raise_for_status().text for answer in states)
        events = client.post(f"{api}/events/filter", json={"limit": 50})
        following: list[str] = []
        while True:
            following.append(events.raise_for_status().text)
            if not (after := events.json().get("next_page")):
                break
            events = client.get(after)
        found["events"] = "".join(following)
    return found


def assert_hidden(text: str, where: str) -> None:
    for secret in HIDDEN:
        if (at := text.lower().find(secret.lower())) >= 0:
            pytest.fail(f"{where} has {secret}: ...{text[max(0, at - 300) : at + 100]}...")


def test_the_marks_are_really_served(tenant: Marked) -> None:
    """Else the other tests would find nothing because nothing was there."""
    raw = httpx.post(
        f"{tenant.url}/connect/token",
        data={"client_id": SandboxCredentials.CLIENT_ID, "client_secret": SandboxCredentials.CLIENT_SECRET,
              "grant_type": "client_credentials"},
        trust_env=False,
    ).json()  # fmt: skip
    assert raw["access_token"].startswith(SECRETS[-1])
    headers = {
        "Authorization": f"Bearer {raw['access_token']}",
        "ST-App-Key": SandboxCredentials.APP_KEY,
    }
    unmarked = []
    for entity in REGISTRY.values():
        url = f"{tenant.url}/{entity.module}/v2/tenant/{SandboxCredentials.TENANT_ID}/{entity.path}"
        text = httpx.get(url, headers=headers, params={"pageSize": "50"}, trust_env=False).text
        nested = lines(entity.model)
        models = [entity.model, *([nested.model] if nested else [])]
        personal = any(c.personal for model in models for c in columns(model, personal=True))
        if personal and PERSONAL not in text:
            unmarked.append(entity.name)
    assert unmarked == []


def test_nothing_personal_or_secret_is_printed(life: Life) -> None:
    assert "invoices" in life.printed
    assert_hidden(life.printed, "the output")


def test_nothing_personal_or_secret_is_in_the_warehouse(life: Life, tenant: Marked) -> None:
    text = stored(life.file)
    assert PUBLIC in text
    assert tenant.company.business_units[0].name in text
    assert_hidden(text, "the warehouse")
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{life.file}' AS warehouse (READ_ONLY)")
        found = connection.execute(
            "SELECT COUNT(*) FILTER (is_test) FROM warehouse.st_raw.customers"
        ).fetchone()
        refused = connection.execute("SELECT COUNT(*) FROM warehouse.st_ops.rejects").fetchone()
    assert found == (sum("test" in c.name.lower() for c in tenant.company.customers),)
    assert found > (0,)
    assert refused is not None
    assert refused > (0,)


def test_nothing_personal_or_secret_is_in_any_file(life: Life) -> None:
    files = [file for file in life.folder.rglob("*") if file.is_file()]
    assert life.file in files
    for file in files:
        assert_hidden(file.read_bytes().decode("latin-1"), str(file))


def test_nothing_personal_or_secret_is_in_prefect(life: Life, prefect_server: str) -> None:
    kept = prefect_keeps(prefect_server)
    for kind in ("flow_runs", "states", "logs", "artifacts", "block_documents"):
        assert "invoices" in kept[kind], kind
    for kind, text in kept.items():
        assert_hidden(text, kind)


ODD_FILES = [
    'Bob\'s; DROP TABLE x; -- "kpi".duckdb',
    "a#b&c=d&e%20f.duckdb",
    "[ab] *.duckdb",
    "\u00fcber $x {y}.duckdb",
]


@pytest.mark.parametrize("name", ODD_FILES)
async def test_a_warehouse_may_have_any_path(
    name: str, tmp_path: Path, tenant: Marked, prefect_server: str
) -> None:
    folder = tmp_path / name.replace("duckdb", "folder")
    folder.mkdir()
    tenant.misbehave()
    settings = tenant_settings(tenant.url, warehouse=f"duckdb:///{folder}/{name}")
    async with open_session(settings) as session:
        await backfill(["campaigns", "returns"])
        rows = session.warehouse.query("SELECT COUNT(*) AS n FROM st_raw.campaigns")
    assert rows == [{"n": len(tenant.company.campaigns)}]
    assert [file.name for file in folder.iterdir()] == [name]
    with open_warehouse(settings.warehouse, read_only=True) as warehouse:
        assert warehouse.query("SELECT COUNT(*) AS n FROM st_raw.campaigns") == rows


def test_a_question_mark_in_the_path_is_refused(tmp_path: Path) -> None:
    """The engine would write its log beside another file, and lose it when a run is killed."""
    with (
        pytest.raises(ConfigurationError, match=r"cannot have a \? in its path"),
        open_warehouse(f"duckdb:///{tmp_path}/a?b.duckdb"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


ODD_FIELDS = [
    "it's",
    'say "so"',
    "back\\slash",
    "a/b~c~1d",
    "new\nline\ttab",
    "'); DROP TABLE st_raw.campaigns; --",
    "a.b[0].*",
    "$.name",
    "{x}",
    "%s ? $1 @tenant_id",
    "",
    "\u0645\u0631\u062d\u0628\u0627 \U0001f3a8",
]


async def test_unknown_fields_may_have_any_name(session: Session) -> None:
    """They become paths into JSON, keys of an object and rows of a table, and never SQL."""
    entity = REGISTRY["estimates"]
    odd = {name: f"value {n}" for n, name in enumerate(ODD_FIELDS)}
    record = {"id": 1, **odd, "items": [{"id": 2, **odd}], "status": {"name": "Open", **odd}}
    records = [json.dumps(record).encode() for record in (record, {"id": 3})]
    stamp = Stamp(77, "it's a 'run'", datetime(2025, 10, 21, 12, tzinfo=UTC))
    (typed,) = session.normalizer.normalize(
        entity, session.tables["estimates"], stamp, records, session.spool / "it's.parquet"
    )
    assert (typed.rows, typed.rejects) == (2, ())
    expected = {f"{prefix}{name}" for prefix in ("", "items[].", "status.") for name in ODD_FIELDS}
    assert typed.drift == expected
    session.rejects.record_drift(entity, "run", typed.drift)
    session.rejects.record_drift(entity, "run", typed.drift)
    rows = session.warehouse.query("SELECT field FROM st_ops.schema_drift")
    assert sorted(row["field"] for row in rows) == sorted(expected)
    with duckdb.connect() as connection:
        kept = connection.execute(
            "SELECT _extra, _run_id FROM read_parquet(?) ORDER BY id", [str(typed.records)]
        ).fetchall()
    assert json.loads(kept[0][0]) == odd | {f"status.{name}": odd[name] for name in ODD_FIELDS}
    assert kept[0][1] == stamp.run_id
    assert kept[1][0] is None


@pytest.mark.parametrize("token", ["a&from=b'c\"d", "a+b c%20d", "#x?y=z;/..\\", "\u00e9\n"])
async def test_a_token_arrives_as_it_was_given(token: str) -> None:
    asked: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 900})
        asked.append(request)
        return httpx.Response(200, json={"hasMore": False, "continueFrom": token, "data": []})

    keys = credentials(tenant_settings())
    source = ServiceTitan(
        keys, api_url="http://t.test", auth_url="http://t.test",
        transport=httpx.MockTransport(answer),
    )  # fmt: skip
    async with source:
        (page,) = [page async for page in source.export(REGISTRY["jobs"], token)]
    assert page.continue_from == token
    assert parse_qsl(asked[0].url.query.decode(), strict_parsing=True) == [("from", token)]
    assert asked[0].url.path.endswith("/export/jobs")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ('o\'neil|"ace"', ['Kit "Ace" O\'Neil', "O'Neill"]),
        ("'); DROP TABLE record; --", ["'); drop table record; -- X".replace("');", "';")]),
    ],
)
def test_a_test_customer_pattern_may_have_quotes(
    pattern: str, names: list[str], tmp_path: Path
) -> None:
    try:
        settings = load_settings(test_customer_pattern=pattern)
    except ConfigurationError:
        return  # not a regular expression: nothing is ever asked with it
    records = [
        json.dumps({"id": n, "name": name}).encode()
        for n, name in enumerate([*names, "Fern Sample"])
    ]
    normalizer = Normalizer()
    stamp = Stamp(77, "run", datetime(2025, 10, 21, tzinfo=UTC), settings.test_customer_pattern)
    customers = REGISTRY["customers"]
    (typed,) = normalizer.normalize(
        customers, entity_tables(customers), stamp, records, tmp_path / "page.parquet"
    )
    normalizer.close()
    with duckdb.connect() as connection:
        flags = connection.execute(
            "SELECT is_test FROM read_parquet(?) ORDER BY id", [str(typed.records)]
        ).fetchall()
    assert flags == [(True,)] * len(names) + [(False,)]


def test_mapping_names_may_have_quotes(tmp_path: Path) -> None:
    """From the file into the warehouse, and back."""
    name, rollup = 'Bob\'s "best"; DROP TABLE x; --', "North 'n' \"South\""
    file = tmp_path / "business_units.csv"
    with file.open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows(
            [["business_unit", "rollup", "role", "valid_from", "valid_to"],
             [name, rollup, "SALES", "", ""]]
        )  # fmt: skip
    (row,) = read_units(file, [SourceRecord(77, 1, name)])
    with open_warehouse("duckdb:///:memory:") as warehouse:
        warehouse.ensure(raw_tables())
        values = [row.tenant_id, row.business_unit_id, row.rollup, row.role, None, None]
        warehouse.write_table(UNIT_TABLE, UNIT_COLUMNS, [values])
        (found,) = warehouse.query(
            f"SELECT rollup FROM {UNIT_TABLE} WHERE rollup = @rollup", {"rollup": rollup}
        )
    assert found == {"rollup": rollup}
