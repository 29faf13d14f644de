"""Converts dataclasses to DynamoDB items and back.

Numbers are stored as their shortest exact text and are read as the type of the field, so that they do not change.
Items of earlier versions have other names for some attributes and values. Both names are read until
`slidehook migrate` has rewritten the items.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from chalicelib.core.jobs.model import Problem, shortened

Value = TypeVar("Value")
Attribute = dict[str, Any]
Item = dict[str, Attribute]

# Field name -> attribute name, where they differ. The key attribute of an index cannot be renamed.
STORED_NAMES: Mapping[str, str] = {"cleanup_at": "sweep_at"}
# Field name -> attribute name in items of schema version 1.
EARLIER_NAMES: Mapping[str, str] = {
    "request_id": "asked_by",
    "entrypoint": "door",
    "last_transient_error": "trouble",
    "highlights": "noteworthy",
    "method": "made",
    "cleaned_attempt": "swept_attempt",
}
# Values of schema version 1 -> values of literal fields.
EARLIER_VALUES: Mapping[str, str] = {
    "made": "downsampled",
    "again": "requeued",
    "trouble": "transient_error",
    "swept": "cleaned_up",
}
# Error codes of schema version 1 -> error codes.
EARLIER_CODES: Mapping[str, str] = {
    "callbacks_off": "callbacks_disabled",
    "too_many_tries": "rate_limited",
    "work_lost": "plan_expired",
    "no_progress": "retries_exhausted",
    "key_names_no_session": "invalid_object_key",
    "answer_too_large": "response_too_large",
    "inspection_time": "inspection_timeout",
}


def attribute(value: object) -> Attribute:
    """Return a value as a DynamoDB attribute. Messages of problems are shortened (core.jobs.model.shortened)."""
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": str(value)}
        case int() | float():
            return {"N": repr(value)}
        case frozenset():
            return {"NS": [repr(number) for number in sorted(value)]}
        case tuple():
            return {"L": [attribute(each) for each in value]}
        case Problem():
            return {"M": attributes(shortened(value))}
    return {"M": attributes(value)}


def stored_name(field: str) -> str:
    """Return the attribute name of a field."""
    return STORED_NAMES.get(field, field)


def attributes(value: Any) -> Item:
    """Return the attributes of a dataclass. None and empty tuples and sets are omitted; they are the defaults."""
    values = {stored_name(field.name): getattr(value, field.name) for field in fields(value)}
    return {
        name: attribute(each) for name, each in values.items() if each is not None and each not in ((), frozenset())
    }


def dataclass_of(kind: Callable[..., Value], item: Mapping[str, Attribute]) -> Value:
    """Return the dataclass of an item that this version or an earlier one wrote. Other attributes are ignored."""
    values = {}
    for name, hint in _hints(kind).items():
        stored = item.get(stored_name(name)) or item.get(EARLIER_NAMES.get(name, ""))
        if stored is not None:
            value = _value(hint, stored)
            values[name] = EARLIER_CODES.get(value, value) if name == "code" else value
    return kind(**values)


@cache
def _hints(kind: Callable[..., object]) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(kind: Any, stored: Attribute) -> Any:
    (value,) = stored.values()
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:  # None is not stored
        return _value(arguments[0], stored)
    if origin is tuple:
        return tuple(_value(arguments[0], each) for each in value)
    if origin is frozenset:
        return frozenset(arguments[0](each) for each in value)
    if origin is Literal:
        return value if value in arguments else EARLIER_VALUES.get(value, value)
    return dataclass_of(kind, value) if isinstance(kind, type) and is_dataclass(kind) else kind(value)
