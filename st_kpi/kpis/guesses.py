"""What a business unit or job type is, guessed from its name and flags: the lines of a drafted mapping.

A guess says in its ``doubt`` what it was not sure of, for a person to look at; nothing else reads it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from st_kpi.kpis.mappings import ALL, NONE, UNASSIGNED

#: What a type is taken for that looks like neither a sale nor work.
_NO_FAMILY = "other"

_SALES = frozenset(
    {"sales", "sale", "selling", "estimates", "estimating", "estimators", "advisors"}
)
_PRODUCTION = frozenset(
    {
        "construction",
        "crew",
        "crews",
        "field",
        "install",
        "installation",
        "installations",
        "installers",
        "installs",
        "maint",
        "maintenance",
        "operations",
        "production",
        "repair",
        "repairs",
        "replacement",
        "service",
        "services",
        "svc",
        "warranty",
    }
)
_IDLE = frozenset(
    {
        "admin",
        "administration",
        "corporate",
        "hq",
        "office",
        "overhead",
        "payroll",
        "test",
        "training",
    }
)
#: Words that name no market.
_EMPTY = frozenset({"and", "bu", "department", "dept", "division", "team", "unit"})
#: Short names of trades, which the same company may write out elsewhere.
_TRADES = {
    "ac": "hvac",
    "el": "electric",
    "elec": "electric",
    "electrical": "electric",
    "pl": "plumbing",
    "plumb": "plumbing",
    "plb": "plumbing",
    "rf": "roofing",
    "roof": "roofing",
}
#: Marks of what nobody uses any more, wherever they stand in a name.
_RETIRED = re.compile(
    r"\bdo\s+not\s+(use|book)\b|\bdnu\b|\b(old|inactive|retired|closed|archived?)\b|^[xz]+(?=[\W_])",
    re.I,
)
_WORD = re.compile(r"[^\W_]+(?:['.&][^\W_]+)*\.?")

_FAMILY_WORDS = {
    "estimate": r"estimat\w*|est|quote\w*|bids?|proposal|sales|2nd opinion|second opinion|comfort advis\w+",
    "warranty": r"warrant\w+|recall\w*|call\W?backs?|go\W?backs?|touch\W?ups?|re\W?work|redo",
    "excluded": r"inspections?|washing|safety checks?|memberships?",
    "production": r"install\w*|replace\w*|repair\w*|service\w*|maint\w*|tune\W?ups?|diagnos\w*|clean\w*|removal"
    r"|sold h(?:ou)?rs|demand|emergency|no (?:heat|cool)|change order",
    "other": r"meetings?|office|training|ride\W?along|pick\W?ups?|drop\W?offs?|supply|permits?|visits?|errands?|consult\w*",
}
_FAMILY = {family: re.compile(rf"\b(?:{words})\b", re.I) for family, words in _FAMILY_WORDS.items()}


@dataclass(frozen=True)
class Unit:
    """A business unit as ServiceTitan tells it."""

    id: int
    name: str
    active: bool = True


@dataclass(frozen=True)
class JobKind:
    """A job type as ServiceTitan tells it; ``group`` is the class that the company has put it into."""

    id: int
    name: str
    active: bool = True
    group: str = ""
    no_charge: bool = False


@dataclass(frozen=True)
class UnitGuess:
    """Rollup and role of a unit, and what is not sure of them."""

    rollup: str
    role: str
    doubt: str = ""


@dataclass(frozen=True)
class KindGuess:
    """Family of a type, and what is not sure of it."""

    family: str
    doubt: str = ""


def guess_units(units: Sequence[Unit]) -> list[UnitGuess]:
    """A guess for each unit, in their order: units whose names differ by what they do share a rollup."""
    names = {unit.id: _Name.of(unit.name) for unit in units}
    labels: dict[tuple[str, ...], str] = {}
    for unit in sorted(units, key=lambda unit: (_is_past(unit), unit.name.isupper(), unit.id)):
        labels.setdefault(names[unit.id].market, names[unit.id].label)
    sold = {(names[unit.id].market, _is_past(unit)) for unit in units if names[unit.id].sells}
    return [
        _unit(unit, names[unit.id], labels, (names[unit.id].market, _is_past(unit)) in sold)
        for unit in units
    ]


def guess_kinds(kinds: Sequence[JobKind]) -> list[KindGuess]:
    """A guess for each job type, in their order."""
    has_class = any("estimate" in kind.group.casefold() for kind in kinds)
    asked_for = {_stem(kind.name) for kind in kinds if _FAMILY["estimate"].search(kind.name)}
    return [_kind(kind, has_class, asked_for) for kind in kinds]


def is_retired(name: str) -> bool:
    """Whether the name says that nobody uses it any more."""
    return bool(_RETIRED.search(name))


@dataclass(frozen=True)
class _Name:
    """The words of a unit's name, sorted by what they say."""

    market: tuple[str, ...]
    label: str
    sells: bool
    produces: bool
    idle: bool

    @classmethod
    def of(cls, name: str) -> "_Name":
        words = _WORD.findall(_RETIRED.sub(" ", name))
        if len(words) > 1 and words[0].isdigit():  # "02 SERVICE ELECTRIC": an order, no market
            words = words[1:]
        plain = {word: word.casefold().rstrip(".") for word in words}
        said = set(plain.values())
        market = [w for w in words if plain[w] not in _SALES | _PRODUCTION | _EMPTY]
        label = _label(market, name, bool(words))
        return cls(
            tuple(sorted({_TRADES.get(plain[w], plain[w]) for w in market})) or (label,),
            label,
            bool(said & _SALES),
            bool(said & _PRODUCTION),
            bool(said & _IDLE),
        )


