"""The token flow, stepped by hand: requests come out, responses go in, nothing is sent."""

import asyncio
import json
from collections.abc import AsyncGenerator
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr

from st_kpi.errors import AuthenticationError, ConfigurationError, MalformedResponse
from st_kpi.servicetitan.auth import ClientCredentials, Credentials

CREDENTIALS = Credentials(
    tenant_id=7,
    client_id="planted-id",
    client_secret=SecretStr("planted-secret"),
    app_key=SecretStr("planted-key"),
)
AUTH_URL = "https://auth-integration.servicetitan.io"

Flow = AsyncGenerator[httpx.Request, httpx.Response]


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth(clock: Clock) -> ClientCredentials:
    return ClientCredentials(CREDENTIALS, AUTH_URL, clock=clock)


def begin(auth: ClientCredentials) -> Flow:
    return auth.async_auth_flow(httpx.Request("GET", "https://api.servicetitan.io/jobs"))


def grant(token: str = "one", expires_in: int = 900) -> httpx.Response:
    body = {"access_token": token, "expires_in": expires_in, "token_type": "Bearer"}
    return httpx.Response(200, json=body)


async def sign_in(auth: ClientCredentials, token: str = "one", expires_in: int = 900) -> None:
    """Run one request to its end, so that the flow holds a token."""
    flow = begin(auth)
    assert (await anext(flow)).method == "POST"
    await flow.asend(grant(token, expires_in))
    await end(flow)


async def end(flow: Flow, response: httpx.Response | None = None) -> None:
    with pytest.raises(StopAsyncIteration):
        await flow.asend(response or httpx.Response(200))


def bearer(request: httpx.Request) -> str:
    return request.headers["Authorization"].removeprefix("Bearer ")


async def test_the_token_is_asked_for_with_a_form(auth: ClientCredentials) -> None:
    request = await anext(begin(auth))
    assert str(request.url) == f"{AUTH_URL}/connect/token"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.content.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["planted-id"],
        "client_secret": ["planted-secret"],
    }


async def test_the_token_request_has_the_timeouts_of_the_request(auth: ClientCredentials) -> None:
    timeouts = {"timeout": {"read": 3.0}}
    request = httpx.Request("GET", "https://api.servicetitan.io/jobs", extensions=timeouts)
    assert (await anext(auth.async_auth_flow(request))).extensions == timeouts


async def test_the_request_carries_token_and_app_key(auth: ClientCredentials) -> None:
    flow = begin(auth)
    await anext(flow)
    request = await flow.asend(grant("one"))
    assert request.headers["Authorization"] == "Bearer one"
    assert request.headers["ST-App-Key"] == "planted-key"
    await end(flow)


@pytest.mark.parametrize(
    ("expires_in", "seconds", "renewed"),
    [
        pytest.param(900, 839, False, id="used while more than a minute is left"),
        pytest.param(900, 840, True, id="renewed a minute before it ends"),
        pytest.param(60, 29, False, id="a short-lived token is used for half its life"),
        pytest.param(60, 30, True, id="and then renewed"),
    ],
)
async def test_the_token_is_renewed_before_it_ends(
    auth: ClientCredentials, clock: Clock, expires_in: int, seconds: float, renewed: bool
) -> None:
    await sign_in(auth, expires_in=expires_in)
    clock.now += seconds
    request = await anext(begin(auth))
    assert (request.method == "POST") is renewed


async def test_the_life_of_a_token_counts_from_when_it_was_asked_for(
    auth: ClientCredentials, clock: Clock
) -> None:
    flow = begin(auth)
    await anext(flow)
    clock.now += 50
    await flow.asend(grant(expires_in=900))
    await end(flow)
    clock.now += 800
    assert (await anext(begin(auth))).method == "POST"


async def test_a_refused_token_is_renewed_once(auth: ClientCredentials) -> None:
    await sign_in(auth, "one")
    flow = begin(auth)
    # The first try goes out with the token at hand and is refused.
    assert bearer(await anext(flow)) == "one"
    # A new token is asked for, and the request goes out again with it.
    assert (await flow.asend(httpx.Response(401))).method == "POST"
    assert bearer(await flow.asend(grant("two"))) == "two"
    # A second refusal is the answer.
    await end(flow, httpx.Response(401))


async def test_a_refused_token_is_not_renewed_by_each_request_that_met_it(
    auth: ClientCredentials,
) -> None:
    await sign_in(auth, "one")
    first, second = begin(auth), begin(auth)
    assert bearer(await anext(first)) == bearer(await anext(second)) == "one"
    await first.asend(httpx.Response(401))
    await first.asend(grant("two"))
    # The second was refused with the old token and finds the new one there.
    assert bearer(await second.asend(httpx.Response(401))) == "two"


