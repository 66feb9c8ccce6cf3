"""What is deployed elsewhere and cannot be run here: job templates and the image's recipe."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import prefect.server.api.collections
import pytest
import yaml
from prefect.utilities.templating import apply_values, find_placeholders
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerV2

from st_kpi.local.private_server import HEARTBEAT_SECONDS

ROOT = Path(__file__).parents[2]


def template(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "deploy" / f"{name}.json").read_text())
    return found


def default_template(name: str) -> dict[str, Any]:
    """The one that the worker itself would use."""
    if name == "cloud-run":
        return CloudRunWorkerV2.get_default_base_job_template()
    folder = Path(prefect.server.api.collections.__file__).parent
    known = folder / "collections_data/views/aggregate-worker-metadata.json"
    workers = json.loads(known.read_text())["prefect-kubernetes"]
    found: dict[str, Any] = workers["kubernetes"]["default_base_job_configuration"]
    return found


def names(configuration: Any) -> set[str]:
    return {found.name for found in find_placeholders(configuration)}


@pytest.mark.parametrize("name", ["cloud-run", "kubernetes"])
def test_a_job_template_is_one_that_the_worker_takes(name: str) -> None:
    """Every variable is declared and every default fits it; nothing is there that the worker does not know."""
    ours, theirs = template(name), default_template(name)
    assert set(ours) == {"job_configuration", "variables"}
    assert set(ours["job_configuration"]) == set(theirs["job_configuration"])
    schema = ours["variables"]
    assert set(schema["properties"]) == set(theirs["variables"]["properties"])
    assert names(ours["job_configuration"]) <= set(schema["properties"])
    jsonschema.Draft202012Validator.check_schema(schema)
    defaults = {
        variable: declared["default"]
        for variable, declared in schema["properties"].items()
        if "default" in declared
    }
    jsonschema.validate(defaults, schema)
    assert {"image", "env", "service_account_name"} <= set(defaults)
    assert names(apply_values(ours["job_configuration"], defaults)) == set()


def test_every_run_says_as_often_that_it_is_alive_as_the_automation_expects() -> None:
    document = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    pools = [deployment["work_pool"] for deployment in document["deployments"]]
    said = [pool["job_variables"]["env"] for pool in pools]
    said += [
        template(name)["variables"]["properties"]["env"]["default"]
        for name in ("cloud-run", "kubernetes")
    ]
    often = {environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] for environment in said}
    assert often == {str(HEARTBEAT_SECONDS)}


@pytest.mark.parametrize("name", ["cloud-run", "kubernetes"])
def test_no_secret_is_in_a_job_template(name: str) -> None:
    text = json.dumps(template(name)["variables"]["properties"]["env"])
    assert not re.search("SECRET|KEY|CLIENT", text)


def test_the_image_is_made_of_what_is_there() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    copied = set()
    for line in re.findall(r"^COPY (.+) \S+$", recipe, re.MULTILINE):
        copied |= set(line.split())
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    assert "--require-hashes" in recipe
    assert re.search(r"^USER 10001$", recipe, re.MULTILINE)


@pytest.mark.parametrize("name", ["cloud-run", "kubernetes"])
def test_the_mapping_files_are_where_the_page_puts_them(name: str) -> None:
    folder = template(name)["variables"]["properties"]["env"]["default"]["ST_KPI_MAPPINGS"]
    page = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    assert f"COPY . {folder}\\n' | docker build -t st-kpi -f - mappings" in page
