"""What the Prefect API that is configured answers: whether it is one, and takes our key, in sentences.

Prefect is imported by the functions that need it: it takes a second, and most commands do without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from st_kpi.errors import ConfigurationError, RunFailed, StKpiError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_ANSWERS_WITHIN = 15.0


def require_api(url: str) -> None:
    """Raise ``RunFailed`` where nothing answers at ``url``, ``ConfigurationError`` where it is no Prefect API that is open to us."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigurationError(
            f"PREFECT_API_URL is {url!r}, which has to begin with http:// or https://."
        )
    try:
        with client(url, _ANSWERS_WITHIN, retries=2) as asking:
            asking.raise_for_api_version_mismatch()  # which it does not ask Prefect Cloud
            asking.read_flows(limit=1)
    except (httpx.HTTPError, RuntimeError, TypeError, ValueError) as error:  # of JSON, of versions
        raise in_a_sentence(shown(url), error) from error


@contextmanager
def client(url: str, timeout: float, *, retries: int = 0) -> Iterator["SyncPrefectClient"]:
    """Prefect's own client, which knows the key and the certificates; ``timeout`` in seconds, ``retries`` some seconds apart."""
    from prefect import settings
    from prefect.client.orchestration import get_client

    values = {settings.PREFECT_API_URL: url, settings.PREFECT_CLIENT_MAX_RETRIES: retries}
    with (
        settings.temporary_settings(values),
        get_client(httpx_settings={"timeout": timeout}, sync_client=True) as asking,
    ):
        yield asking


def in_a_sentence(url: str, error: Exception) -> StKpiError:
    """What a person has to know of an ``error`` that the API at ``url`` was asked with."""
    cause = error.__cause__ or error
    if isinstance(cause, httpx.HTTPStatusError):
        return _of_status(url, cause.response.status_code)
    if isinstance(cause, httpx.HTTPError):
        return RunFailed(
            f"The Prefect API at {url} does not answer ({cause}): start it, or unset PREFECT_API_URL"
            " to use a private server."
        )
    if "incompatible versions" in str(error):
        return ConfigurationError(f"The Prefect API at {url} is of another version. {error}")
    return _no_api(url, "")


def _of_status(url: str, status: int) -> StKpiError:
    if status in (401, 403):
        return ConfigurationError(
            f"The Prefect API at {url} refuses the key (status {status}), which may have expired: make a new one and set"
            " PREFECT_API_KEY, or run `prefect cloud login`; for a server of your own set PREFECT_API_AUTH_STRING."
        )
    if status == 429 or status >= 500:
        return RunFailed(
            f"The Prefect API at {url} does not work (status {status}): try again later."
        )
    return _no_api(url, f" (status {status})")


def _no_api(url: str, status: str) -> ConfigurationError:
    return ConfigurationError(
        f"What answers at {url} is no Prefect API{status}: PREFECT_API_URL has to name the API itself,"
        " http://127.0.0.1:4200/api for example, or https://api.prefect.cloud/api/accounts/.../workspaces/..."
    )


def shown(url: str) -> str:
    """The address without a name and password that may be in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
