"""What an error of Google's client means: in a sentence for a person, and whether it passes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    NotFound,
    RetryError,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError, TransportError
from requests.exceptions import RequestException

from st_kpi.errors import ConfigurationError, StKpiError, TooComplex, WarehouseError

ClientError = GoogleAPICallError | RetryError | GoogleAuthError | RequestException | TimeoutError
#: The same as an ``except`` takes it, but for a ``TimeoutError``, which is ours or of the wait for results.
CLIENT_ERRORS = (GoogleAPICallError, RetryError, GoogleAuthError, RequestException)

_RATE_LIMITS = ("rateLimitExceeded", "jobRateLimitExceeded")
_TRANSIENT = (*_RATE_LIMITS, "backendError", "internalError", "jobBackendError", "jobInternalError")
#: Two wrote one table at the same moment. It has the reason invalidQuery, as a mistake in the SQL has: only the text tells.
_CONCURRENT = "concurrent update|could not serialize access|concurrent transaction"
#: Other texts of what passes; a script hides the reasons of its statements as well.
_TOO_OFTEN = "DML statements outstanding|exceeded rate limits"
_PASSING = f"(?i){_CONCURRENT}|{_TOO_OFTEN}|retrying the job"


@dataclass(frozen=True)
class _Rule:
    """The sentence for errors of a kind, for one of these reasons if there are any, whose message has the pattern."""

    error: type[StKpiError]
    sentence: str
    kind: type[GoogleAPICallError] = GoogleAPICallError
    reasons: tuple[str, ...] = ()
    pattern: str = ""

    def matches(self, error: GoogleAPICallError, message: str) -> bool:
        return (
            isinstance(error, self.kind)
            and (not self.reasons or _reason(error) in self.reasons)
            and re.search(self.pattern, message) is not None
        )


_NO_CREDENTIALS = (
    "There are no Google Cloud credentials that work: run `gcloud auth application-default login`,"
    " set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or run where one is attached."
)
_ASKED_TOO_OFTEN = (
    "BigQuery was asked too often in project {project} and kept refusing: {message}"
    " Run the same command again in some minutes; what is complete stays."
)
_NO_BILLING = (
    "Project {project} has no billing account (BigQuery's sandbox): without one BigQuery changes no rows, and deletes"
    " every table and every month of it after 60 days. Enable billing for it in the Google Cloud console."
)
#: The first that matches says it.
_RULES = (
    _Rule(ConfigurationError, f"{_NO_CREDENTIALS} BigQuery says: {{message}}", kind=Unauthorized),
    _Rule(WarehouseError, _ASKED_TOO_OFTEN, reasons=_RATE_LIMITS),
    _Rule(WarehouseError, _ASKED_TOO_OFTEN, pattern=f"(?i){_TOO_OFTEN}"),
    _Rule(
        WarehouseError,
        "A quota of project {project} is used up: {message}"
        " Wait until it is refilled or ask Google for more; what is complete stays.",
        reasons=("quotaExceeded",),
    ),
    _Rule(ConfigurationError, _NO_BILLING, reasons=("billingNotEnabled",)),
    _Rule(ConfigurationError, _NO_BILLING, pattern="(?i)billing has not been enabled"),
    _Rule(
        WarehouseError,
        "A statement would read more than it may: {message}"
        " Raise ST_KPI_MAXIMUM_BYTES_BILLED if that is meant.",
        reasons=("bytesBilledLimitExceeded",),
    ),
    _Rule(
        TooComplex,
        "BigQuery cannot plan a statement in project {project}: {message}",
        pattern="(?i)too complex|too many subqueries|query is too large",
    ),
    _Rule(
        WarehouseError,
        "BigQuery allows this account too little in project {project}: {message} Give it {roles}.",
        kind=Forbidden,
    ),
    _Rule(
        ConfigurationError,
        "There is no Google Cloud project {project}, or this account cannot see it: check the"
        " project in ST_KPI_WAREHOUSE.",
        kind=NotFound,
        pattern="(?i)not found: project",
    ),
    _Rule(
        WarehouseError,
        "{message} The warehouse's address says location={location}: if the datasets lie"
        " elsewhere, name that location in ST_KPI_WAREHOUSE.",
        kind=NotFound,
        pattern="(?i)location",
    ),
    _Rule(
        ConfigurationError,
        "{project!r} is no project id: check ST_KPI_WAREHOUSE.",
        pattern="(?i)invalid project id",
    ),
    _Rule(
        WarehouseError,
        "Another run wrote to the same tables at the same moment: {message}"
        " Nothing of this one was written; run it again.",
        pattern=f"(?i){_CONCURRENT}",
    ),
    _Rule(WarehouseError, "BigQuery refused a statement in project {project}: {message}"),
)


def translate_error(error: ClientError, project: str, location: str) -> StKpiError:
    """The error of the client in one sentence: what was refused, and what to do about it."""
    if isinstance(error, RetryError) and isinstance(error.cause, CLIENT_ERRORS):
        return translate_error(error.cause, project, location)
    if isinstance(error, GoogleAPICallError):
        message = _message(error)
        rule = next(rule for rule in _RULES if rule.matches(error, message))
        values = {"project": project, "location": location, "message": message}
        return rule.error(rule.sentence.format(**values, roles=_roles(message)))
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return ConfigurationError(f"{_NO_CREDENTIALS} Google says: {_one_line(str(error))}")
    if isinstance(error, TimeoutError):
        return WarehouseError(
            f"A job of project {project} did not end in the time it has, and was cancelled: {_one_line(str(error) or 'a SELECT')}"
            " Run the same command again; what is complete stays."
        )
    return WarehouseError(
        f"BigQuery cannot be reached for project {project}: {_one_line(str(error))}"
    )


def is_transient(error: GoogleAPICallError) -> bool:
    """Whether the same job may succeed when it is started again."""
    return _reason(error) in _TRANSIENT or re.search(_PASSING, str(error)) is not None


def _roles(message: str) -> str:
    """The roles without which this was refused; both where the message does not say."""
    if "bigquery.jobs.create" in message:
        return "roles/bigquery.jobUser"
    if "bigquery.datasets.update" in message:
        return "roles/bigquery.dataOwner on the dataset"
    if re.search(r"bigquery\.(datasets|tables)\.", message):
        return "roles/bigquery.dataEditor"
    return "roles/bigquery.dataEditor and roles/bigquery.jobUser"


def _reason(error: GoogleAPICallError) -> str:
    first: Mapping[str, str] = error.errors[0] if error.errors else {}
    return first.get("reason", "") if isinstance(first, Mapping) else ""


def _message(error: GoogleAPICallError) -> str:
    """What the service says, as a sentence, without the client's own words around it."""
    text = re.sub(r"^(GET|POST|PUT|PATCH|DELETE) \S+ ", "", str(error.message))
    return _one_line(text.split("; reason:")[0])


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."
