"""What a person is told when a request has failed for good.

Nothing but what is known to be harmless is quoted: bodies hold names, and some errors of the
network library hold the header that could not be sent.
"""

import httpx

from st_kpi.errors import AuthenticationError, EntityUnavailable, RateLimited, SourceError
from st_kpi.servicetitan.auth import environment
from st_kpi.servicetitan.bodies import BodyTooLarge
from st_kpi.servicetitan.pages import Problem, problem
from st_kpi.servicetitan.retry import Failure, asked_wait, asks_too_much


def to_source_error(failure: Failure, entity: str, url: str, attempts: int) -> SourceError:
    """The error to raise for what the last of ``attempts`` attempts ended with; ``entity`` is what was asked for."""
    tried = f" after {attempts} attempts" if attempts > 1 else ""
    if asks_too_much(failure):
        tried += (
            f", and asks for a wait of {asked_wait(failure):,.12g} seconds, which no run waits for"
        )
    if isinstance(failure, SourceError):
        return failure
    if isinstance(failure, httpx.HTTPStatusError):
        return _of_token_endpoint(failure, tried)
    if isinstance(failure, httpx.Response):
        return _of_status(failure, entity, url, tried)
    return SourceError(
        f"ServiceTitan could not be read{tried}: {brief(failure)}", entity=entity, url=url
    )


def check_the_app(url: str) -> str:
    """What to look at where the token is good and nothing can be read with it."""
    return (
        "Check ST_KPI_APP_KEY and ST_KPI_TENANT_ID, and that the tenant has accepted the app in"
        f" {environment(url)}"
    )


def brief(failure: Failure) -> str:
    """The failure in a few words for a log line."""
    if isinstance(failure, httpx.HTTPStatusError):
        return f"status {failure.response.status_code} from the token endpoint"
    if isinstance(failure, httpx.Response):
        trace_id = problem(failure.content).trace_id
        return f"status {failure.status_code}" + (f", traceId {trace_id}" if trace_id else "")
    # What other errors say may quote a header or a body.
    harmless = isinstance(failure, httpx.NetworkError | BodyTooLarge)
    detail = f" ({failure})" if harmless and str(failure) else ""
    return type(failure).__name__ + detail


def _of_token_endpoint(failure: httpx.HTTPStatusError, tried: str) -> SourceError:
    status = failure.response.status_code
    kind = RateLimited if status == 429 else SourceError
    body = problem(failure.response.content)
    return kind(
        f"No token could be had{tried}" + _title(body),
        url=str(failure.request.url),
        status=status,
        trace_id=body.trace_id,
    )


def _of_status(response: httpx.Response, entity: str, url: str, tried: str) -> SourceError:
    status, body = response.status_code, problem(response.content)
    kind, message = _meaning(status, entity, url, tried)
    return kind(
        message + _title(body),
        entity=entity,
        url=url,
        status=status,
        trace_id=body.trace_id,
    )


def _meaning(status: int, entity: str, url: str, tried: str) -> tuple[type[SourceError], str]:
    if status == 401:
        return AuthenticationError, (f"ServiceTitan refused a new token. {check_the_app(url)}")
    if status == 403:
        return EntityUnavailable, (
            f"The app may not read {entity}: its scope is probably not granted to this tenant"
        )
    if status == 404:
        return EntityUnavailable, (
            f"{entity} is unavailable for this tenant: the endpoint does not exist"
        )
    if status == 429:
        return RateLimited, f"The rate limit is still exceeded{tried}"
    return SourceError, f"ServiceTitan answered with an error{tried}"


def _title(body: Problem) -> str:
    """Title and names of wrong parameters; never values, which may be anyone's."""
    wrong = f" [{', '.join(sorted(body.errors))}]" if body.errors else ""
    title = f": {body.title[:200].rstrip('.')}" if body.title else ""
    return title + wrong
