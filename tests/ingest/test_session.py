"""What a run opens, and what a build does not."""

from pathlib import Path

import pytest

from st_kpi.errors import ConfigurationError, NothingLoaded, UnknownEntity
from st_kpi.ingest import session as opening
from st_kpi.ingest.session import (
    Session,
    current_session,
    current_settings,
    open_for_build,
    open_session,
    shared_session,
    shared_warehouse,
)
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import record_table
from st_kpi.settings import Settings, load_settings
from st_kpi.warehouse import open_warehouse
from tests.conftest import tenant_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose warehouse is there already, and empty."""
    settings = tenant_settings(warehouse=f"duckdb:///{tmp_path}/a.duckdb")
    with open_warehouse(settings.warehouse):
        pass
    return settings


@pytest.fixture
def nothing_but_a_warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes a client, a spool or a database to normalize pages in fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("A build has no use for this.")

    for name in ("ServiceTitan", "Normalizer"):
        monkeypatch.setattr(opening, name, refuse)
    monkeypatch.setattr("st_kpi.warehouse.duckdb.engine.DuckDBWarehouse.spool", refuse)


@pytest.mark.usefixtures("nothing_but_a_warehouse")
async def test_a_build_opens_a_warehouse_and_nothing_else(settings: Settings) -> None:
    """It needs no credentials of ServiceTitan either; the raw tables are as this version knows them."""
    without = settings.model_copy(update={"client_id": None, "client_secret": None})
    with open_for_build(without) as opened:
        tables = opened.warehouse.tables()
        assert {f"st_raw.{name}" for name in REGISTRY} <= tables.keys()
        async with shared_warehouse() as inside:
            assert inside is opened
        assert current_settings() is without
        assert current_session() is None


@pytest.mark.usefixtures("nothing_but_a_warehouse")
async def test_alone_it_is_opened_from_the_environment(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ST_KPI_WAREHOUSE", settings.warehouse)
    monkeypatch.setenv("ST_KPI_TIMEZONE", "America/Phoenix")
    asked: list[str] = []

    async def google(found: Settings) -> None:
        asked.append(found.warehouse)

    async with shared_warehouse(google=google) as opened:
        async with shared_warehouse(google=google) as inside:
            assert inside is opened
        assert current_settings() is opened.settings
    assert asked == [settings.warehouse]


async def test_a_build_inside_a_session_shares_its_warehouse(settings: Settings) -> None:
    async with open_session(settings) as session, shared_warehouse() as opened:
        assert opened.warehouse is session.warehouse
        assert opened.settings is session.settings
        async with shared_session() as same:
            assert same is session
        assert current_settings() is settings


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"timezone": None}, ConfigurationError),
        ({"personal_data": frozenset({"customer"})}, UnknownEntity),
        ({"optional_entities": frozenset({"payroll"})}, UnknownEntity),
        ({"optional_entities": frozenset({"jobs"})}, ConfigurationError),
    ],
    ids=["no-time-zone", "personal-data", "optional-entities", "optional-but-needed"],
)
async def test_settings_are_checked_before_anything_is_opened(
    tmp_path: Path, wrong: dict[str, object], error: type[Exception]
) -> None:
    settings = tenant_settings(warehouse=f"duckdb:///{tmp_path}/none.duckdb").model_copy(
        update=wrong
    )
    with pytest.raises(error), open_for_build(settings):
        pass
    with pytest.raises(error):
        await open_session(settings).__aenter__()
    assert not (tmp_path / "none.duckdb").exists()


def test_a_build_makes_no_warehouse(tmp_path: Path) -> None:
    settings = tenant_settings(warehouse=f"duckdb:///{tmp_path}/none.duckdb")
    with pytest.raises(NothingLoaded, match="st-kpi backfill"), open_for_build(settings):
        pass
    assert not (tmp_path / "none.duckdb").exists()


def test_what_is_open_is_forgotten_when_it_is_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_for_build(settings):
        pass
    monkeypatch.setenv("ST_KPI_TIMEZONE", "UTC")
    assert current_settings() == load_settings()


async def test_the_tables_of_a_session_follow_its_settings(session: Session) -> None:
    """They are derived once, and their fingerprint is that of what will be written."""
    assert session.tables is session.tables
    assert session.tables["customers"].records == record_table(REGISTRY["customers"])
    assert session.tables["invoices"].lines is not None
    assert len({tables.fingerprint for tables in session.tables.values()}) == len(REGISTRY)
