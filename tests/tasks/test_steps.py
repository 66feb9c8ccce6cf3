"""What a run does before its flow: where its code is, and whose settings it has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: A run's process, whose parent, a worker, is this one.
RUN = "import os\nfrom tasks.steps import installed_code\nprint(installed_code()['directory'], os.getcwd(), os.environ['ST_KPI_FOLDER'])"


def run_in(folder: Path) -> list[str]:
    done = subprocess.run([sys.executable, "-c", RUN], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_run_has_the_settings_of_the_folder_where_its_worker_was_started(tmp_path: Path) -> None:
    """Prefect gives it a folder of its own, and its code is elsewhere again."""
    own = tmp_path / "of-the-run"
    own.mkdir()
    assert run_in(own) == [str(ROOT), str(ROOT), os.getcwd()]


def test_a_folder_that_is_named_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ST_KPI_FOLDER", "/named")
    assert run_in(tmp_path)[-1] == "/named"
