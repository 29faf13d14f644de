"""Values as DynamoDB keeps them. Numbers go as text and come back as what the field's type says: a float's shortest
text is exact, so an instant is the same after the journey."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from chalicelib.core.jobs.model import Problem, shortened

Value = TypeVar("Value")
Attribute = dict[str, Any]
Item = dict[str, Attribute]


def attribute(value: object) -> Attribute:
    """Return a value as an attribute. Nothing (None) and empty tuples and sets have none."""
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


def attributes(value: Any) -> Item:
    """Return a dataclass as attributes by field; what is empty is left out, its default stands for it."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: attribute(each) for name, each in found.items() if each is not None and each not in ((), frozenset())}


def dataclass_of(kind: Callable[..., Value], item: Mapping[str, Attribute]) -> Value:
    """Return the dataclass that `attributes` made the item of. Attributes of other names are passed over."""
    return kind(**{name: _value(hint, item[name]) for name, hint in _hints(kind).items() if name in item})


@cache
def _hints(kind: Callable[..., object]) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(kind: Any, stored: Attribute) -> Any:
    (value,) = stored.values()
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:  # what may be None is not stored then
        return _value(arguments[0], stored)
    if origin is tuple:
        return tuple(_value(arguments[0], each) for each in value)
    if origin is frozenset:
        return frozenset(arguments[0](each) for each in value)
    if origin is Literal:
        return value
    return dataclass_of(kind, value) if isinstance(kind, type) and is_dataclass(kind) else kind(value)
