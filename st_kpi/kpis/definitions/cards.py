"""The card of a KPI: its meaning in an owner's words, how it adds up, and how its definition changed."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from st_kpi.errors import SqlError


class Aggregation(StrEnum):
    """How a KPI adds up: rows summed, two sums divided, or rows of one day only."""

    SUM = "sum"
    RATIO = "ratio"
    SNAPSHOT = "snapshot"


Sentence = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Change(_Part):
    """One version of a definition. ``sql`` is the fingerprint of the SQL that it was."""

    version: Annotated[int, Field(ge=1)]
    date: dt.date
    what: Sentence
    why: Sentence
    sql: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = None


class Alternative(_Part):
    """Another reading of a KPI, shown beside it on request.

    With ``settings`` it is the KPI's own SQL under other settings; without, it is the file
    ``alternatives/<name>.sql`` in the KPI's folder.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: Sentence
    meaning: Sentence
    settings: Mapping[str, bool | str | list[str]] = {}


class Card(_Part):
    """What ``card.yaml`` says. ``version`` rises with every change of the definition.

    ``better`` is which of two values of the KPI is the better one.
    """

    title: Sentence
    meaning: Sentence
    kind: Aggregation
    unit: Literal["count", "money", "percent"]
    role: Literal["SALES", "PRODUCTION"]
    better: Literal["more", "less"] = "more"
    dated_by: Sentence
    statuses: Sentence
    exclusions: Sentence
    owner: Sentence
    version: Annotated[int, Field(ge=1)]
    order: Annotated[int, Field(ge=1)]
    alternatives: tuple[Alternative, ...] = ()
    history: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _history_ends_with_the_version(self) -> Self:
        versions = [change.version for change in self.history]
        if versions and versions != list(range(versions[0], self.version + 1)):
            raise ValueError(
                f"version is {self.version} and the history goes {', '.join(map(str, versions))}:"
                " it has an entry for each version, the newest last"
            )
        names = [alternative.name for alternative in self.alternatives]
        if len(names) != len(set(names)):
            raise ValueError(f"two alternatives have one name among {', '.join(names)}")
        return self


def read_cards(root: Path) -> dict[str, Card]:
    """Every card under ``root`` by its KPI; raises ``SqlError`` for the first that cannot be read."""
    return {path.parent.name: read_card(path) for path in sorted(root.glob("kpis/*/card.yaml"))}


def read_card(path: Path) -> Card:
    """Read one card; raises ``SqlError`` with the line of the first thing that is wrong."""
    text = path.read_text(encoding="utf-8")
    try:
        return Card.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SqlError(path, line, f"The card is not YAML: {error.problem}.") from None
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"]) or "The card"
        raise SqlError(path, _line_of(wrong["loc"], text), f"{where}: {wrong['msg']}.") from None


def _line_of(where: tuple[int | str, ...], text: str) -> int:
    """The line of a key of the card, as deep as it can be followed; of a missing key, where it belongs."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            entry = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
