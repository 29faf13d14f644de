"""The definition in resources.yaml as values: resources, function settings, resolved references.

Understands the functions that resources.yaml uses for queues, the table, the buckets and the
functions' environment, not all of CloudFormation.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

RESOURCES_FILE = Path(__file__).with_name("resources.yaml")
_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")


class TemplateError(Exception):
    """resources.yaml says something that this reader does not understand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFunction:
    """A function that reads a queue, as its event source is configured."""

    handler: str
    queue: str
    batch_size: int
    timeout_seconds: int
    memory_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedFunction:
    """A function that the clock starts."""

    handler: str
    timeout_seconds: int
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Template:
    """The parsed file."""

    document: Mapping[str, Any]

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """Every resource by its logical id, patches to Chalice's included."""
        found: Mapping[str, Mapping[str, Any]] = self.document["Resources"]
        return found

    @property
    def environment(self) -> Mapping[str, Any]:
        """The functions' environment, unresolved."""
        found: Mapping[str, Any] = self.document["Globals"]["Function"]["Environment"]["Variables"]
        return found

    @property
    def parameter_defaults(self) -> dict[str, str]:
        """The parameters that need not be given, with what they are then."""
        return {
            name: str(parameter["Default"])
            for name, parameter in self.document["Parameters"].items()
            if "Default" in parameter
        }

    def in_order(self, *types: str) -> list[str]:
        """Return the logical ids of these types, each after all that it refers to."""
        wanted = {name for name, entry in self.resources.items() if entry.get("Type") in types}
        ordered: list[str] = []

        def visit(name: str) -> None:
            if name in ordered or name not in wanted:
                return
            for needed in sorted(_references(self.resources[name])):
                visit(needed)
            ordered.append(name)

        for name in sorted(wanted):
            visit(name)
        return ordered

    def queue_functions(self) -> list[QueueFunction]:
        """Return every function that reads a queue, in the order of the file."""
        return [
            QueueFunction(
                handler=snake_case(name),
                queue=_referred_queue(event["Properties"]["Queue"]),
                batch_size=event["Properties"]["BatchSize"],
                timeout_seconds=entry["Properties"]["Timeout"],
                memory_mb=entry["Properties"]["MemorySize"],
            )
            for name, entry in self.resources.items()
            for event in entry.get("Properties", {}).get("Events", {}).values()
        ]

    def timed_function(self, name: str) -> TimedFunction:
        """Return the settings of the function with this logical id."""
        properties = self.resources[name]["Properties"]
        return TimedFunction(
            handler=snake_case(name),
            timeout_seconds=properties["Timeout"],
            memory_mb=properties["MemorySize"],
        )


@dataclass(slots=True)
class Resolver:
    """Replaces references by what they stand for, as far as that is known already."""

    template: Template
    values: dict[str, str]
    attributes: dict[tuple[str, str], str] = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """Return `value` with every reference in it replaced. Raises TemplateError."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        return {key: self.resolve(item) for key, item in value.items()}

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref" if argument == "AWS::NoValue":
                return None
            case "Ref":
                return self._ref(argument)
            case "Fn::GetAtt":
                return self._attribute(argument[0], argument[1])
            case "Fn::Sub":
                return self._substitute(argument)
            case "Fn::Join":
                return argument[0].join(self.resolve(argument[1]))
            case "Fn::Split":
                return self.resolve(argument[1]).split(argument[0])
            case "Fn::If":
                return self.resolve(argument[1 if self._holds(argument[0]) else 2])
        raise TemplateError(f"{name} is not understood when resources.yaml is used locally")

    def _ref(self, name: str) -> str:
        if name not in self.values:
            raise TemplateError(f"{name} is referred to before it exists")
        return self.values[name]

    def _attribute(self, name: str, attribute: str) -> str:
        if (name, attribute) not in self.attributes:
            raise TemplateError(f"{name}.{attribute} is referred to before it exists")
        return self.attributes[name, attribute]

    def _substitute(self, text: str) -> str:
        def replacement(match: re.Match[str]) -> str:
            name, dot, attribute = match[1].partition(".")
            return self._attribute(name, attribute) if dot else self._ref(name)

        return _PLACEHOLDER.sub(replacement, text)

    def _holds(self, condition: str) -> bool:
        return self._true(self.template.document["Conditions"][condition])

    def _true(self, expression: Mapping[str, Any]) -> bool:
        ((name, argument),) = expression.items()
        match name:
            case "Fn::Not":
                return not self._true(argument[0])
            case "Fn::Equals":
                return bool(self.resolve(argument[0]) == self.resolve(argument[1]))
        raise TemplateError(f"{name} is not understood in a condition")


@functools.cache
def load(path: Path = RESOURCES_FILE) -> Template:
    """Return the definition in `path`. It is read once in a process: treat it as constant."""
    return Template(yaml.safe_load(path.read_text(encoding="utf-8")))


def snake_case(logical_id: str) -> str:
    """Return the handler's name for a function's logical id: `DeadLetters` is `dead_letters`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", logical_id).lower()


def _referred_queue(value: Mapping[str, str]) -> str:
    match = _PLACEHOLDER.fullmatch(value["Fn::Sub"])
    if match is None:
        raise TemplateError(f"a function's queue must be written as ${{Name.Arn}}, not {value}")
    return match[1].removesuffix(".Arn")


def _references(value: Any) -> Iterator[str]:
    """Yield the name of everything that `value` refers to, DependsOn included."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            match key:
                case "Ref":
                    yield item
                case "DependsOn":
                    yield from item
                case "Fn::GetAtt":
                    yield item[0]
                case "Fn::Sub" if isinstance(item, str):
                    yield from (name.partition(".")[0] for name in _PLACEHOLDER.findall(item))
                case _:
                    yield from _references(item)
