"""Has a record the shape of its model? Looked at as bytes.

A number, flag or date may be anything here, which is for the casts to judge. What matters is the frame: no field that the
model does not know, objects where objects belong, a list of objects where the lines are, and neither where a text belongs.
A record that differs is taken apart and put together again, so that all records that are typed have one frame.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from st_kpi.columns import ColumnType
from st_kpi.servicetitan.models.base import Nested
from st_kpi.servicetitan.pages import Raw
from st_kpi.servicetitan.schema import Lines, columns, known_fields, lines, personal_paths

#: The field that holds what the model does not know, as an object by dotted path.
EXTRA = "_extra"

#: Names from the record inwards; a place in a list counts from 0.
FieldPath = tuple[str, ...]


@dataclass(frozen=True)
class Mended:
    """A record in the frame of its model.

    ``unknown`` are the paths of the fields that the model does not know, now in ``EXTRA`` unless they are personal ones
    in disguise or null. ``misshapen`` are the places where no object or no list was, now null; a line has its place in
    the list in its path. ``twice`` says whether a field was there twice, of which the last is left.
    """

    record: bytes
    unknown: frozenset[str]
    misshapen: tuple[FieldPath, ...]
    twice: bool


class Shape:
    """The frame of one model; ``personal`` where its personal fields are loaded. Safe to use from several threads."""

    def __init__(self, model: type[Nested], personal: bool) -> None:
        self._model = model
        self._personal = personal
        self._closed = msgspec.json.Decoder(_frame(model, personal))
        self._open = msgspec.json.Decoder(_frame(model, personal, closed=False))

    def fits(self, record: Raw) -> bool:
        """True where the record can be typed as it is."""
        return _decodes(self._closed, record)

    def mend(self, record: Raw, *, deep: bool = False) -> Mended:
        """The record in the frame of the model, and where it differed; ``deep`` puts together also what looks right."""
        surgery = _Surgery(self._personal)
        # Mostly the record itself has a new field, and nothing within it is odd.
        deep = deep or not _decodes(self._open, record)
        mended = surgery.object(self._model, record, deep=deep)
        return Mended(
            msgspec.json.encode(mended),
            frozenset(surgery.unknown),
            tuple(surgery.misshapen),
            not _surely_once(record) and bool(twice(self._model, record)),
        )


@cache
def shape_of(model: type[Nested], personal: bool) -> Shape:
    """The frame of a model, made once."""
    return Shape(model, personal)


def len_of(record: Raw) -> int:
    """The bytes of a record, which are not copied for that."""
    return memoryview(record).nbytes


def twice(model: type[Nested], record: Raw) -> list[FieldPath]:
    """The places of fields that an object of the record, or a line, has twice; what is kept as JSON is not looked into."""
    return list(
        _twice(known_fields(model), lines(model), _PAIRS.decode(bytes(record).decode()), ())
    )


def _twice(
    known: dict[str, Any] | None, nested: Lines | None, pairs: Any, at: FieldPath
) -> Iterator[FieldPath]:
    if known is None or not isinstance(pairs, _Pairs):
        return
    names = Counter(name for name, _ in pairs)
    yield from ((*at, name) for name, times in names.items() if times > 1)
    for name, value in pairs:
        if nested is not None and name == nested.path and type(value) is list:
            for place, line in enumerate(value):
                yield from _twice(known_fields(nested.model), None, line, (*at, name, str(place)))
        else:
            yield from _twice(known.get(name), None, value, (*at, name))


def _surely_once(record: Raw) -> bool:
    """True where the fields of the record itself fill it, written without spaces: then none was dropped for another."""
    fields = _OBJECT.decode(record)
    return len_of(record) == 1 + sum(len(n) + len_of(v) + 4 for n, v in fields.items())


class _Pairs(list[tuple[str, Any]]):
    """An object as its fields in their order, the same name twice where it was."""


#: Numbers are not looked at, and may be longer than Python reads them.
_PAIRS = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=str, parse_float=str)


class _Surgery:
    """Takes one record apart; collects what was odd."""

    def __init__(self, personal: bool) -> None:
        self._personal = personal
        self.unknown: set[str] = set()
        self.misshapen: list[FieldPath] = []

    def object(
        self, model: type[Nested], raw: Raw, at: FieldPath = (), *, deep: bool = True
    ) -> dict[str, Any]:
        """A record or a line with its known fields, and with the others in ``EXTRA``; ``deep`` where more may be odd."""
        extra: dict[str, msgspec.Raw] = {}
        known, nested = known_fields(model), lines(model)
        if deep:
            fields = self._known(model, known, raw, (), at, extra)
        else:
            fields = _OBJECT.decode(raw)
            extra = {name: fields.pop(name) for name in fields.keys() - known.keys()}
        if deep and nested is not None and nested.path in fields:
            fields[nested.path] = self._lines(nested.model, nested.path, fields[nested.path])
        prefix = "".join(f"{part}[]." for part in at[:1])
        self.unknown |= {prefix + path for path in extra}
        personal = personal_paths(model)
        kept = {
            path: value
            for path, value in sorted(extra.items())
            if path.lower() not in personal and _kind(value) != "n"
        }
        return {**fields, EXTRA: kept} if kept else fields

    def _known(
        self,
        model: type[Nested],
        known: dict[str, Any],
        raw: Raw,
        path: FieldPath,
        at: FieldPath,
        extra: dict[str, msgspec.Raw],
    ) -> dict[str, Any]:
        texts = _texts(model, self._personal)
        fields: dict[str, Any] = {}
        for name, value in _OBJECT.decode(raw).items():
            if name not in known:
                extra[".".join((*path, name))] = value
            elif known[name] is None and ((*path, name) not in texts or _kind(value) not in "{["):
                fields[name] = value
            elif known[name] is not None and _kind(value) == "{":
                fields[name] = self._known(model, known[name], value, (*path, name), at, extra)
            elif _kind(value) != "n":
                self.misshapen.append((*at, *path, name))
        return fields

    def _lines(self, model: type[Nested], path: str, raw: Raw) -> list[dict[str, Any]] | None:
        if _kind(raw) != "[":
            if _kind(raw) != "n":
                self.misshapen.append((path,))
            return None
        return [
            self._line(model, line, (path, str(place)))
            for place, line in enumerate(_LIST.decode(raw))
        ]

    def _line(self, model: type[Nested], raw: Raw, at: FieldPath) -> dict[str, Any]:
        if _kind(raw) == "{":
            return self.object(model, raw, at)
        if _kind(raw) != "n":
            self.misshapen.append(at)
        return {}


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def _decodes(decoder: msgspec.json.Decoder[Any], record: Raw) -> bool:
    try:
        decoder.decode(record)
    except msgspec.DecodeError:  # a number beyond any machine's where text belongs is one too
        return False
    return True


def _kind(value: Raw) -> str:
    """The first character of a value: ``{``, ``[``, ``"``, ``n`` of null, and so on."""
    return chr(memoryview(value)[0])


@cache
def _texts(model: type[Nested], personal: bool) -> frozenset[FieldPath]:
    """The fields that are loaded as the text they are."""
    found = columns(model, personal=personal)
    return frozenset(c.path for c in found if c.type is ColumnType.STRING and not c.derived)


def _frame(model: type[Nested], personal: bool, *, closed: bool = True) -> type[msgspec.Struct]:
    """The frame as a type; an open one lets unknown fields be in the record itself, though nowhere within it."""
    nested = lines(model)
    texts = _texts(model, personal)

    def kind(path: FieldPath, inner: dict[str, Any] | None) -> Any:
        if nested and path == (nested.path,):
            return list[_frame(nested.model, personal)] | None  # type: ignore[misc]
        if inner is not None:
            return struct(path, inner) | None
        return _TEXT if path in texts else msgspec.Raw

    def struct(path: FieldPath, fields: dict[str, Any]) -> type[msgspec.Struct]:
        # A field may have any name, an attribute may not.
        attributes = {f"field_{n}": name for n, name in enumerate(fields)}
        kinds = {name: kind((*path, name), inner) for name, inner in fields.items()}
        return msgspec.defstruct(
            "Frame",
            [
                (attribute, kinds[name], msgspec.Raw() if kinds[name] is msgspec.Raw else None)
                for attribute, name in attributes.items()
            ],
            rename=attributes,
            forbid_unknown_fields=closed or path != (),
            gc=False,
        )

    return struct((), known_fields(model))


#: What is stored as the text it is.
_TEXT = str | int | float | bool | None
