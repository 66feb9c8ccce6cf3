"""What is added to ``.env`` and ``st-kpi.toml`` is read again, and no line that is there changes."""

from pathlib import Path

import pytest

from st_kpi.errors import ConfigurationError
from st_kpi.setting_files import add_secrets, add_settings, keep_out_of_git, said_in_files
from st_kpi.settings import load_settings


@pytest.mark.parametrize(
    "secret",
    [
        "plain",
        "with 'quotes' \"both\"",
        "back\\slash\\",
        "a#b $x =",
        "\u00fcml\u00e4ut",
        "  spaces ",
    ],
)
def test_a_secret_is_read_as_it_was_written(secret: str, tmp_path: Path) -> None:
    add_secrets({"client_secret": secret})
    read = load_settings().client_secret
    assert read is not None
    assert read.get_secret_value() == secret
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_cannot_stand_there_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="set ST_KPI_APP_KEY instead") as refused:
        add_secrets({"app_key": "key${HOME}"})
    assert "key$" not in str(refused.value)
    assert not (tmp_path / ".env").exists()


def test_lines_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nST_KPI_CLIENT_ID=mine", encoding="utf-8")
    (tmp_path / "st-kpi.toml").write_text('timezone = "America/Denver"  # ours', encoding="utf-8")
    add_secrets({"app_key": "key"})
    add_settings({"tenant_id": 7, "mappings": 'the "maps"', "optional_entities": ["returns"]})
    assert (tmp_path / ".env").read_text().splitlines()[:2] == ["# mine", "ST_KPI_CLIENT_ID=mine"]
    assert (
        (tmp_path / "st-kpi.toml").read_text().startswith('timezone = "America/Denver"  # ours\n')
    )
    settings = load_settings()
    assert settings.tenant_id == 7
    assert settings.optional_entities == {"returns"}
    assert settings.mappings == tmp_path / 'the "maps"'
    said = said_in_files()
    assert said["timezone"] == (tmp_path / "st-kpi.toml", "America/Denver")
    assert said["client_id"] == (tmp_path / ".env", "mine")


def test_git_is_told_once(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc\n.env")
    keep_out_of_git(".env", "/mappings/")
    keep_out_of_git(".env", "/mappings/")
    assert (tmp_path / ".gitignore").read_text() == "*.pyc\n.env\n/mappings/\n"
