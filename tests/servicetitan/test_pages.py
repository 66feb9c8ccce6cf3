"""Reading pages: what is a page, what is not, and that its records pass through unchanged."""

import json

import pytest

from st_kpi.errors import MalformedResponse
from st_kpi.servicetitan.pages import Envelope, Problem, ndjson, parse, problem


def read(body: bytes) -> Envelope:
    return parse(body, entity="jobs", url="https://api/jobs")


def with_data(data: bytes) -> bytes:
    return b'{"page":1,"pageSize":2,"hasMore":false,"totalCount":null,"data":' + data + b"}"


def records(envelope: Envelope) -> list[bytes]:
    return [bytes(record) for record in envelope.data]


def test_a_list_page() -> None:
    page = read(
        b'{"page":2,"pageSize":2,"hasMore":true,"totalCount":9,"data":[{"a":1.50},{"b":2}]}'
    )
    assert (page.has_more, page.total_count, page.continue_from) == (True, 9, None)
    assert records(page) == [b'{"a":1.50}', b'{"b":2}']


def test_an_export_page() -> None:
    page = read(b'{"hasMore":false,"continueFrom":"abc","data":[]}')
    assert (page.has_more, page.continue_from, page.data) == (False, "abc", [])


def test_a_bare_array_is_a_last_page() -> None:
    page = read(b' \n[{"a":1},{"b":2}]')
    assert page.has_more is False
    assert records(page) == [b'{"a":1}', b'{"b":2}']


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"hasMore":false,"data":[{"a":1},', id="cut after a comma"),
        pytest.param(b'{"hasMore":false,"data":[{"a":1}', id="cut after a record"),
        pytest.param(b'{"hasMore":false,"data":[{"a":1}]', id="cut before the last brace"),
        pytest.param(b'[{"a":1},', id="bare array cut after a comma"),
        pytest.param(with_data(b'[{"a":1},]'), id="comma too many"),
        pytest.param(with_data(b'[{"a":1]}]'), id="unbalanced"),
        pytest.param(with_data(b'[{"a":1}}]'), id="brace too many"),
        pytest.param(with_data(b"[]") + b"x", id="more after the end"),
        pytest.param(with_data(b'[{"a":NaN}]'), id="NaN"),
        pytest.param(with_data(b'[{"a":01}]'), id="leading zero"),
        pytest.param(with_data(b'[{"a":tru}]'), id="no word"),
        pytest.param(with_data(b'[{"a":"x\ny"}]'), id="line break in a string"),
        pytest.param(with_data(b'[{"a":"\x00"}]'), id="control character"),
        pytest.param(with_data(b'[{"a":"\\q"}]'), id="no escape"),
        pytest.param(with_data(b'[{"a":"\xff"}]'), id="not UTF-8"),
        pytest.param(with_data(b'[{"\xff":1}]'), id="name not UTF-8"),
        pytest.param(with_data(b'[{"a":"\xed\xa0\x80"}]'), id="surrogate in UTF-8"),
        pytest.param(with_data(b'[{"a":"\xc3'), id="cut in a character"),
        pytest.param(with_data(b"[1]"), id="number for a record"),
        pytest.param(with_data(b"[null]"), id="null for a record"),
        pytest.param(with_data(b"null"), id="null for data"),
        pytest.param(b'{"hasMore":false}', id="no data"),
        pytest.param(b'{"data":[]}', id="no hasMore"),
        pytest.param(b'{"title":"oops","status":500}', id="an error body"),
        pytest.param(b"<html><body>Bad gateway</body></html>", id="HTML"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_not_a_page_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedResponse):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"hasMore":"Planted","data":[]}',
        b'{"hasMore":false,"data":"Planted"}',
        b'{"hasMore":false,"data":[{"name":"Planted"},]}',
        b'{"hasMore":false,"data":["Planted"]}',
        b'{"hasMore":false,"data":[{"name":"Planted \xff"}]}',
        b"<html>Planted</html>",
    ],
)
def test_the_error_quotes_nothing_of_the_body(body: bytes) -> None:
    with pytest.raises(MalformedResponse) as refused:
        read(body)
    assert "Planted" not in f"{refused.value!r} {refused.value.__cause__}"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param(rb'"x \ud83d"', '"x \ufffd"', id="first half"),
        pytest.param(rb'"\udE00 x"', '"\ufffd x"', id="second half"),
        pytest.param(rb'"\ud83d\ud83d\ude00"', '"\ufffd\U0001f600"', id="half before a pair"),
        pytest.param(rb'"\ud83d\u0041"', '"\ufffdA"', id="half before a letter"),
        pytest.param(rb'"\\ud83d \ud83d"', '"\\\\ud83d \ufffd"', id="escaped backslash"),
    ],
)
def test_half_an_emoji_does_not_lose_the_page(sent: bytes, kept: str) -> None:
    [record] = records(read(with_data(b'[{"name":' + sent + b"}]")))
    assert json.loads(record) == {"name": json.loads(kept)}


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b'{"id":9007199254740993123}', id="ids beyond 2^53"),
        pytest.param(b'{"v":1e400,"w":1.10,"x":-0.0}', id="numbers as written"),
        pytest.param('{"n":"Žluťoučký 🐎 \\u0000"}'.encode(), id="any unicode"),
        pytest.param(b'{"a":1,"a":2, "b" : [ {} ] }', id="doubles and spaces"),
    ],
)
def test_records_keep_their_bytes(record: bytes) -> None:
    assert records(read(with_data(b"[" + record + b"]"))) == [record]


