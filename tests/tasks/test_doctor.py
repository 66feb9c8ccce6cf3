"""What ``st-kpi doctor`` says of a real Prefect server, before and after it is made ready."""

from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client

from st_kpi.errors import ConfigurationError, RunFailed
from st_kpi.reporting.doctor import Doubtful
from tasks.bootstrap import bootstrap
from tasks.doctor import CHECKS, DEPLOYMENTS
from tests.conftest import tenant_settings


async def test_what_is_missing_is_named_and_a_bootstrap_makes_it(prefect_server: str) -> None:
    settings = tenant_settings().model_copy(update={"tenant_id": 919, "requests_per_second": 60})
    with pytest.raises(Doubtful, match=r"Not made yet: .*servicetitan-919\. .*`st-kpi bootstrap`"):
        await CHECKS["limits"](settings)
    await bootstrap(settings, "local")
    assert "servicetitan-919" in await CHECKS["limits"](settings)
    assert await CHECKS["automations"](settings) == "4 watch over the runs."
    with pytest.raises(
        RunFailed, match=r"No worker is online .* `prefect worker start --pool local`"
    ):
        await CHECKS["worker"](settings)
    with pytest.raises(
        ConfigurationError, match=r"Missing: daily-sync/daily, .*`prefect deploy --all`"
    ):
        await CHECKS["deployments"](settings)


async def test_a_worker_is_online_once_it_says_so(prefect_server: str) -> None:
    settings = tenant_settings().model_copy(update={"tenant_id": 919, "requests_per_second": 60})
    await bootstrap(settings, "local")
    async with get_client() as client:
        await client.send_worker_heartbeat("local", "one", 30.0)
    assert await CHECKS["worker"](settings) == "Online by work pool: local has 1."


def test_the_deployments_are_those_of_prefect_yaml() -> None:
    file = Path(__file__).parents[2] / "prefect.yaml"
    declared = yaml.safe_load(file.read_text(encoding="utf-8"))["deployments"]
    names = {
        f"{each['entrypoint'].rpartition(':')[2].replace('_', '-')}/{each['name']}"
        for each in declared
    }
    assert set(DEPLOYMENTS) == names
