"""Has a record the shape of its model? Looked at as bytes.

A number, flag or date may be anything here, which is for the casts to judge. What matters is the frame: no field that the
model does not know, objects where objects belong, a list of objects where the lines are, and neither where a text belongs.
A record that differs is taken apart and put together again, so that all records that are typed have one frame.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from st_kpi.columns import ColumnType
from st_kpi.servicetitan.models.base import Nested
from st_kpi.servicetitan.pages import Raw
from st_kpi.servicetitan.schema import columns, known_fields, lines, personal_paths

#: The field that holds what the model does not know, as an object by dotted path.
EXTRA = "_extra"

#: Names from the record inwards; a place in a list counts from 0.
FieldPath = tuple[str, ...]


@dataclass(frozen=True)
class Mended:
    """A record in the frame of its model.

    ``unknown`` are the paths of the fields that the model does not know, now in ``EXTRA`` unless they are personal ones
    in disguise or null. ``misshapen`` are the places where no object or no list was, now null; a line has its place in
    the list in its path.
    """

    record: bytes
    unknown: frozenset[str]
    misshapen: tuple[FieldPath, ...]


class Shape:
    """The frame of one model; ``personal`` where its personal fields are loaded. Safe to use from several threads."""

    def __init__(self, model: type[Nested], personal: bool) -> None:
        self._model = model
        self._personal = personal
        self._decoder = msgspec.json.Decoder(_frame(model, personal))

    def fits(self, record: Raw) -> bool:
        """True where the record can be typed as it is."""
        try:
            self._decoder.decode(record)
        except msgspec.ValidationError:
            return False
        return True

    def mend(self, record: Raw) -> Mended:
        """The record in the frame of the model, and where it differed."""
        surgery = _Surgery(self._personal)
        mended = surgery.object(self._model, record)
        return Mended(
            msgspec.json.encode(mended), frozenset(surgery.unknown), tuple(surgery.misshapen)
        )


@cache
def shape_of(model: type[Nested], personal: bool) -> Shape:
    """The frame of a model, made once."""
    return Shape(model, personal)


def len_of(record: Raw) -> int:
    """The bytes of a record, which are not copied for that."""
    return memoryview(record).nbytes


class _Surgery:
    """Takes one record apart; collects what was odd."""

    def __init__(self, personal: bool) -> None:
        self._personal = personal
        self.unknown: set[str] = set()
        self.misshapen: list[FieldPath] = []

    def object(self, model: type[Nested], raw: Raw, at: FieldPath = ()) -> dict[str, Any]:
        """A record or a line with its known fields, and with the others in ``EXTRA``."""
        extra: dict[str, msgspec.Raw] = {}
        fields = self._known(model, known_fields(model), raw, (), at, extra)
        nested = lines(model)
        if nested is not None and nested.path in fields:
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


def _kind(value: Raw) -> str:
    """The first character of a value: ``{``, ``[``, ``"``, ``n`` of null, and so on."""
    return chr(memoryview(value)[0])


@cache
def _texts(model: type[Nested], personal: bool) -> frozenset[FieldPath]:
    """The fields that are loaded as the text they are."""
    found = columns(model, personal=personal)
    return frozenset(c.path for c in found if c.type is ColumnType.STRING and not c.derived)


def _frame(model: type[Nested], personal: bool) -> type[msgspec.Struct]:
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
            forbid_unknown_fields=True,
            gc=False,
        )

    return struct((), known_fields(model))


#: What is stored as the text it is.
_TEXT = str | int | float | bool | None
