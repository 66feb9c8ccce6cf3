"""Rules of the tree that nobody should have to remember."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from st_kpi.cli import app
from st_kpi.settings import Settings

ROOT = Path(__file__).parent.parent
#: The README and the pages it leads to.
DOCUMENTATION = "\n".join(
    page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
)
FILES = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()


def python(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_layer_knows_one_above_it() -> None:
    """The contracts of ``[tool.importlinter]``, among them where Prefect may be."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout)


def test_importing_the_core_loads_neither_prefect_nor_the_product_with_the_sandbox(
    tmp_path: Path,
) -> None:
    """The command line too, which may know Prefect: reading a number must not wait for it."""
    modules = [
        file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in FILES
        if file.startswith("st_kpi/") and file.endswith(".py") and "__main__" not in file
    ]
    assert len(modules) > 40
    code = f"""import importlib, json, sys, st_kpi.sandbox
sandbox = [name for name in sys.modules if name.startswith("st_kpi")]
for name in {modules!r}: importlib.import_module(name)
print(json.dumps([sandbox, "prefect" in sys.modules]))"""
    sandbox, prefect = json.loads(python(code, tmp_path))
    assert [name for name in sandbox if not re.match(r"st_kpi(\.sandbox.*)?$", name)] == []
    assert not prefect


def test_flows_and_tasks_import_from_any_directory(tmp_path: Path) -> None:
    assert (
        python("import flows.backfill, tasks.chunks, kpi_sql; print('fine')", tmp_path) == "fine\n"
    )


def names_in(folder: str) -> set[str]:
    """The files and folders of a folder that git knows."""
    inside = (Path(file).relative_to(folder) for file in FILES if file.startswith(f"{folder}/"))
    return {path.parts[0] for path in inside}


def test_the_package_has_these_doors_and_no_others() -> None:
    modules = [
        "errors",
        "settings",
        "setting_sources",
        "setting_files",
        "files",
        "windows",
        "parameters",
        "columns",
        "__init__",
        "__main__",
    ]
    packages = "cli ingest kpis local reporting sandbox servicetitan warehouse"
    assert names_in("st_kpi") == {
        "py.typed",
        *(f"{name}.py" for name in modules),
        *packages.split(),
    }


def test_the_tests_mirror_the_packages() -> None:
    folders = {name for name in names_in("tests") if "." not in name}
    beside = {"flows", "tasks", "kpi_sql", "deploy", "docs", "support"}
    assert folders - beside <= names_in("st_kpi")
    assert beside - {"support"} <= {file.split("/")[0] for file in FILES}


def test_every_command_is_documented() -> None:
    names = [
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    ]
    assert len(names) >= 6
    for name in [*names, "sandbox serve", "webhooks serve"]:
        assert f"`st-kpi {name}" in DOCUMENTATION


def test_every_setting_is_documented() -> None:
    assert [name for name in Settings.model_fields if f"`{name}`" not in DOCUMENTATION] == []


@pytest.mark.parametrize(
    "name", ["install", "emulator", "browser", "demo", "test", "check", "bench", "up"]
)
def test_scripts_are_executable(name: str) -> None:
    mode = subprocess.run(
        ["git", "ls-files", "-s", f"scripts/{name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert mode.startswith("100755")


def test_the_lock_pins_by_hash_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    pins = re.findall(r"^[\w.-]+==\S+( ;.*)? \\$", lock, re.MULTILINE)
    assert len(pins) > 100
    assert len(re.findall(r"^[\w.-]+==", lock, re.MULTILINE)) == len(pins)


def test_deployments_name_flows_that_exist() -> None:
    document = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    for deployment in document["deployments"]:
        file, function = deployment["entrypoint"].split(":")
        assert f"async def {function}(" in (ROOT / file).read_text(encoding="utf-8")


def test_nothing_is_swallowed() -> None:
    for file in FILES:
        if file.endswith(".py") and not file.startswith("tests/"):
            text = (ROOT / file).read_text(encoding="utf-8")
            assert not re.search(r"except( Base)?( ?Exception)?:\s*(#.*)?\n\s+pass", text), file
