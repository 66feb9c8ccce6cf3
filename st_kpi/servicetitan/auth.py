"""The client-credentials token: a flow that yields requests and is sent responses, without I/O."""

import asyncio
import codecs
import re
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from pydantic import SecretStr

from st_kpi.errors import AuthenticationError, ConfigurationError, MalformedResponse
from st_kpi.servicetitan.bodies import MOST_BYTES_OF_FEW, read

#: Renew this many seconds before the end, so that no request is on its way with a token that dies
#: meanwhile.
_MARGIN = 60.0
#: The seconds that a token lives which does not say so.
_USUAL_LIFE = 900.0
#: The seconds within which the answer with a token has to be there, once its headers are.
_BODY_SECONDS = 100.0
_FOR_A_HEADER = re.compile(r"[!-~]+")

T = TypeVar("T")


@dataclass(frozen=True)
class Credentials:
    """What one app needs for one tenant; id and secret belong to one environment too."""

    tenant_id: int
    client_id: str = field(repr=False)
    client_secret: SecretStr
    app_key: SecretStr


class _Granted(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float | None = None


class _Refused(msgspec.Struct, frozen=True):
    error: str = ""


@dataclass(frozen=True, eq=False)
class _Token:
    value: SecretStr
    renew_at: float


class ClientCredentials(httpx.Auth):
    """Adds ``Authorization`` and ``ST-App-Key``; one token for all concurrent requests.

    The token is renewed before it ends and once on 401. Raises ``AuthenticationError`` when the
    credentials are refused, ``httpx.HTTPStatusError`` when the token endpoint fails in a way that
    may pass.
    """

    def __init__(
        self,
        credentials: Credentials,
        auth_url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not _FOR_A_HEADER.fullmatch(credentials.app_key.get_secret_value()):
            # The error of sending it would quote it.
            raise ConfigurationError(
                "ST_KPI_APP_KEY is empty or holds spaces, line breaks or other characters that no"
                " header can carry."
            )
        self.token_url = f"{auth_url.rstrip('/')}/connect/token"
        self._credentials = credentials
        self._clock = clock
        self._token: _Token | None = None
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"ClientCredentials(tenant {self._credentials.tenant_id}, {self.token_url})"

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield a token request when one is needed, then ``request``; both again after a 401."""
        refused: _Token | None = None
        for _ in range(2):
            # Those who wait for the lock find the token that the first of them brought.
            async with self._lock:
                token = self._token
                if token is None or token is refused or self._clock() >= token.renew_at:
                    asked_at = self._clock()
                    response = yield self._token_request(request)
                    async with asyncio.timeout(_BODY_SECONDS):
                        await read(response, MOST_BYTES_OF_FEW)
                    token = self._token = self._read(response, asked_at)
            request.headers["Authorization"] = f"Bearer {token.value.get_secret_value()}"
            request.headers["ST-App-Key"] = self._credentials.app_key.get_secret_value()
            response = yield request
            if response.status_code != 401:
                return
            refused = token

    def _token_request(self, request: httpx.Request) -> httpx.Request:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret.get_secret_value(),
        }
        # httpx keeps timeouts in the extensions; a request without them would wait for ever.
        return httpx.Request("POST", self.token_url, data=form, extensions=request.extensions)

    def _read(self, response: httpx.Response, asked_at: float) -> _Token:
        if response.status_code in (400, 401, 403):
            raise self._refusal(response)
        if response.status_code != 200:
            raise httpx.HTTPStatusError(
                f"the token endpoint answered {response.status_code}",
                request=response.request,
                response=response,
            )
        granted = _decoded(response.content, _Granted)
        # Nothing of the body may be quoted: it can hold a token.
        if granted is None:
            raise self._malformed("The token endpoint's answer is not a token")
        if not _FOR_A_HEADER.fullmatch(granted.access_token):
            raise self._malformed(
                "The token endpoint's token is empty or holds characters that no header can carry"
            )
        life = _USUAL_LIFE if granted.expires_in is None else granted.expires_in
        if not 0 < life < float("inf"):
            raise self._malformed(f"The token endpoint's token lives for {life:,.12g} seconds")
        # A token that lives only briefly is used for half its life rather than never.
        margin = min(_MARGIN, life / 2)
        return _Token(SecretStr(granted.access_token), asked_at + life - margin)

    def _malformed(self, what: str) -> MalformedResponse:
        return MalformedResponse(what, url=self.token_url, status=200)

    def _refusal(self, response: httpx.Response) -> AuthenticationError:
        refused = _decoded(response.content, _Refused)
        code = refused.error if refused else ""
        reason = f" ({code})" if re.fullmatch(r"[a-z_]{1,40}", code) else ""
        return AuthenticationError(
            f"ServiceTitan refused the client credentials{reason}. Check ST_KPI_CLIENT_ID and"
            " ST_KPI_CLIENT_SECRET: they belong to one tenant and one environment, and were sent to"
            f" {environment(self.token_url)} (ST_KPI_ENVIRONMENT)",
            url=self.token_url,
            status=response.status_code,
        )


def _decoded(body: bytes, kind: type[T]) -> T | None:
    """The body as such an object, with numbers that are written as text; None for anything else."""
    try:
        return msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8), type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def environment(url: str) -> str:
    """The environment a host belongs to, in words: production, integration, or the host itself."""
    host = urlsplit(url).hostname or url
    if not host.endswith(".servicetitan.io"):
        return host
    return (
        "the integration environment" if "-integration." in host else "the production environment"
    )
