"""What becomes of a run whose Prefect API fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import PrefectException

from st_kpi.errors import RunFailed
from st_kpi.local.private_server import RESUME_HINT


@contextmanager
def told_in_a_sentence(url: str) -> Iterator[None]:
    """Raise ``RunFailed`` for what Prefect's client raises, as when a restarted server does not know the run."""
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        raise RunFailed(
            f"The Prefect API at {url} failed in the middle of the run ({type(error).__name__}): {RESUME_HINT}"
        ) from error
