"""One small company for all tests of the sandbox, and a signed-in client of its app."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from st_kpi.sandbox import Company, SandboxCredentials, create_app, generate_company
from st_kpi.sandbox.endpoints import ENDPOINTS, Endpoint

SCALE = 0.01
FORM = {
    "grant_type": "client_credentials",
    "client_id": SandboxCredentials.CLIENT_ID,
    "client_secret": SandboxCredentials.CLIENT_SECRET,
}


class Client:
    """A client that signs in once; `path` is what follows the tenant, as `jpm:jobs`."""

    def __init__(self, app: Starlette, tenant_id: int) -> None:
        self.app = app
        self.tenant_id = tenant_id
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://sandbox.invalid"
        )

    async def sign_in(self) -> None:
        answer = await self.http.post("/connect/token", data=FORM)
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self.http.headers["ST-App-Key"] = SandboxCredentials.APP_KEY

    def url(self, path: str) -> str:
        module, _, rest = path.partition(":")
        return f"/{module}/v2/tenant/{self.tenant_id}/{rest}"

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(self.url(path), params=params)

    async def ok(self, path: str, **params: Any) -> Any:
        answer = await self.get(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        page = 1
        while True:
            body = await self.ok(path, **{"pageSize": 5000, "page": page, **params})
            rows += body["data"]
            if not body["hasMore"]:
                return rows
            page += 1

    async def feed(self, path: str, **params: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            body = await self.ok(path, **params)
            rows += body["data"]
            if not body["hasMore"]:
                return rows
            params = {**params, "from": body["continueFrom"]}


@pytest.fixture(scope="session")
def company() -> Company:
    return generate_company(seed=7, scale=SCALE)


@pytest.fixture
async def client(company: Company) -> AsyncIterator[Client]:
    app = create_app(company, requests_per_second=100_000)
    one = Client(app, company.tenant_id)
    await one.sign_in()
    yield one
    await one.http.aclose()


@pytest.fixture(params=ENDPOINTS, ids=lambda entry: f"{entry.module}/{entry.path}")
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    entry: Endpoint = request.param
    return entry