def test_ndjson_has_one_record_to_a_line() -> None:
    page = read(with_data(b'[ {"a":\r\n  1},\n{"b":"x\\ny"} ]'))
    assert ndjson(page.data) == b'{"a":    1}\n{"b":"x\\ny"}\n'
    assert ndjson([]) == b""


def test_a_long_text_is_checked_across_blocks() -> None:
    # An odd offset puts the two bytes of a character on both sides of a block's end.
    text = b"x" + "é".encode() * (1 << 20)
    assert len(read(with_data(b'[{"a":"' + text + b'"}]')).data) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            b'{"type":"t","title":"No","status":400,"traceId":"abc","errors":{"sort":["x"]},"data":{}}',
            ("No", "abc", ["sort"]),
            id="documented",
        ),
        pytest.param(b'{"title":null}', (None, None, []), id="empty"),
        pytest.param(b"<html>", (None, None, []), id="HTML"),
        pytest.param(b"[]", (None, None, []), id="array"),
        pytest.param(b"\xff", (None, None, []), id="bytes"),
        pytest.param(b'{"title":5}', (None, None, []), id="wrong type"),
    ],
)
def test_an_error_body_tells_what_it_can(
    body: bytes, expected: tuple[str | None, str | None, list[str]]
) -> None:
    found: Problem = problem(body)
    assert (found.title, found.trace_id, list(found.errors or {})) == expected


DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000


def test_a_record_of_ten_thousand_levels_is_malformed() -> None:
    with pytest.raises(MalformedResponse, match="deeper than any record") as failed:
        read(with_data(b"[" + DEEP + b"]"))
    assert (failed.value.entity, failed.value.url) == ("jobs", "https://api/jobs")


def test_an_error_of_ten_thousand_levels_says_nothing() -> None:
    assert problem(b'{"title": "T", "errors": ' + DEEP + b"}") == Problem()


BOM = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_no_part_of_an_answer() -> None:
    assert records(read(BOM + with_data(b'[{"a":1}]'))) == [b'{"a":1}']
    assert records(read(BOM + b'[{"a":1}]')) == [b'{"a":1}']
    assert problem(BOM + b'{"title": "T"}').title == "T"


@pytest.mark.parametrize(("written", "total"), [('"12"', 12), ("12", 12), ("null", None)])
def test_a_total_may_be_written_as_text(written: str, total: int | None) -> None:
    page = read(f'{{"hasMore": false, "totalCount": {written}, "data": []}}'.encode())
    assert page.total_count == total


@pytest.mark.parametrize("written", ["-1", '"many"', "1.5", "[]", "{}"])
def test_a_total_that_is_none_is_malformed(written: str) -> None:
    with pytest.raises(MalformedResponse, match="totalCount"):
        read(f'{{"hasMore": false, "totalCount": {written}, "data": []}}'.encode())