async def test_a_flow_that_ends_while_asking_lets_the_next_one_ask(
    auth: ClientCredentials,
) -> None:
    cut_off = begin(auth)
    await anext(cut_off)
    await cut_off.aclose()
    async with asyncio.timeout(1):
        assert (await anext(begin(auth))).method == "POST"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(400, b'{"error":"invalid_client"}', "(invalid_client)", id="invalid client"),
        pytest.param(401, b"<html>planted-secret</html>", "refused", id="401 with HTML"),
        pytest.param(403, b"", "refused", id="403 without a body"),
        pytest.param(400, b'{"error":"planted-secret!"}', "refused", id="a code that is no code"),
    ],
)
async def test_refused_credentials_name_settings_and_environment_but_no_secret(
    auth: ClientCredentials, status: int, body: bytes, words: str
) -> None:
    flow = begin(auth)
    await anext(flow)
    with pytest.raises(AuthenticationError) as refused:
        await flow.asend(httpx.Response(status, content=body))
    text = str(refused.value)
    assert words in text
    assert "ST_KPI_CLIENT_ID" in text
    assert "ST_KPI_CLIENT_SECRET" in text
    assert "the integration environment" in text
    assert "planted" not in text


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_failing_token_endpoint_is_left_to_the_retry(
    auth: ClientCredentials, status: int
) -> None:
    flow = begin(auth)
    token_request = await anext(flow)
    with pytest.raises(httpx.HTTPStatusError) as failed:
        await flow.asend(httpx.Response(status, request=token_request))
    assert failed.value.response.status_code == status


@pytest.mark.parametrize("body", [b"<html>", b'{"access_token":', b"{}"])
async def test_an_answer_that_is_no_token_is_malformed(
    auth: ClientCredentials, body: bytes
) -> None:
    flow = begin(auth)
    await anext(flow)
    with pytest.raises(MalformedResponse):
        await flow.asend(httpx.Response(200, content=body))


@pytest.mark.parametrize("key", ["", "planted key", "planted\n", "planted\u2019"])
def test_an_app_key_that_no_header_can_carry_is_refused_unquoted(key: str) -> None:
    credentials = Credentials(7, "id", SecretStr("secret"), SecretStr(key))
    with pytest.raises(ConfigurationError) as wrong:
        ClientCredentials(credentials, AUTH_URL)
    assert "planted" not in str(wrong.value)


async def test_no_secret_is_shown(auth: ClientCredentials) -> None:
    await sign_in(auth, "planted-token")
    shown = f"{auth!r} {CREDENTIALS!r} {json.dumps(vars(auth), default=repr)}"
    assert "planted" not in shown


def answer(content: bytes) -> httpx.Response:
    return httpx.Response(200, content=content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"access_token": "one", "expires_in": "900"}',
        b'\xef\xbb\xbf{"access_token": "one", "expires_in": 900}',
        b'{"access_token": "one", "expires_in": null}',
    ],
    ids=["text", "byte order mark", "null"],
)
async def test_tokens_that_are_read(auth: ClientCredentials, content: bytes) -> None:
    flow = begin(auth)
    await anext(flow)
    assert bearer(await flow.asend(answer(content))) == "one"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"access_token": "planted\\nX-Evil: 1"}', "no header can carry"),
        (b'{"access_token": ""}', "is empty"),
        (b'{"access_token": "planted-\xc3\xbc"}', "no header can carry"),
        (b'{"access_token": "planted", "expires_in": 0}', "lives for 0 seconds"),
        (b'{"access_token": "planted", "expires_in": -5}', "lives for -5 seconds"),
        (b'{"access_token": "planted", "expires_in": 1e999}', "is not a token"),
        (b'{"access_token": "planted", "expires_in": "nan"}', "lives for nan seconds"),
        (b'{"access_token": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "is not a token"),
        (b"planted", "is not a token"),
    ],
    ids=["line break", "empty", "umlaut", "0 s", "less", "infinite", "nan", "deep", "text"],
)
async def test_a_token_that_is_none_is_named(
    auth: ClientCredentials, content: bytes, words: str
) -> None:
    flow = begin(auth)
    await anext(flow)
    with pytest.raises(MalformedResponse, match=words) as failed:
        await flow.asend(answer(content))
    assert "planted" not in repr(failed.value)
    assert failed.value.url == f"{AUTH_URL}/connect/token"
