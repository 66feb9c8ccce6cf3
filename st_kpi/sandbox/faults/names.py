"""The faults a tenant can have, by name, and how a person asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Detail(Enum):
    """What the text after `#` means."""

    NONE = ""
    SECONDS = "seconds"
    STATUS = "status"
    PAGE = "page"
    FIELD = "field"
    MEGABYTES = "megabytes"
    KILOBYTES = "kilobytes"
    SCRIPT = "script"
    POLLS = "polls"


SCRIPTS = ("emoji", "right-to-left", "combining", "surrogate")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault: how often without a share, what `#` gives, and a description."""

    share: float
    says: str
    detail: Detail = Detail.NONE
    default: str = ""


_SECONDS, _FIELD = Detail.SECONDS, Detail.FIELD
_NUMBERS = (
    Detail.SECONDS,
    Detail.STATUS,
    Detail.PAGE,
    Detail.MEGABYTES,
    Detail.KILOBYTES,
    Detail.POLLS,
)

#: The share is one of answers, or of records where the description speaks of records.
CATALOGUE: dict[str, Kind] = {
    # An answer
    "rate-limit": Kind(0.1, "429 with Retry-After", _SECONDS, "1"),
    "rate-limit-in-words": Kind(0.1, "429 that only its title says how long", _SECONDS, "2"),
    "server-error": Kind(0.1, "500 with a JSON body and a traceId"),
    "bad-gateway": Kind(0.1, "502 with an HTML body"),
    "unavailable": Kind(0.1, "503 without a body"),
    "cut-connection": Kind(0.05, "the connection closes in the middle of the body"),
    "truncated-json": Kind(0.05, "200 with half a body, and a Content-Length that fits it"),
    "cut-between-records": Kind(0.05, "200 with a body that ends after a comma between records"),
    "hang": Kind(0.05, "not a byte for so long, then the answer", _SECONDS, "30"),
    "slow": Kind(0.05, "the body in ten pieces over so long", _SECONDS, "10"),
    # Access
    "token-dies": Kind(0.02, "401 for an access token in use, until a new one is fetched"),
    "token-refused": Kind(1.0, "no access token: 400 invalid_client", Detail.STATUS, "400"),
    "token-refused-once": Kind(1.0, "no access token the first time", Detail.STATUS, "503"),
    "missing-endpoint": Kind(1.0, "404, as when the tenant does not have it"),
    "forbidden": Kind(1.0, "403, as when the scope was not granted"),
    "page-fails": Kind(1.0, "500 for one page number, each time", Detail.PAGE, "2"),
    # Lists that change while they are read
    "row-removed": Kind(0.1, "after a page, one of its rows is deleted: the next page skips one"),
    "row-inserted": Kind(0.1, "after a page, a row appears before it: the next page repeats one"),
    # Feeds
    "feed-duplicates": Kind(0.05, "records of a feed come twice in a page"),
    "feed-empty-page": Kind(0.3, "a feed page without rows that promises more"),
    "feed-repeats-last-row": Kind(1.0, "a feed page begins with the last row of the one before"),
    "feed-unsorted": Kind(1.0, "the rows of a feed page in any order"),
    "feed-ends-in-null": Kind(1.0, "continueFrom is null on the last page of a feed"),
    "feed-hides-rows": Kind(0.01, "records that a feed never shows; the list has them"),
    # Records
    "unknown-field": Kind(1.0, "records have a field that nobody has heard of", _FIELD, "newField"),
    "number-as-word": Kind(0.01, "records have a word for a number", _FIELD),
    "int-as-fraction": Kind(0.01, "records have a fraction for a whole number", _FIELD),
    "object-as-string": Kind(0.01, "records have a text for an object", _FIELD),
    "null-in-required": Kind(0.01, "records have null in a required field", _FIELD, "createdOn"),
    "empty-date": Kind(
        0.01, "records have 0001-01-01 for no date, as .NET writes it", _FIELD, "completedOn"
    ),
    "zero-id": Kind(0.01, "records refer to 0 for none", _FIELD, "businessUnitId"),
    "project-billing": Kind(0.01, "records name a project and no job"),
    "odd-timestamps": Kind(1.0, "records write the same instants with 0 to 7 digits and offsets"),
    "huge-ids": Kind(1.0, "ids and references beyond 2^53; the share is one of ids"),
    "huge-record": Kind(0.1, "a long text in the first record", Detail.MEGABYTES, "6"),
    "long-records": Kind(
        1.0,
        "records as long as real ones, so many on average: prose, up to 40 lines",
        Detail.KILOBYTES,
        "8",
    ),
    "odd-names": Kind(0.1, f"records with odd names: {', '.join(SCRIPTS)}", Detail.SCRIPT),
    # Reports; the path is a part of their address or of their name
    "report-row-missing": Kind(0.1, "rows of a report are not there"),
    "report-row-extra": Kind(0.1, "a report has rows that nothing stands for"),
    "report-amount-off": Kind(0.1, "an amount in rows of a report is 12.34 more", _FIELD),
    "report-other-week": Kind(0.1, "rows of a report are dated a week later"),
    "report-other-unit": Kind(0.1, "rows of a report are under another unit of the same role"),
    "report-row-twice": Kind(0.1, "rows of a report come twice"),
    "report-test-customer": Kind(1.0, "rows of test customers, which the office filters out"),
    "report-excluded-family": Kind(1.0, "rows of job types that the office filters out"),
    "report-with-tax": Kind(1.0, "amounts in rows of a report include tax"),
    "report-orders-only": Kind(1.0, "costs in rows of a report are orders, whatever was billed"),
    "report-no-adjustments": Kind(
        1.0, "rows of a report lack adjustment invoices, asked for or not"
    ),
    "report-other-tenant": Kind(1.0, "numbers and units of a report are those of another tenant"),
    "report-column-renamed": Kind(1.0, "a column of a report has another name", _FIELD),
    "report-column-dropped": Kind(1.0, "a column of a report is gone", _FIELD),
    "report-renamed": Kind(1.0, "a report has another name, which begins as before"),
    "report-copied": Kind(1.0, "a report is there twice, under one name and two numbers"),
    "report-gone": Kind(1.0, "a report is not there any more"),
    "report-async": Kind(
        1.0, "data of reports are queried and fetched, the old way says this", Detail.STATUS, "410"
    ),
    "report-slow": Kind(1.0, "a query is ready at this poll, and not at once", Detail.POLLS, "3"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault asked for: `share` from 0 to 1, `path` a part of `jpm/export/jobs` or the like.

    Without a path it concerns every list and feed, or every report. `detail` is what the catalogue says.
    """

    name: str
    share: float
    path: str = ""
    detail: str = ""

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `NAME[=SHARE][@PATH][#DETAIL]`; raises ValueError with one sentence.

        Example: `Fault.parse("page-fails@jpm/jobs#3")`.
        """
        rest, _, detail = text.partition("#")
        rest, _, path = rest.partition("@")
        name, equals, share = rest.partition("=")
        if name not in CATALOGUE:
            raise ValueError(f"There is no fault {name!r}. The faults are: {', '.join(CATALOGUE)}.")
        kind = CATALOGUE[name]
        return cls(
            name,
            _share(text, share) if equals else kind.share,
            path.lstrip("/"),
            _detail(text, kind.detail, detail or kind.default),
        )


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults of a tenant; the same seed and the same requests meet the same ones."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    @classmethod
    def parse(cls, texts: Iterable[str], seed: int = 0) -> Faults:
        """Read each as `Fault.parse` does.

        Example: `Faults.parse(["server-error=0.2", "hang@export/#5"], seed=3)`.
        """
        return cls(tuple(Fault.parse(text) for text in texts), seed)


def _share(text: str, share: str) -> float:
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"The share in {text!r} is not a number from 0 to 1.")
    return value


def _detail(text: str, kind: Detail, detail: str) -> str:
    if kind is Detail.NONE and detail:
        raise ValueError(f"The fault in {text!r} takes nothing after #.")
    if kind is Detail.SCRIPT and detail and detail not in SCRIPTS:
        raise ValueError(f"The script in {text!r} is none of: {', '.join(SCRIPTS)}.")
    if kind in _NUMBERS:
        whole = detail.isascii() and detail.isdigit()
        if not whole or (kind is Detail.STATUS and not 400 <= int(detail) <= 599):
            raise ValueError(f"What follows # in {text!r} is not a number of {kind.value}.")
    return detail


def described() -> list[tuple[str, str]]:
    """For a help text: each name as it may be written, and what it does."""
    return [
        (
            name + (f"[#{kind.detail.value.upper()}]" if kind.detail is not Detail.NONE else ""),
            f"{kind.says} ({kind.share:g}{f', #{kind.default}' if kind.default else ''})",
        )
        for name, kind in CATALOGUE.items()
    ]
