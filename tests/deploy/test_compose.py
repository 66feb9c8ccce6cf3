"""``deploy/compose.yaml``, which cannot be run here: what it says beside what the code knows."""

import re
from pathlib import Path
from typing import Any

import prefect.settings
import pytest
import yaml

from st_kpi.local.stack import PREPARATIONS, SERVER_SETTINGS, WORKER
from st_kpi.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy/compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RECIPE = (ROOT / "Dockerfile").read_text()


def test_the_services_are_begun_in_order() -> None:
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    assert waits == {
        "postgres": {},
        "prefect": {"postgres": "service_healthy"},
        "bootstrap": {"prefect": "service_healthy"},
        "worker": {"bootstrap": "service_completed_successfully"},
    }
    for conditions in waits.values():
        for other, condition in conditions.items():
            assert condition != "service_healthy" or "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_a_setting(service: str) -> None:
    for name in SERVICES[service].get("environment", {}):
        if name == "PREFECT_DATABASE_PASSWORD":
            assert not SERVICES[service]["environment"][name]
        elif name.startswith("ST_KPI_"):
            assert name.removeprefix("ST_KPI_").lower() in Settings.model_fields
        elif name.startswith("PREFECT_"):
            assert hasattr(prefect.settings, name), name
        else:
            assert (service, name) == ("postgres", "POSTGRES_PASSWORD")


def test_the_server_is_set_as_the_one_of_scripts_up() -> None:
    environment = SERVICES["prefect"]["environment"]
    of_this_machine = {"PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_SERVER_UI_API_URL"}
    assert {n: v for n, v in environment.items() if n not in of_this_machine} == SERVER_SETTINGS
    assert of_this_machine < environment.keys()
    assert environment["PREFECT_SERVER_UI_API_URL"] == "http://127.0.0.1:4200/api"
    assert SERVICES["prefect"]["ports"] == ["127.0.0.1:4200:4200"]


def test_it_runs_the_commands_of_scripts_up() -> None:
    shell, option, line = SERVICES["bootstrap"]["command"]
    assert (shell, option) == ("sh", "-c")
    assert line == " && ".join(f"python -m {command}" for command in PREPARATIONS)
    worker = SERVICES["worker"]["command"]
    assert worker == ["prefect", *WORKER, "compose", "--with-healthcheck"]
    assert SERVICES["prefect"]["command"][:3] == ["prefect", "server", "start"]


def test_all_but_postgres_are_the_image_of_the_recipe() -> None:
    """Which has a folder for the warehouse that is the user's, and prefect.yaml where it is deployed from."""
    for name, service in SERVICES.items():
        if name != "postgres":
            assert (service["image"], service["build"]) == ("st-kpi", "..")
    (folder,) = re.findall(
        r"^WORKDIR (\S+)$", RECIPE.split("COPY prefect.yaml ./")[0], re.MULTILINE
    )
    assert SERVICES["bootstrap"]["working_dir"] == folder
    warehouse = SERVICES["worker"]["environment"]["ST_KPI_WAREHOUSE"]
    mount = SERVICES["worker"]["volumes"][0].partition(":")[2]
    assert warehouse.startswith(f"duckdb:///{mount}/")
    assert f"--owner=st-kpi {mount}\n" in RECIPE


def test_a_build_finds_the_mapping_files_of_the_folder() -> None:
    folder = SERVICES["worker"]["environment"]["ST_KPI_MAPPINGS"]
    assert f"../mappings:{folder}:ro" in SERVICES["worker"]["volumes"]


def test_secrets_come_from_the_environment_and_go_where_they_are_used() -> None:
    assert {name for name, service in SERVICES.items() if "env_file" in service} == {
        "bootstrap",
        "worker",
    }
    for name in ("bootstrap", "worker"):  # .env has it for Postgres and the server
        assert SERVICES[name]["environment"]["PREFECT_DATABASE_PASSWORD"] == ""
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == {"PREFECT_DATABASE_PASSWORD"}
    assert SERVICES["prefect"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == (
        "postgresql+asyncpg://postgres:${PREFECT_DATABASE_PASSWORD}@postgres:5432/postgres"
    )


def test_what_is_kept_is_on_a_volume_and_no_registry_is_named() -> None:
    mounted = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert mounted - {"../mappings"} == set(COMPOSE["volumes"])
    for service in SERVICES.values():
        assert "/" not in service["image"]
