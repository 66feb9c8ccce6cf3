"""All settings, read once: explicit argument, environment (``ST_KPI_*``), ``.env``, ``st-kpi.toml``.

``ST_KPI_CONFIG`` names another file than ``st-kpi.toml``, ``ST_KPI_FOLDER`` the folder of both files, from which relative
paths count too. Secrets are ``SecretStr`` and are never shown.
"""

import json
from datetime import date
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from st_kpi.errors import ConfigurationError
from st_kpi.parameters import CostSource, ProjectMoney
from st_kpi.setting_sources import (
    PREFIX,
    config_file,
    env_file,
    folder,
    refuse_unknown,
    toml_values,
)

#: How the address of a warehouse in a file begins; the rest is its path.
DUCKDB = "duckdb:///"

#: How a report path begins that is the name of a ``GcsBucket`` block, as Prefect writes those.
BUCKET = "gcs-bucket/"

_HOSTS = {
    "production": ("https://api.servicetitan.io", "https://auth.servicetitan.io"),
    "integration": (
        "https://api-integration.servicetitan.io",
        "https://auth-integration.servicetitan.io",
    ),
}


def named_in_full(address: str) -> str:
    """A warehouse in a file by its path from the root on: where a run stands may change, and people are shown it."""
    path = address.removeprefix(DUCKDB)
    if path in (address, "", ":memory:"):
        return address
    return f"{DUCKDB}{folder() / path}"


def _require_private(url: str) -> str:
    """The address, if a secret may travel to it; raises ``ValueError`` for plain http to another machine, and for no address."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ValueError("it is not an address such as https://api.servicetitan.io")
    if parts.username is not None:
        raise ValueError("an address must not hold a user or a password")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError(
            f"secrets would travel to {host} in clear: write https://, for http:// is for this machine alone"
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _listed(value: object) -> object:
    """The names of a list that is written in a variable, with commas or as JSON."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [name.strip() for name in value.split(",") if name.strip()]
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(
            'a list is written with commas, receipts, returns, or as JSON, ["receipts", "returns"]'
        ) from None


_Listed = (NoDecode, BeforeValidator(_listed))
_Entities = Annotated[frozenset[str], *_Listed]
_Families = Annotated[list[str], *_Listed]


class ReportSetting(BaseModel):
    """A report of ServiceTitan with which numbers are compared: where it is, and in what it differs from others of its kind."""

    model_config = ConfigDict(extra="forbid")

    id: int | None = None
    name: str | None = None
    category: str | None = None
    columns: dict[str, str] = {}
    parameters: dict[str, str | bool | int | list[int]] = {}

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if self.id is None and self.name is None:
            raise ValueError("a report needs its id or its name")
        return self


