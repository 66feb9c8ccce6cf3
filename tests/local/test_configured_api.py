"""Which Prefect API a command goes to: the one that Prefect itself would use."""

from pathlib import Path

import pytest

from st_kpi.local.private_server import configured_api

PROFILES = """\
active = "work"
[profiles.work]
PREFECT_API_URL = "http://profile/api"
"""


@pytest.fixture(autouse=True)
def _no_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_PROFILE", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))


def test_none_is_configured() -> None:
    assert configured_api() is None


def test_the_nearest_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect's own order, from the farthest to the nearest."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "profiles.toml").write_text(PROFILES)
    assert configured_api() == "http://profile/api"
    Path("prefect.toml").write_text('[api]\nurl = "http://toml/api"\n')
    assert configured_api() == "http://toml/api"
    Path(".env").write_text("PREFECT_API_URL=http://dotenv/api\n")
    assert configured_api() == "http://dotenv/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://environment/api")
    assert configured_api() == "http://environment/api"
