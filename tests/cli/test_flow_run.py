"""A run from the command line whose Prefect API fails."""

import httpx
import pytest
from prefect.exceptions import ObjectNotFound

from st_kpi.cli.flow_run import api_failures_in_a_sentence
from st_kpi.errors import ConfigurationError, RunFailed


@pytest.mark.parametrize("error", [ObjectNotFound(Exception()), httpx.ReadTimeout("")])
def test_what_prefect_raises_becomes_a_sentence(error: Exception) -> None:
    with pytest.raises(RunFailed, match=r"api failed .* again to go on") as failure:  # noqa: SIM117
        with api_failures_in_a_sentence("http://127.0.0.1:1/api"):
            raise error
    assert type(error).__name__ in str(failure.value)


def test_a_key_that_expires_in_the_middle_of_a_run_is_named() -> None:
    request = httpx.Request("GET", "http://127.0.0.1:1/api")
    refused = httpx.HTTPStatusError("", request=request, response=httpx.Response(401))
    with pytest.raises(ConfigurationError, match="refuses the key"):  # noqa: SIM117
        with api_failures_in_a_sentence("http://127.0.0.1:1/api"):
            raise refused
