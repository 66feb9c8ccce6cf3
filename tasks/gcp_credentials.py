"""Google credentials that Prefect keeps, for workers that have none of their own."""

from typing import Any

from st_kpi.errors import ConfigurationError
from st_kpi.settings import Settings


async def google_credentials(settings: Settings) -> Any:
    """What the ``GcpCredentials`` block of the settings holds; None where they name none.

    Raises ``ConfigurationError`` where there is no such block or what it holds is no key.
    """
    name = settings.gcp_credentials
    if name is None:
        return None
    from prefect_gcp import GcpCredentials  # type: ignore[import-untyped]  # and takes seconds

    try:
        block = await GcpCredentials.aload(name)
    except ValueError as error:
        raise ConfigurationError(
            f"There is no GcpCredentials block {name!r} in Prefect that can be used, though ST_KPI_GCP_CREDENTIALS names"
            f" one ({type(error).__name__}): save it there under this name, or unset the variable."
        ) from None
    return block.get_credentials_from_service_account()
