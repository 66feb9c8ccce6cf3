"""The way to ServiceTitan through a proxy of the environment."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from st_kpi.servicetitan.client import Credentials, ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY


class _Proxy(BaseHTTPRequestHandler):
    """Answers for whomever it is asked, and notes for whom."""

    asked: list[str]

    def do_GET(self) -> None:
        self._answer({"data": [], "hasMore": False, "totalCount": 0})

    def do_POST(self) -> None:
        self._answer({"access_token": "made-up"})

    def _answer(self, body: object) -> None:
        self.asked.append(self.path.split("/tenant/")[0])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_the_tenant_is_asked_through_the_proxy(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    _Proxy.asked = []
    with HTTPServer(("127.0.0.1", 0), _Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.server_port}")
        credentials = Credentials(1, "id", SecretStr("secret"), SecretStr("key"))
        url = "http://api.servicetitan.test"
        async with ServiceTitan(credentials, api_url=url, auth_url=url) as source:
            assert (await source.count(REGISTRY["jobs"])).total == 0
        proxy.shutdown()
    assert _Proxy.asked == [f"{url}/connect/token", f"{url}/jpm/v2"]
