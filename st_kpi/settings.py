"""All settings, read once: explicit argument, environment (``ST_KPI_*``), ``.env``, ``st-kpi.toml``.

``ST_KPI_CONFIG`` names another file than ``st-kpi.toml``. Secrets are ``SecretStr`` and are never shown.
"""

import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import duckdb
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from st_kpi.errors import ConfigurationError
from st_kpi.parameters import CostSource

_HOSTS = {
    "production": ("https://api.servicetitan.io", "https://auth.servicetitan.io"),
    "integration": (
        "https://api-integration.servicetitan.io",
        "https://auth-integration.servicetitan.io",
    ),
}


class Settings(BaseSettings):
    """Every setting with its default; see the README for what each one changes."""

    model_config = SettingsConfigDict(
        env_prefix="ST_KPI_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    tenant_id: int | None = None
    client_id: SecretStr | None = None
    client_secret: SecretStr | None = None
    app_key: SecretStr | None = None
    #: Signs the webhooks of ServiceTitan; see ``st-kpi webhooks serve``.
    webhook_secret: SecretStr | None = None
    environment: Literal["production", "integration"] = "production"
    api_url: str | None = None
    auth_url: str | None = None
    timezone: str | None = None
    history_start: date = date(2020, 1, 1)

    warehouse: str = "duckdb:///st_kpi.duckdb"
    #: Another REST address of BigQuery than Google's.
    bigquery_url: str | None = None
    #: A ``GcpCredentials`` block of Prefect with which flows reach BigQuery; without it, the application's own.
    gcp_credentials: str | None = None
    #: About how large a file is that is loaded into BigQuery, in millions of bytes.
    load_megabytes: Annotated[int, Field(ge=1, le=1_000)] = 32
    #: A statement that would read more bytes than this is refused by BigQuery.
    maximum_bytes_billed: Annotated[int, Field(ge=10_000_000)] = 200 * 1000**3
    requests_per_second: Annotated[int, Field(ge=1, le=60)] = 60
    max_concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    #: Rows from which a chunk is split, by default ``rows_per_chunk``.
    chunk_rows: Annotated[int, Field(ge=1_000)] | None = None
    personal_data: frozenset[str] = frozenset()
    #: Entities that this tenant may lack: a 403 or 404 for one of them does not fail a run.
    optional_entities: frozenset[str] = frozenset()
    #: Rows of a chunk that may be refused without failing the run.
    tolerated_rejects: Annotated[int, Field(ge=0)] = 0
    #: How far back a sync reads pay lines anew each time, and all else once a week, in days.
    lookback_days: Annotated[int, Field(ge=1)] = 35

    mappings: Path | None = None
    cost_source: CostSource = "bill_else_po"
    include_tax: bool = True
    ar_minimum: Decimal = Decimal(10)
    ar_skip_unstarted: bool = True
    produced_excludes: list[str] = []
    future_bookings_excludes: list[str] = ["excluded"]
    test_customer_pattern: str = "test"
    #: Days after its Sunday on which a week's values are frozen as reported.
    close_week_after_days: Annotated[int, Field(ge=0, le=60)] = 2
    #: How many builds ``st-kpi diff`` can look back on.
    keep_builds: Annotated[int, Field(ge=2)] = 400

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in available_timezones():
            raise ValueError(f"{zone!r} is not an IANA time zone such as America/Phoenix")
        return zone

    @field_validator("client_id", "client_secret", "app_key", "webhook_secret")
    @classmethod
    def _empty_is_missing(cls, secret: SecretStr | None) -> SecretStr | None:
        return secret if secret and secret.get_secret_value().strip() else None

    @field_validator("test_customer_pattern")
    @classmethod
    def _a_pattern(cls, pattern: str) -> str:
        try:
            duckdb.execute("SELECT regexp_matches('', ?)", [pattern])
        except duckdb.Error:
            raise ValueError(f"{pattern!r} is not a regular expression") from None
        return pattern

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, toml_file=_config_file())
        return init_settings, env_settings, dotenv_settings, toml

    @property
    def zone(self) -> ZoneInfo:
        """The tenant's time zone; raises ``ConfigurationError`` when none is set, for no guess is safe."""
        if self.timezone is None:
            raise ConfigurationError(
                "The tenant's time zone is not set: every day and week depends on it."
                " Set ST_KPI_TIMEZONE, for example to America/Phoenix."
            )
        return ZoneInfo(self.timezone)

    @property
    def hosts(self) -> tuple[str, str]:
        """API host and token host, without a trailing slash."""
        api, auth = _HOSTS[self.environment]
        return (self.api_url or api).rstrip("/"), (self.auth_url or auth).rstrip("/")

    @property
    def rows_per_chunk(self) -> int:
        """Rows from which a chunk is split: BigQuery takes seconds for a ``MERGE`` of any size and counts them."""
        if self.chunk_rows is not None:
            return self.chunk_rows
        return 200_000 if self.warehouse.startswith("bigquery:") else 40_000

    def require_credentials(self) -> None:
        """Raise ``ConfigurationError`` naming each ServiceTitan credential that is missing."""
        names = ("tenant_id", "client_id", "client_secret", "app_key")
        missing = [f"ST_KPI_{n.upper()}" for n in names if getattr(self, n) is None]
        if missing:
            raise ConfigurationError(
                f"ServiceTitan credentials are missing: set {', '.join(missing)}."
            )


def load_settings(**explicit: Any) -> Settings:
    """Read the settings; raises ``ConfigurationError`` with one sentence per wrong value."""
    given = {name: value for name, value in explicit.items() if value is not None}
    file = _config_file()
    if "ST_KPI_CONFIG" in os.environ and not file.is_file():
        raise ConfigurationError(f"ST_KPI_CONFIG names {file}, which is not a file.")
    try:
        if unknown := TomlConfigSettingsSource(Settings, file)().keys() - Settings.model_fields:
            raise ConfigurationError(f"{file}: there is no setting {', '.join(sorted(unknown))}.")
        return Settings(**given)
    except ValidationError as error:
        raise ConfigurationError(_sentences(error)) from None
    except ValueError as error:  # a setting that is not valid JSON, or a broken TOML file
        raise ConfigurationError(f"The settings cannot be read: {error}") from None


def _config_file() -> Path:
    return Path(os.environ.get("ST_KPI_CONFIG", "st-kpi.toml"))


def _sentences(error: ValidationError) -> str:
    wrong = [
        f"Setting {'.'.join(str(part) for part in item['loc'])}: {item['msg']}."
        for item in error.errors()
    ]
    return " ".join(wrong)
