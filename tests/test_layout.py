"""Rules of the tree that nobody should have to remember."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from st_kpi.cli import app
from st_kpi.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()


def python(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_does_not_import_prefect(tmp_path: Path) -> None:
    modules = [
        file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in FILES
        if file.startswith("st_kpi/") and file.endswith(".py") and "__main__" not in file
    ]
    assert len(modules) > 40
    code = f"import importlib, sys\nfor m in {modules!r}: importlib.import_module(m)\nprint('prefect' in sys.modules)"
    assert python(code, tmp_path) == "False\n"


def test_the_sandbox_does_not_import_the_product(tmp_path: Path) -> None:
    code = "import sys, st_kpi.sandbox; print(sorted(m for m in sys.modules if m.startswith('st_kpi')))"
    loaded = eval(python(code, tmp_path))
    assert [name for name in loaded if not re.match(r"st_kpi(\.sandbox.*)?$", name)] == []


def test_flows_and_tasks_import_from_any_directory(tmp_path: Path) -> None:
    assert (
        python("import flows.backfill, tasks.chunks, kpi_sql; print('fine')", tmp_path) == "fine\n"
    )


def test_every_command_is_in_the_readme() -> None:
    names = [
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    ]
    assert len(names) >= 6
    for name in [*names, "sandbox serve", "webhooks serve"]:
        assert f"`st-kpi {name}" in README


def test_every_setting_is_in_the_readme() -> None:
    assert [name for name in Settings.model_fields if f"`{name}`" not in README] == []


@pytest.mark.parametrize("name", ["install", "emulator", "demo", "test", "check", "bench", "up"])
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
