"""Numbers with more digits than a double holds: the engine reads JSON's numbers as doubles, so those go to it as text."""

import re
from decimal import Decimal

from st_kpi.servicetitan.pages import Raw

#: What a number looks like that may be one: a long fraction, a fraction of a large number, or a negative exponent. Each
#: begins with one character, which the search leaps to. Whole numbers are read with all their digits, and what becomes
#: too large for a plain number is no plain one for the casts either.
_SUSPECTS = (
    re.compile(rb"\.(?:[0-9]{10}|(?<=[0-9]{7}\.)[0-9])"),
    re.compile(rb"-(?<=[0-9][eE]-)[0-9]+[,}\]\s]"),
)
#: A string, which is passed over, or a number.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)


def suspect(text: Raw) -> bool:
    """True where ``exact`` may change something that the casts would not refuse; cheap."""
    return any(pattern.search(text) for pattern in _SUSPECTS)


def exact(record: Raw) -> bytes:
    """The record with each number that would lose digits as the text it is."""
    return _TOKEN.sub(_as_text, bytes(record))


def _as_text(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if text.startswith(b'"') or _holds(text):
        return text
    return b'"' + text + b'"'


def _holds(number: bytes) -> bool:
    """True for a whole number, and for one that a double is written as."""
    if number.lstrip(b"-").isdigit():
        return True
    text = number.decode()
    try:
        return Decimal(text) == Decimal(repr(float(text)))
    except ArithmeticError:  # an exponent beyond any
        return False