def _label(market: Sequence[str], name: str, has_words: bool) -> str:
    """What to call the rollup; empty where there is no name at all."""
    label = " ".join(market) or ("Company" if has_words else " ".join(name.split()))
    return f"{label} units" if label.casefold() in (ALL.casefold(), UNASSIGNED) else label


def _is_past(unit: Unit) -> bool:
    return not unit.active or is_retired(unit.name)


def _unit(
    unit: Unit, name: _Name, labels: Mapping[tuple[str, ...], str], is_sold: bool
) -> UnitGuess:
    guess = _role(name, labels[name.market], is_sold)
    if _is_past(unit) and name.label and not name.idle:
        return replace(guess, doubt="retired: which rollup has its past?")
    return guess


def _role(name: _Name, rollup: str, is_sold: bool) -> UnitGuess:
    if not name.label:
        return UnitGuess(
            "Unknown", "BOTH", "ServiceTitan does not list it any more but records name it"
        )
    if name.idle and not (name.sells or name.produces):
        return _idle()
    if name.sells and name.produces:
        return UnitGuess(rollup, "BOTH", "its name says sales and work")
    if name.sells:
        return UnitGuess(rollup, "SALES")
    if name.produces and is_sold:
        return UnitGuess(rollup, "PRODUCTION")
    if name.produces:
        return UnitGuess(rollup, "BOTH", "no unit of this rollup sells: it may do that too")
    return UnitGuess(rollup, "BOTH", "its name does not say whether it sells or works")


def _idle() -> UnitGuess:
    """A unit that looks like counting nowhere; should it have money after all, that is listed as left out."""
    return UnitGuess("", NONE, "sounds as if nothing is sold or done there")


def _stem(name: str) -> str:
    """What is left of a type's name without the words that say its family."""
    for words in _FAMILY.values():
        name = words.sub(" ", name)
    return " ".join(_WORD.findall(name)).casefold()


def _kind(kind: JobKind, has_class: bool, asked_for: Collection[str]) -> KindGuess:
    says = [family for family, words in _FAMILY.items() if words.search(kind.name)]
    if not kind.name:
        return KindGuess(_NO_FAMILY, "ServiceTitan does not list it any more but jobs name it")
    guess = _family(kind, says, has_class)
    if not says and guess.family == "production" and _stem(kind.name) in asked_for:
        guess = KindGuess("production")  # "RES-EXT" beside "Estimate - RES-EXT"
    if not kind.active or is_retired(kind.name):
        return replace(guess, doubt=guess.doubt or "retired")
    return guess


def _family(kind: JobKind, says: list[str], has_class: bool) -> KindGuess:
    group = kind.group.casefold()
    if "estimate" in group:
        return KindGuess("estimate")
    if "warranty" in group or "recall" in group:
        return KindGuess("warranty")
    if not says and is_retired(kind.name):
        return KindGuess(_NO_FAMILY)
    if not says:
        return KindGuess("production", "its name does not say what it is")
    first, *others = says
    if first == "estimate" and has_class:
        return KindGuess(first, f"its class is {kind.group!r} unlike that of other estimates")
    if first == "estimate" and "warranty" in others:
        return KindGuess(first, "its name says warranty too")
    if first == "excluded":
        return KindGuess(
            first, "an upkeep visit: left out of Future Bookings unless you say production"
        )
    if first == "other":
        return KindGuess(
            _NO_FAMILY, "" if kind.no_charge else "sounds like neither a sale nor work"
        )
    if first == "production" and kind.no_charge:
        return KindGuess(first, "it is free of charge")
    return KindGuess(first)
