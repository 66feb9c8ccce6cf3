"""What people write into an environment and files, and what they are told where it would be passed over."""

import re
from pathlib import Path

import pytest

from st_kpi.errors import ConfigurationError
from st_kpi.settings import load_settings


def refused(said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        load_settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("ST_KPI_TIME_ZONE", "ST_KPI_TIMEZONE", id="a line too many"),
        pytest.param("ST_KPI_TENANTID", "ST_KPI_TENANT_ID", id="a line too few"),
        pytest.param("st_kpi_warehous", "ST_KPI_WAREHOUSE", id="in small letters"),
        pytest.param("ST_KPI_OPTIONAL_ENTITY", "ST_KPI_OPTIONAL_ENTITIES", id="one for many"),
        pytest.param("STKPI_APP_KEY", "ST_KPI_APP_KEY", id="the beginning itself"),
        pytest.param("ST_KPI_CONFIGS", "ST_KPI_CONFIG", id="no setting but a variable of ours"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest_right_one(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text(f"OTHER=1\n{name}=secret\n")
    refused(f"{Path('.env').absolute()}: there is no setting {name}; the nearest is {meant}.")
    Path(".env").unlink()
    monkeypatch.setenv(name, "secret")
    refused(f"The environment: there is no setting {name}; the nearest is {meant}.")


def test_every_misspelt_name_is_told_at_once_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("st-kpi.toml").write_text('time_zone = "planted"\n')
    Path(".env").write_text("ST_KPI_APPKEY=planted\n")
    monkeypatch.setenv("ST_KPI_XYZ", "planted")
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    said = str(error.value)
    assert "st-kpi.toml: there is no setting time_zone; the nearest is timezone." in said
    assert ".env: there is no setting ST_KPI_APPKEY; the nearest is ST_KPI_APP_KEY." in said
    assert "there is no setting ST_KPI_XYZ; docs/settings.md has them all." in said
    assert "planted" not in said


@pytest.mark.parametrize(
    "name",
    [
        "ST_KPI_STATE",
        "st_kpi_timezone",
        "ST_KPI_WEBHOOKS_SERVICE_HOST",
        "ST_KPI_PORT_8710_TCP_ADDR",
        "ST_KPI_SERVICE_PORT",
        "STKPIX",
    ],
)
def test_what_is_not_misspelt_is_let_be(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes tells of a service called st-kpi in variables that begin as ours do."""
    monkeypatch.setenv(name, "UTC")
    assert load_settings().warehouse


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize(
    ("file", "text"),
    [(".env", "ST_KPI_TIMEZONE=UTC # Köln\n"), ("st-kpi.toml", 'timezone = "UTC" # Köln\n')],
)
def test_a_file_that_is_not_utf_8_is_named(file: str, text: str, encoding: str) -> None:
    Path(file).write_text(text, encoding=encoding)
    refused(f"{Path(file).absolute()} is not UTF-8, maybe UTF-16")


@pytest.mark.parametrize(
    ("file", "text"),
    [(".env", "ST_KPI_TIMEZONE=UTC\n"), ("st-kpi.toml", 'timezone = "UTC"\n')],
)
def test_a_byte_order_mark_is_no_part_of_the_first_name(file: str, text: str) -> None:
    Path(file).write_text(text, encoding="utf-8-sig")
    assert load_settings().timezone == "UTC"


def test_a_broken_file_is_named_with_the_line() -> None:
    Path("st-kpi.toml").write_text('timezone = "UTC"\nwarehouse\n')
    refused(f"{Path('st-kpi.toml').absolute()} is not TOML: ")
    Path("st-kpi.toml").unlink()
    Path(".env").write_text("OTHER thing\n\nST_KPI_TIMEZONE: UTC\n")
    refused(f"{Path('.env').absolute()}:3: not understood: write NAME=value.")


def test_lines_of_others_are_theirs() -> None:
    Path(".env").write_text("TOKEN\nOTHER: thing\nST_KPI_TIMEZONE=UTC\n")
    assert load_settings().timezone == "UTC"


def test_files_are_read_and_paths_count_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / ".env").write_text("ST_KPI_WAREHOUSE=duckdb:///own.duckdb\n")
    (there / "st-kpi.toml").write_text('mappings = "ours"\n')
    monkeypatch.setenv("ST_KPI_FOLDER", str(there))
    settings = load_settings()
    assert settings.warehouse == f"duckdb:///{there}/own.duckdb"
    assert settings.mappings == there / "ours"
