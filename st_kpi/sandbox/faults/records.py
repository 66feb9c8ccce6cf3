"""Faults inside a record: what happens to the JSON of one row.

Whether a record is hit depends on the seed and its id alone, so that it looks the same each time it
is read, in whatever order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from random import Random
from typing import Any

from st_kpi.sandbox.clock import MINUTE, SECOND, iso, ticks
from st_kpi.sandbox.faults.names import SCRIPTS, Fault
from st_kpi.sandbox.wire.base import Record

BEYOND_FLOATS = 2**53 + 1
EMPTY_DATE = "0001-01-01T00:00:00Z"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,7}))?Z")
_MONEY = re.compile(r"-?\d+\.\d+")
_OFFSETS = (("Z", 0), ("+00:00", 0), ("-07:00", -420), ("+05:30", 330))
_NAMES = ("name", "customerName", "locationName")
_TEXTS = ("summary", "memo", "description", "specialInstructions")
_MOST_LINES = 40
_ODD = dict(
    zip(
        SCRIPTS,
        (
            "\U0001f3a8\U0001f469\u200d\U0001f3a8",  # a painter is three characters in one
            "\u202e\u05e9\u05dc\u05d5\u05dd \u0639\u064a\u0646\u0629",
            "e\u0301\u0327\u0308 \u1e9e\u0130",
            "\ud83d",  # half of a pair: valid as a JSON escape, not as UTF-8
        ),
        strict=True,
    )
)


def chance(*parts: object) -> float:
    """A number from 0 to below 1 that depends on the parts alone."""
    digest = blake2b(repr(parts).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def identity(record: Record) -> object:
    """What a record is known by: its id, or all of it where old pay lines have none."""
    key = record.get("id")
    if key is not None:
        return key
    shown = {name: value for name, value in record.items() if name != "modifiedOn"}
    return repr(shown)  # not JSON: another fault may have put half a surrogate pair into a name


def hit(seed: int, fault: Fault, record: Record) -> bool:
    """Whether the record is one of the share."""
    return chance(seed, fault.name, fault.path, identity(record)) < fault.share


def _one(record: Record, fault: Fault, eligible: Callable[[Any], bool]) -> str | None:
    """The field asked for, or one of those that the fault could concern."""
    if fault.detail:
        return fault.detail if eligible(record.get(fault.detail)) else None
    names = [name for name, value in record.items() if name != "id" and eligible(value)]
    if not names:
        return None
    return names[int(chance(fault.name, identity(record)) * len(names))]


def _number(value: Any) -> bool:
    whole_or_not = isinstance(value, int | float) and not isinstance(value, bool)
    return whole_or_not or (isinstance(value, str) and _MONEY.fullmatch(value) is not None)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _unknown_field(record: Record, fault: Fault) -> Record:
    return {**record, fault.detail: {"since": "ST-99", "values": [1, "two", None]}}


def _number_as_word(record: Record, fault: Fault) -> Record:
    name = _one(record, fault, _number)
    return record if name is None else {**record, name: "twelve"}


def _int_as_fraction(record: Record, fault: Fault) -> Record:
    name = _one(record, fault, _whole)
    return record if name is None else {**record, name: record[name] + 0.5}


def _object_as_string(record: Record, fault: Fault) -> Record:
    name = _one(record, fault, lambda value: isinstance(value, dict))
    return record if name is None else {**record, name: "see the other system"}


def _null_in_required(record: Record, fault: Fault) -> Record:
    return {**record, fault.detail: None} if fault.detail in record else record


def _empty_date(record: Record, fault: Fault) -> Record:
    return {**record, fault.detail: EMPTY_DATE} if fault.detail in record else record


def _zero_id(record: Record, fault: Fault) -> Record:
    """Zero where an id was, in the field or, where that is an object, in its own id."""
    value = record.get(fault.detail)
    if isinstance(value, dict):
        return {**record, fault.detail: {**value, "id": 0}}
    return (
        {**record, fault.detail: 0}
        if fault.detail.endswith("Id") and fault.detail in record
        else record
    )


def _project_billing(record: Record, fault: Fault) -> Record:
    project = {"projectId": int(chance("project", identity(record)) * 1000) + 1}
    none: Record = {name: None for name in ("job", "jobId") if name in record}
    return {**record, **none, **project} if none else record


def _odd_names(record: Record, fault: Fault) -> Record:
    key = identity(record)
    script = fault.detail or SCRIPTS[int(chance("script", key) * len(SCRIPTS))]
    return {
        **record,
        **{name: f"{record[name]} {_ODD[script]}" for name in _NAMES if record.get(name)},
    }


def _odd_timestamps(record: Record, fault: Fault) -> Record:
    odd: Record = _rewritten(record, lambda name, value: _odd_timestamp(value))
    return odd


def _odd_timestamp(value: Any) -> Any:
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    needed = len(match[1] or "")
    digits = needed + int(chance("digits", value) * (8 - needed))
    zone, minutes = _OFFSETS[int(chance("zone", value) * len(_OFFSETS))]
    moment = ticks(value) + minutes * MINUTE
    fraction = f".{moment % SECOND:07d}"[: digits + 1] if digits else ""
    return iso(moment - moment % SECOND)[:-1] + fraction + zone


def huge_ids(record: Record, seed: int, fault: Fault) -> Record:
    """Ids and every reference to them, moved together, so that rows still find one another."""

    def moved(name: str, value: Any) -> Any:
        if not (name in ("id", "soldBy", "appliedTo") or name.endswith(("Id", "Ids"))):
            return value
        text = isinstance(value, str) and value.isascii() and value.isdigit()
        key = int(value) if text or _whole(value) else 0
        if not key or chance(seed, fault.name, key) >= fault.share:
            return value
        return str(key + BEYOND_FLOATS) if text else key + BEYOND_FLOATS

    huge: Record = _rewritten(record, moved)
    return huge


def with_long_text(record: Record, megabytes: int) -> Record:
    """The record with a text of so many million characters in its first field for prose.

    A record without one gets a new field: names are looked up elsewhere and must stay as they are.
    """
    name = next((name for name in _TEXTS if name in record), "memo")
    return {**record, name: "Two coats of paint. " * (megabytes * 50_000)}


def _long_record(record: Record, fault: Fault) -> Record:
    """Prose of a length with a long tail, and lines of text alone, which cost and bring nothing."""
    key = identity(record)
    length = int(int(fault.detail) * -1000 * math.log(1 - chance("length", key)))
    items = record.get("items")
    if not items:
        field = next((name for name in _TEXTS if name in record), None)
        return record if field is None else {**record, field: _prose(key, length)}
    count = min(_MOST_LINES, int((1 - chance("lines", key)) ** -0.7))
    lines = [*items, *([_text_line(items[-1])] * (count - len(items)))]
    share = length // len(lines)
    return {
        **record,
        "items": [{**line, "description": _prose((key, n), share)} for n, line in enumerate(lines)],
    }


def _text_line(line: Record) -> Record:
    """A line like another whose numbers are all nothing."""

    def nothing(name: str, value: Any) -> Any:
        if name in ("id", "order") or name.endswith("Id") or not _number(value):
            return value
        return "0.00" if isinstance(value, str) else 0

    empty: Record = _rewritten(line, nothing)
    return empty


@cache
def _words() -> str:
    """A text that does not compress to nothing."""
    words = (
        "coat",
        "primer",
        "trim",
        "north side",
        "siding",
        "two",
        "sanded",
        "and",
        "then",
        "door",
    )
    rng = Random(7)
    return " ".join(f"{rng.choice(words)} {rng.randrange(100)}" for _ in range(20_000))


def _prose(key: object, length: int) -> str:
    start = int(chance("prose", key) * 100_000)
    return (_words() * (1 + (start + length) // len(_words())))[start : start + length]


def _rewritten(value: Any, rewrite: Callable[[str, Any], Any], name: str = "") -> Any:
    """The value with each leaf rewritten, given the name of the field it is in."""
    if isinstance(value, dict):
        return {key: _rewritten(inner, rewrite, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rewritten(inner, rewrite, name) for inner in value]
    return rewrite(name, value)


RECORD_FAULTS: dict[str, Callable[[Record, Fault], Record]] = {
    "unknown-field": _unknown_field,
    "number-as-word": _number_as_word,
    "int-as-fraction": _int_as_fraction,
    "object-as-string": _object_as_string,
    "null-in-required": _null_in_required,
    "empty-date": _empty_date,
    "zero-id": _zero_id,
    "project-billing": _project_billing,
    "odd-timestamps": _odd_timestamps,
    "long-records": _long_record,
    "odd-names": _odd_names,
}
