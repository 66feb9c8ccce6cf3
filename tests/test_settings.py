"""Settings: where they come from, which wins, and what is said when they are wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from st_kpi.errors import ConfigurationError
from st_kpi.ingest.session import credentials
from st_kpi.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env, no st-kpi.toml, no ST_KPI_* of the machine."""
    import os

    for name in [n for n in os.environ if n.startswith("ST_KPI_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_precedence_is_argument_environment_dotenv_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("st-kpi.toml").write_text(
        'warehouse = "duckdb:///toml.duckdb"\ntenant_id = 1\ntimezone = "UTC"\n'
    )
    Path(".env").write_text("ST_KPI_TENANT_ID=2\nST_KPI_TIMEZONE=America/Denver\nOTHER=x\n")
    monkeypatch.setenv("ST_KPI_TIMEZONE", "America/Phoenix")
    settings = load_settings(include_tax=False)
    assert settings.warehouse == f"duckdb:///{Path.cwd()}/toml.duckdb"
    assert settings.tenant_id == 2
    assert settings.timezone == "America/Phoenix"
    assert settings.include_tax is False
    assert load_settings(timezone="UTC").timezone == "UTC"


def test_missing_credentials_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ST_KPI_CLIENT_ID", "someone")
    with pytest.raises(ConfigurationError) as error:
        load_settings().require_credentials()
    assert "ST_KPI_TENANT_ID, ST_KPI_CLIENT_SECRET, ST_KPI_APP_KEY" in str(error.value)
    assert error.value.exit_code == 2


def test_empty_credentials_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "APP_KEY"):
        monkeypatch.setenv(f"ST_KPI_{name}", "")
    Path("st-kpi.toml").write_text('app_key = " "\n')
    with pytest.raises(ConfigurationError, match="ST_KPI_TENANT_ID, ST_KPI_CLIENT_ID"):
        load_settings().require_credentials()


def test_a_missing_zone_is_an_error_and_no_guess() -> None:
    with pytest.raises(ConfigurationError, match="ST_KPI_TIMEZONE"):
        _ = load_settings().zone


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        pytest.param(
            "TIMEZONE", "Arizona", "'Arizona' is not an IANA time zone", id="unknown zone"
        ),
        pytest.param("COST_SOURCE", "guess", "cost_source", id="unknown cost source"),
        pytest.param(
            "REQUESTS_PER_SECOND", "61", "requests_per_second", id="above the API's limit"
        ),
        pytest.param("HISTORY_START", "2020-13-01", "history_start", id="no such month"),
        pytest.param("TEST_CUSTOMER_PATTERN", "(", "test_customer_pattern", id="no pattern"),
        pytest.param("PRODUCED_EXCLUDES", "[", "produced_excludes", id="not JSON"),
    ],
)
def test_wrong_values_are_named(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"ST_KPI_{name}", value)
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(")):
        load_settings()


@pytest.mark.parametrize(
    "written",
    ["receipts,returns", " receipts , returns, ", '["receipts", "returns"]'],
    ids=["commas", "spaces", "JSON"],
)
def test_a_list_is_written_with_commas_or_as_json(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ST_KPI_OPTIONAL_ENTITIES", written)
    assert load_settings().optional_entities == {"receipts", "returns"}
    monkeypatch.setenv("ST_KPI_FUTURE_BOOKINGS_EXCLUDES", "[]")
    assert load_settings().future_bookings_excludes == []


def test_a_list_that_cannot_be_read_says_how_one_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ST_KPI_PERSONAL_DATA", "['customers']")
    with pytest.raises(
        ConfigurationError, match=r"personal_data: .* a list is written with commas"
    ):
        load_settings()


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (None, "duckdb:///{here}/st_kpi.duckdb"),
        ("duckdb:///a.duckdb", "duckdb:///{here}/a.duckdb"),
        ("duckdb:////data/a.duckdb", "duckdb:////data/a.duckdb"),
        ("duckdb:///:memory:", "duckdb:///:memory:"),
        ("bigquery://project?location=EU", "bigquery://project?location=EU"),
    ],
    ids=["the default", "relative", "absolute", "in memory", "no file"],
)
def test_a_warehouse_in_a_file_is_named_from_the_root_on(given: str | None, address: str) -> None:
    assert load_settings(warehouse=given).warehouse == address.format(here=Path.cwd())


def test_a_configuration_file_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ST_KPI_CONFIG", "nowhere.toml")
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        load_settings()


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ST_KPI_TENANT_ID", "77")
    for name in ("CLIENT_ID", "CLIENT_SECRET", "APP_KEY"):
        monkeypatch.setenv(f"ST_KPI_{name}", "planted-secret")
    settings = load_settings()
    shown = f"{settings!r} {settings} {credentials(settings)!r} {settings.model_dump_json()}"
    assert "planted-secret" not in shown
    monkeypatch.setenv("ST_KPI_TENANT_ID", "planted-secret")
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert "planted-secret" not in str(error.value)


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ("production", ("https://api.servicetitan.io", "https://auth.servicetitan.io")),
        ("integration", ("https://api-integration.servicetitan.io", "https://auth-integration.servicetitan.io")),
    ],
)  # fmt: skip
def test_environment_picks_the_hosts(environment: str, hosts: tuple[str, str]) -> None:
    settings = load_settings(environment=environment)
    assert settings.hosts == hosts
    local = load_settings(environment=environment, api_url="http://127.0.0.1:9/")
    assert local.hosts == ("http://127.0.0.1:9", hosts[1])


@pytest.mark.parametrize(
    ("warehouse", "given", "rows"),
    [
        ("duckdb:///a.duckdb", None, 40_000),
        ("bigquery://project", None, 200_000),
        ("bigquery://project", 5_000, 5_000),
    ],
)
def test_a_chunk_is_larger_where_each_is_a_merge(
    warehouse: str, given: int | None, rows: int
) -> None:
    assert load_settings(warehouse=warehouse, chunk_rows=given).rows_per_chunk == rows


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_page_of_settings_is_that_of_the_model() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "document_settings.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("name", ["api_url", "auth_url"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://proxy.example", "secrets would travel to proxy.example in clear"),
        ("http://127.0.0.1.example:80", "in clear"),
        ("http://localhost.example", "in clear"),
        ("HTTP://10.0.0.1", "in clear"),
        ("http://[::2]:80", "in clear"),
        ("http://2130706433.example", "in clear"),
        ("ftp://127.0.0.1", "not an address such as"),
        ("api.servicetitan.io", "not an address such as"),
        ("https://", "not an address such as"),
        ("https://host:port", "not an address such as"),
        ("https://[::1", "not an address such as"),
        ("https://host/?a=b", "not an address such as"),
        ("nonsense", "not an address such as"),
        ("https://planted:planted@host", "must not hold a user"),
    ],
)
def test_secrets_go_to_no_other_machine_in_clear(name: str, url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as error:
        load_settings(**{name: url})
    assert error.value.exit_code == 2
    assert name in str(error.value)
    assert "planted" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["https://proxy.example/st/", "http://localhost:8700", "http://127.0.0.2:80", "http://[::1]:1"],
)
def test_addresses_that_secrets_may_go_to(url: str) -> None:
    assert load_settings(api_url=url, auth_url=url).hosts == (url.rstrip("/"), url.rstrip("/"))
