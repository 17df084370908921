"""The document of a search as records again, from what `search.json` holds; older versions wrote less into it."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from gazetune.report.ablation_document import AblationDocument
from gazetune.report.document import ImportanceRecord, SearchDocument


def read_document(stored: Mapping[str, Any]) -> SearchDocument:
    """Return the document that `SearchDocument.to_json` gave.

    What an older version did not write has its default, and what a newer one writes beside is left out.

    Raises
    ------
    ValueError
        When something is missing, or another value stands there than a document can have.
    """
    importance = ImportanceRecord(
        shares=stored.get("importance") or {},
        by_measure=stored.get("importance_by_measure") or {},
        trials=(stored.get("means_by_value") or {}).get("trials", 0),
        missing=None if stored.get("importance") else "this document has none",
    )
    known = {**stored, "means": stored.get("means_by_value")}
    known.pop("importance", None)
    document: SearchDocument = _read_record(SearchDocument, known, "")
    return dataclasses.replace(document, importance=importance)


def read_ablation_document(stored: Mapping[str, Any]) -> AblationDocument:
    """Return the document that `AblationDocument.to_json` gave, as `read_document` does for a search."""
    document: AblationDocument = _read_record(AblationDocument, stored, "")
    return document


def _read_record(record: type, stored: object, place: str) -> Any:
    """Return a frozen dataclass from an object of JSON."""
    if not isinstance(stored, Mapping):
        raise ValueError(f"{place or 'it'} is no object")
    types_by_name = typing.get_type_hints(record)
    values = {}
    for field in dataclasses.fields(record):
        if field.name in stored:
            own = f"{place}.{field.name}".lstrip(".")
            values[field.name] = _read_value(types_by_name[field.name], stored[field.name], own)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{f'{place}.{field.name}'.lstrip('.')} is missing")
    return record(**values)


def _read_value(kind: Any, value: object, place: str) -> Any:
    """Return a value of JSON as an annotation has it."""
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (each for each in arguments if each is not type(None))
        return _read_value(inner, value, place)
    if dataclasses.is_dataclass(kind):
        return _read_record(typing.cast(type, kind), value, place)
    if origin is typing.Literal and value not in arguments:
        raise ValueError(f"{place} is {value!r}; accepted: {', '.join(map(str, arguments))}")
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{place} is no list")
        inners = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(inners) != len(value):
            raise ValueError(f"{place} has {len(value)} values, not {len(inners)}")
        pairs = zip(inners, value, strict=True)
        return tuple(_read_value(inner, each, f"{place}[{number}]") for number, (inner, each) in enumerate(pairs))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"{place} is no object")
        return {str(name): _read_value(arguments[1], each, f"{place}.{name}") for name, each in value.items()}
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{place} is {value!r}, which is no number")
        return float(value)
    if kind in (str, int, bool) and not isinstance(value, kind):
        raise ValueError(f"{place} is {value!r}, not of type {kind.__name__}")
    return value
