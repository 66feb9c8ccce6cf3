"""Reading one answer: the envelope is parsed, the records stay bytes.

No Python object is built per record or field; every byte is still checked to be JSON, because the
loader that reads the records next takes a page cut off after a comma for a complete one.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from st_kpi.errors import MalformedResponse

#: One JSON value as it came.
Raw = bytes | msgspec.Raw


#: A number of rows.
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """What a list or an export wraps its records in; other members are ignored."""

    has_more: bool
    data: list[msgspec.Raw]
    total_count: _Count | None = None
    continue_from: str | None = None


class Problem(msgspec.Struct, frozen=True, rename="camel"):
    """The parts of an error body that help: ``errors`` names the parameters that were wrong."""

    title: str | None = None
    trace_id: str | None = None
    errors: dict[str, msgspec.Raw] | None = None


@dataclass(frozen=True)
class Page:
    """One page of records.

    ``start`` is how many rows of the list, or of the stretch of a feed, come before it. ``url`` is where
    it came from and ``bytes`` what its body weighed. ``total`` is None unless it was asked for.
    ``read_at`` is when it came, by the source's clock in UTC, and later than every answer before it. ``continue_from`` is
    the token to go on from, of an export only. ``server_time`` is the second that the answer tells, where it does.
    """

    start: int
    records: Sequence[msgspec.Raw]
    has_more: bool
    url: str
    bytes: int
    read_at: datetime
    total: int | None = None
    continue_from: str | None = None
    server_time: datetime | None = None

    @property
    def rows(self) -> int:
        """How many records the page holds."""
        return len(self.records)


_ENVELOPE = msgspec.json.Decoder(Envelope, strict=False)  # numbers and flags may come as text
_BARE = msgspec.json.Decoder(list[msgspec.Raw])
_PROBLEM = msgspec.json.Decoder(Problem)
_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")
_UTF8_BLOCK = 1 << 20

#: Any escape of a JSON string, so that an escaped backslash before ``ud800`` is not taken for a
#: surrogate.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def parse(body: bytes, *, entity: str, url: str) -> Envelope:
    """The envelope of a page, or of a bare array, which some endpoints send.

    Raises ``MalformedResponse``, whose text holds the place of the fault and nothing of the body.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        envelope = _decode(body)
        _check_utf8(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponse(_fault(body, error), entity=entity, url=url, status=200) from None
    if any(memoryview(record)[0] != ord("{") for record in envelope.data):
        raise MalformedResponse(
            "The list holds something that is not a record.", entity=entity, url=url, status=200
        )
    return envelope


def ndjson(records: Sequence[Raw]) -> bytes:
    """Records of a parsed page one to a line.

    JSON allows no raw line break inside a string and ``parse`` has seen to that, so one within a
    record can only be space between tokens.
    """
    lines = b"\n".join([*records, b""])
    if lines.count(b"\n") == len(records) and b"\r" not in lines:
        return lines
    return b"\n".join([*(bytes(record).translate(_TO_SPACES) for record in records), b""])


def problem(body: bytes) -> Problem:
    """What an error body says; an empty ``Problem`` when it is HTML or anything unexpected."""
    try:
        return _PROBLEM.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Problem()


def _decode(body: bytes) -> Envelope:
    try:
        return _decode_strict(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # A name cut in the middle of an emoji leaves half a surrogate pair: valid by JSON's
        # grammar, refused by decoders here and in the warehouse, and no reason to lose the page.
        mended = _ESCAPE.sub(_mend, body)
        if mended == body:
            raise
        return _decode_strict(mended)


def _decode_strict(body: bytes) -> Envelope:
    if body[:64].lstrip().startswith(b"["):
        return Envelope(has_more=False, data=_BARE.decode(body))
    return _ENVELOPE.decode(body)


def _mend(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["lone"] else escape[0]


def _check_utf8(body: bytes) -> None:
    """Raise ``UnicodeDecodeError`` for bytes that are not UTF-8; the decoder does not look."""
    if body.isascii():
        return
    # Block by block: a single emoji makes the text of a whole page four times its bytes.
    decode = codecs.getincrementaldecoder("utf-8")().decode
    view = memoryview(body)
    for start in range(0, len(body), _UTF8_BLOCK):
        decode(view[start : start + _UTF8_BLOCK])
    decode(b"", final=True)


def _fault(body: bytes, error: Exception) -> str:
    if body[:256].lstrip()[:1] == b"<":
        return "The answer is HTML, not JSON."
    if isinstance(error, UnicodeDecodeError):
        return "The answer is not UTF-8."
    if isinstance(error, RecursionError):
        return "The answer holds objects within objects, deeper than any record."
    return f"The answer of {len(body):,} bytes is not a page of records: {error}."
