"""The card of a KPI: its meaning in an owner's words, and how it adds up."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from st_kpi.errors import SqlError


class Kind(StrEnum):
    """How a KPI adds up: rows summed, two sums divided, or rows of one day only."""

    SUM = "sum"
    RATIO = "ratio"
    SNAPSHOT = "snapshot"


Sentence = Annotated[str, Field(min_length=1)]


class Card(BaseModel):
    """What ``card.yaml`` says. ``version`` rises with every change of the definition."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Sentence
    meaning: Sentence
    kind: Kind
    unit: Literal["count", "money", "percent"]
    role: Literal["SALES", "PRODUCTION"]
    dated_by: Sentence
    statuses: Sentence
    exclusions: Sentence
    owner: Sentence
    version: Annotated[int, Field(ge=1)]
    order: Annotated[int, Field(ge=1)]


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
        key = str(wrong["loc"][0]) if wrong["loc"] else ""
        raise SqlError(path, _line_of(key, text), f"{key or 'The card'}: {wrong['msg']}.") from None


def _line_of(key: str, text: str) -> int:
    lines = text.splitlines()
    return next((n for n, line in enumerate(lines, 1) if line.startswith(f"{key}:")), 1)