class Settings(BaseSettings):
    """Every setting with its default; ``docs/settings.md`` is written from it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    tenant_id: int | None = None
    """The number of your tenant in ServiceTitan; no default, and every command that reads ServiceTitan needs
    it."""
    client_id: SecretStr | None = None
    """The client id of the app's credentials for this tenant in ServiceTitan; no default."""
    client_secret: SecretStr | None = None
    """The client secret that belongs to the client id; a secret, which is never shown or logged."""
    app_key: SecretStr | None = None
    """The key of the app in ServiceTitan's developer portal; a secret, which is never shown or logged."""
    webhook_secret: SecretStr | None = None
    """The HMAC key with which ServiceTitan signs the app's webhooks, for `st-kpi webhooks serve`; a secret."""
    environment: Literal["production", "integration"] = "production"
    """Which of ServiceTitan's environments is read, `production` or `integration`: it picks the hosts of the
    API and of its tokens."""
    api_url: str | None = None
    """Another host of the API than the environment's, for the sandbox tenant or a proxy, without
    `/{module}/v2`; `https://`, or `http://` on this machine."""
    auth_url: str | None = None
    """Another host of the tokens than the environment's, for the sandbox tenant or a proxy, without
    `/connect/token`; `https://`, or `http://` on this machine."""
    timezone: str | None = None
    """The tenant's IANA time zone, such as `America/Phoenix`, by whose days and weeks everything is dated;
    there is no default, because no guess is safe."""
    history_start: date = date(2020, 1, 1)
    """The first day of a full backfill, by the day a record was created in the tenant's zone."""
    warehouse: Annotated[str, Field(validate_default=True)] = "duckdb:///st_kpi.duckdb"
    """The address of the warehouse: `duckdb:///file.duckdb`, with four slashes for an absolute path, or
    `bigquery://project?location=US`."""
    bigquery_url: str | None = None
    """Another REST address of BigQuery than Google's: an emulator on this machine, or a private endpoint with
    `https://`."""
    gcp_credentials: str | None = None
    """The name of a `GcpCredentials` block of Prefect with which flows reach BigQuery; without it, the
    credentials of the machine are used."""
    load_megabytes: Annotated[int, Field(ge=1, le=1_000)] = 32
    """About how large a file is that is loaded into BigQuery, in millions of bytes."""
    maximum_bytes_billed: Annotated[int, Field(ge=10_000_000)] = 20 * 1000**3
    """The most bytes that one statement may read on BigQuery, which refuses one that would read more. Far more than
    any reads for a tenant with 160,000 jobs, and little enough to stop an accident."""
    requests_per_second: Annotated[int, Field(ge=1, le=60)] = 60
    """The ceiling of the tenant's calls in any rolling second, across all processes that use one Prefect API."""
    max_concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """How many requests of one process are on their way at once."""
    chunk_rows: Annotated[int, Field(ge=1_000)] | None = None
    """The number of rows from which a chunk of a backfill is split; without it 40,000, and 200,000 on BigQuery,
    where each chunk is a `MERGE`."""
    personal_data: _Entities = frozenset()
    """The entities whose names, phones, streets and notes are loaded too, as a list of entity names."""
    optional_entities: _Entities = frozenset()
    """The entities that this tenant may lack, as a list: a 403 or 404 for one of them does not fail a run. Jobs, business
    units and job types cannot be among them, for every KPI needs them."""
    tolerated_rejects: Annotated[int, Field(ge=0)] = 0
    """How many rows of an entity may be refused without failing a run."""
    lookback_days: Annotated[int, Field(ge=1)] = 35
    """How far back a sync reads pay lines anew each time, and all else once a week, in days."""
    mappings: Path | None = None
    """The folder of the mapping files `business_units.csv` and `job_types.csv`, which `st-kpi init` drafts; without it,
    nothing but the made-up company can be built."""
    report_path: str | None = None
    """Where each build writes the weekly review, `weekly-review.html`: a folder, or `gcs-bucket/NAME` for a bucket that
    Prefect's `GcsBucket` block of that name knows; without it, a build writes none."""
    cost_source: CostSource = "bill_else_po"
    """Which purchases are the cost of a job: `bill_else_po` (the vendor's bill, or else the order),
    `purchase_orders`, `receipts` or `inventory_bills`."""
    include_tax: bool = True
    """Whether purchases cost their total with tax."""
    ar_minimum: Decimal = Decimal(10)
    """The balance, in the tenant's currency, below which a location is left out of Outstanding A/R."""
    ar_skip_unstarted: bool = True
    """Whether invoices of jobs that have not started yet are left out of Outstanding A/R."""
    produced_excludes: _Families = []
    """The job families left out of $ Produced, G.P.M and Warranty %, as a list."""
    future_bookings_excludes: _Families = ["excluded"]
    """The job families left out of Future Bookings, as a list; `[]` leaves out none."""
    project_money: ProjectMoney = "left_out"
    """Whether money of a project that names no job counts, `left_out` or `counted`. Counted, invoices and costs
    belong to the project's first job in $ Produced, by its day and unit, and sold estimates to their own unit in
    Total Booked. Left out, `st-kpi explain K --left-out` shows it."""
    test_customer_pattern: str = "test"
    """A regular expression, in any case, that the names of test customers match; applied when a record is
    loaded, so a change takes effect with the next backfill, which loads the customers again."""
    close_week_after_days: Annotated[int, Field(ge=0, le=60)] = 2
    """The number of days after its Sunday when a week closes and its values are kept as reported, if the data reach
    its end by then."""
    reports: dict[str, ReportSetting] = {}
    """The reports of ServiceTitan that `st-kpi reconcile` asks for, each by a KPI or a kind of report: its `id`, or its
    `name` and `category`; `columns` and `parameters` where it differs from others of its kind."""
    keep_builds: Annotated[int, Field(ge=2)] = 400
    """The number of builds whose changes are kept, which is how far `st-kpi diff` can look back."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in available_timezones():
            raise ValueError(f"{zone!r} is not an IANA time zone such as America/Phoenix")
        return zone

    @field_validator("api_url", "auth_url")  # of bigquery_url its engine makes sure
    @classmethod
    def _carries_secrets(cls, url: str | None) -> str | None:
        return url and _require_private(url.strip())

    @field_validator("client_id", "client_secret", "app_key", "webhook_secret")
    @classmethod
    def _empty_is_missing(cls, secret: SecretStr | None) -> SecretStr | None:
        return secret if secret and secret.get_secret_value().strip() else None

    @field_validator("warehouse")
    @classmethod
    def _named_in_full(cls, address: str) -> str:
        return named_in_full(address)

    @field_validator("mappings")
    @classmethod
    def _mappings_from_the_folder(cls, mappings: Path | None) -> Path | None:
        return mappings and folder() / mappings

    @field_validator("report_path")
    @classmethod
    def _folder_or_block(cls, path: str | None) -> str | None:
        if path is None or path.startswith(BUCKET):
            return path
        if "://" in path:
            raise ValueError(f"{path!r} is neither a folder nor {BUCKET}NAME, a block of Prefect")
        return str(folder() / path)

    @field_validator("test_customer_pattern")
    @classmethod
    def _a_pattern(cls, pattern: str) -> str:
        import duckdb  # whose regular expressions they are

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
        toml = InitSettingsSource(settings_cls, toml_values(config_file()))
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
    def report_folder(self) -> Path | None:
        """Where reports go, if that is a folder."""
        if self.report_path is None or self.report_path.startswith(BUCKET):
            return None
        return Path(self.report_path)

    @property
    def places(self) -> str:
        """Where a run reads and writes, which it says first."""
        mappings = f", mappings {self.mappings}" if self.mappings else ""
        return f"Warehouse {self.warehouse}{mappings}."

    @property
    def rows_per_chunk(self) -> int:
        """Rows from which a chunk is split: BigQuery takes as many seconds for a small ``MERGE`` as for a large one."""
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
    """Read the settings; raises ``ConfigurationError`` with one sentence per wrong value or name."""
    given = {name: value for name, value in explicit.items() if value is not None}
    refuse_unknown(Settings.model_fields)
    try:
        return Settings(_env_file=env_file(), **given)
    except ValidationError as error:
        raise ConfigurationError(_sentences(error)) from None
    except ValueError as error:  # of a variable that cannot be decoded
        raise ConfigurationError(f"The settings cannot be read: {error}") from None


def _sentences(error: ValidationError) -> str:
    wrong = [
        f"Setting {'.'.join(str(part) for part in item['loc'])}: {item['msg']}."
        for item in error.errors()
    ]
    return " ".join(wrong)
