"""What a cell of a report says: amounts and days as people, Excel and the Reporting API write them."""

import datetime as dt
import re
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

_NOTHING = ("", "-", "\u2013", "\u2014", "n/a")
_NUMBER = re.compile(r"\d[\d.,'\s\u00a0\u202f]*|\.\d+")
_GROUPED = re.compile(
    r"(?P<whole>\d{1,3}(?:(?P<mark>[.,])\d{3})(?:(?P=mark)\d{3})*)(?P<decimals>[.,]\d+)?"
)
_UNGROUPED = re.compile(r"(?P<whole>\d*)(?P<decimals>[.,]\d+)?")
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})")
_AMERICAN = re.compile(r"(?P<month>\d{1,2})[/-](?P<day>\d{1,2})[/-](?P<year>\d{4}|\d{2})")
_GERMAN = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4}|\d{2})")
_DAY_FORMS = (_YEAR_FIRST, _AMERICAN, _GERMAN)


def amount(cell: Any) -> Decimal:
    """The number in a cell, exact; nothing is zero, and 53.37% is 0.5337. Raises ``ValueError``.

    ``(250.00)`` and ``250.00-`` are negative. Of ``1.234,50`` and ``1,234.50`` the last mark stands before the decimals;
    a mark with three digits behind it stands between thousands.
    """
    if cell is None or isinstance(cell, bool):
        return Decimal(int(cell or 0))
    if isinstance(cell, int | float | Decimal):
        return _finite(Decimal(str(cell)))
    text = str(cell).strip()
    if text.casefold() in _NOTHING:
        return Decimal(0)
    found = _NUMBER.search(text)
    around = text.replace(found[0], "", 1) if found else text
    if found is None or re.search(r"[^\s()$€£+%\-\u2212A-Z]", around):
        raise ValueError(f"{text!r} is no amount")
    number = _finite(Decimal(_plain(found[0])))
    if "%" in around:
        number /= 100
    return -number if re.search(r"[(\-\u2212]", around) else number


def day(cell: Any, zone: ZoneInfo) -> dt.date | None:
    """The tenant's day in a cell, None for an empty one; raises ``ValueError``.

    A time with an offset is an instant, whose day is that of ``zone``; one without is the tenant's own. 1/31/2025 is
    read month first, 31.1.2025 day first.
    """
    if isinstance(cell, dt.datetime):
        return (cell.astimezone(zone) if cell.tzinfo else cell).date()
    if isinstance(cell, dt.date):
        return cell
    text = str(cell if cell is not None else "").strip()
    if text.casefold() in _NOTHING:
        return None
    try:
        return day(dt.datetime.fromisoformat(text), zone)
    except ValueError:
        found = first_day(text)
        if found is None:
            raise ValueError(f"{text!r} is no day") from None
        return found


def first_day(text: str) -> dt.date | None:
    """The day with which a text begins, whatever follows it, such as a time of the day."""
    for form in _DAY_FORMS:
        if match := form.match(text):
            year = int(match["year"])
            year += 2000 if year < 100 else 0
            return dt.date(year, int(match["month"]), int(match["day"]))
    return None


def days_in(text: str) -> list[dt.date]:
    """All days in a line of text, in its order; what only looks like one is left out."""
    found = []
    for match in re.finditer(r"(?<!\d)\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}(?!\d)", text):
        try:
            one = first_day(match[0])
        except ValueError:
            continue
        if one:
            found.append(one)
    return found


def _plain(digits: str) -> str:
    """The digits with a point before the decimals and nothing between thousands; raises ``ValueError``."""
    digits = re.sub(r"['\s\u00a0\u202f]", "", digits)
    grouped = _GROUPED.fullmatch(digits)
    if (
        grouped
        and grouped["decimals"] is None
        and grouped["mark"] == "."
        and digits.count(".") == 1
    ):
        if not digits.startswith("0"):
            raise ValueError(f"{digits!r} may be a thousand times as much: write its decimals")
        grouped = None
    match = grouped or _UNGROUPED.fullmatch(digits)
    if match is None or (grouped and (grouped["decimals"] or "").startswith(grouped["mark"])):
        raise ValueError(f"{digits!r} is no amount")
    whole = re.sub(r"[.,]", "", match["whole"])
    return f"{whole or 0}.{(match['decimals'] or '.0')[1:]}"


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise ValueError(f"{number} is no amount")
    return number
