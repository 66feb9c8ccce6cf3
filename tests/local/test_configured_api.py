"""Which Prefect API a command goes to: the one that Prefect itself would use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

PROFILES = """\
active = "work"
[profiles.work]
PREFECT_API_URL = "http://profile/api"
[profiles.home]
PREFECT_API_URL = "http://another-profile/api"
"""
#: Where Prefect looks, from the farthest place to the nearest, and what stands there.
FILES = {
    "profile": ("home/profiles.toml", PROFILES),
    "pyproject": ("pyproject.toml", '[tool.prefect.api]\nurl = "http://pyproject/api"\n'),
    "toml": ("prefect.toml", '[api]\nurl = "http://toml/api"\n'),
    "dotenv": (".env", "PREFECT_API_URL=http://dotenv/api\n"),
}


def asked(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The answer of a process that is started in ``folder``: Prefect reads its settings once."""
    code = (
        "import sys\nfrom st_kpi.errors import ConfigurationError\n"
        "from st_kpi.local.private_server import configured_api\n"
        "try: print(configured_api())\n"
        "except ConfigurationError as error: sys.exit(str(error))"
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=inherited | {"PREFECT_HOME": str(folder / "home")} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def put(folder: Path, *sources: str) -> None:
    for source in sources:
        name, text = FILES[source]
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def test_none_is_configured(tmp_path: Path) -> None:
    assert asked(tmp_path).stdout == "None\n"


@pytest.mark.parametrize("source", FILES)
def test_each_place_is_looked_at(tmp_path: Path, source: str) -> None:
    put(tmp_path, source)
    assert asked(tmp_path).stdout == f"http://{source}/api\n"


def test_the_environment_is_nearest(tmp_path: Path) -> None:
    put(tmp_path, *FILES)
    assert asked(tmp_path).stdout == "http://dotenv/api\n"
    said = asked(tmp_path, PREFECT_API_URL="http://environment/api").stdout
    assert said == "http://environment/api\n"


def test_another_profile_can_be_chosen(tmp_path: Path) -> None:
    put(tmp_path, "profile")
    assert asked(tmp_path, PREFECT_PROFILE="home").stdout == "http://another-profile/api\n"


@pytest.mark.parametrize("name", ["prefect.toml", "home/profiles.toml"])
def test_a_file_that_prefect_cannot_read_is_one_sentence(tmp_path: Path, name: str) -> None:
    put(tmp_path, "profile")
    (tmp_path / name).write_text("[api\n")
    done = asked(tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Prefect's own settings cannot be read: ")
