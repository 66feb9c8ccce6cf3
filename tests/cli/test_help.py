"""The help of every command: whole lines on a narrow terminal, examples that can be run, and what shells complete."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from st_kpi.cli import app
from st_kpi.servicetitan.registry import REGISTRY

GROUP: Any = typer.main.get_command(app)
DOCUMENTED = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")


def commands(group: Any = GROUP, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group of commands."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


EVERY = list(commands())


def help_of(path: tuple[str, ...], columns: str = "80") -> str:
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": columns})
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_fits_a_narrow_terminal_and_nothing_is_cut(path: tuple[str, ...]) -> None:
    text = help_of(path)
    assert max(map(len, text.splitlines())) <= 80
    cut = [line for line in text.splitlines() if line.endswith("...") and "Usage:" not in line]
    assert cut == []


def test_commands_stand_in_groups() -> None:
    text = help_of(())
    assert [line for line in text.splitlines() if line.endswith(":") and line[0] != " "] == [
        "Options:",
        "Begin:",
        "Load and build:",
        "Read:",
        "Operate:",
    ]
    for name, command in GROUP.commands.items():
        assert re.search(
            rf"^  {name} +{re.escape(command.get_short_help_str(200)[:30])}", text, re.M
        )


def commanded(line: str) -> None:
    """Let the command line read the words of a line; raises what a person would be told."""
    command, words = GROUP, shlex.split(line)[1:]
    context = command.make_context("st-kpi", list(words), resilient_parsing=True)
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, words)
        context = command.make_context(
            name, list(words), parent=context, resilient_parsing=hasattr(command, "commands")
        )


@pytest.mark.parametrize(
    "path", [p for p in EVERY if p and p not in (("sandbox",), ("webhooks",))], ids=" ".join
)
def test_every_command_has_examples_that_can_be_run(path: tuple[str, ...]) -> None:
    text = help_of(path)
    assert "  Examples:\n" in text
    examples = [line.strip() for line in text.partition("  Examples:\n")[2].splitlines()]
    assert examples
    for example in examples:
        assert shlex.split(example)[: len(path) + 1] == ["st-kpi", *path]
        commanded(example)
    assert f"`st-kpi {' '.join(path)}" in DOCUMENTED


def test_an_example_that_cannot_be_run_would_be_found() -> None:
    with pytest.raises(Exception, match="No such option: --wek"):
        commanded("st-kpi show --wek 2025-01-06")


def completed(instruction: str, words: str = "") -> list[str]:
    """What a shell is answered that asks for the end of the last of these words."""
    asked = {
        "_ST_KPI_COMPLETE": instruction,
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = CliRunner().invoke(app, [], prog_name="st-kpi", env=asked)
    assert done.exit_code == 0
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("st-kpi ba", ["backfill"]),
        ("st-kpi sandbox ", ["serve"]),
        ("st-kpi backfill --entity job", ["job_types", "jobs"]),
        ("st-kpi backfill --entity ", list(REGISTRY)),
        ("st-kpi show --format ", ["table", "csv", "json", "xlsx"]),
    ],
)
def test_a_shell_completes_commands_and_values(words: str, offered: list[str]) -> None:
    assert completed("complete_bash", words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_has_a_script(shell: str) -> None:
    assert "st-kpi" in "\n".join(completed(f"source_{shell}"))
