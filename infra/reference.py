"""Write the tables of docs/reference/ from the code: `make docs`.

A page is written by hand, except between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. tests/test_documents.py
compares the committed pages with the output of `render`.
"""

import ast
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from chalicelib import config
from chalicelib.core.errors import SlidehookError
from chalicelib.entrypoints.http.operations import Operation, operations
from chalicelib.entrypoints.http.responses import STATUS
from infra.deploy.template import load
from infra.reference_texts import ERRORS, SETTINGS

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
MARK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)
INTERNAL_STATUS = 500
# Settings whose default depends on the machine.
COMPUTED_DEFAULTS = {
    "AWS_LAMBDA_LOG_STREAM_NAME": "none",
    "SLIDEHOOK_CORES": "the processors of the machine",
    "SLIDEHOOK_WORKER": "`process-<id>`",
}


class UndescribedError(Exception):
    """The code has something that this generator has no text for, or the reverse."""


def routes_table() -> str:
    """Return every route, grouped as in the OpenAPI document."""
    groups: dict[str, list[Operation]] = {}
    for each in operations():
        groups.setdefault(each.route.group, []).append(each)
    parts = []
    for group, found in groups.items():
        rows = [[f"`{each.method}`", f"`{each.path}{_query(each)}`", each.spec.summary, each.scope] for each in found]
        parts.append(f"## {group.capitalize()}\n\n{_table(['method', 'path', 'what it does', 'scope'], rows)}")
    return "\n\n".join(parts)


def _query(operation: Operation) -> str:
    names = operation.query.model_fields if operation.query else ()
    return f"?{'&'.join(f'{name}=' for name in names)}" if names else ""


def parameters_table(model: type[BaseModel]) -> str:
    """Return the fields of a request body: name, type, default, meaning."""
    rows = []
    for name, each in model.model_fields.items():
        default = "required" if each.is_required() else f"`{_json(each.default)}`"
        rows.append([f"`{name}`", _type(each.annotation), default, each.description or ""])
    return _table(["field", "type", "default", "meaning"], rows)


def _json(value: object) -> str:
    words: dict[object, str] = {None: "null", True: "true", False: "false"}
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, bool) or value is None:
        return words[value]
    return f'"{value}"' if isinstance(value, str) else str(value)


def _type(annotation: Any) -> str:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is types.UnionType or (origin is not None and type(None) in arguments):
        return " or ".join(_type(each) for each in arguments if each is not type(None))
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if arguments and hasattr(annotation, "__metadata__"):
        return _type(arguments[0])
    if arguments:
        return " or ".join(f"`{_json(each)}`" for each in arguments)
    return {str: "string", int: "integer", bool: "boolean", float: "number"}.get(annotation, str(annotation))


def settings_table() -> str:
    """Return every environment variable that `config.read_settings` reads, in its order. Raises UndescribedError."""
    names = dict(_settings())
    _compare("settings", set(names), set(SETTINGS))
    required = {name for name in names if _is_required(name)}
    values = config.read_settings(dict.fromkeys(required, "x"))
    parameters = {
        name: value["Ref"]
        for name, value in load().environment.items()
        if isinstance(value, Mapping) and value.get("Ref") in _parameters()
    }
    rows = []
    for name, attribute in names.items():
        default = "required" if name in required else COMPUTED_DEFAULTS.get(name, _default(getattr(values, attribute)))
        parameter = f"`{parameters[name]}`" if name in parameters else ""
        rows.append([f"`{name}`", SETTINGS[name], default, parameter])
    return _table(["setting", "meaning", "default", "template parameter"], rows)


def _default(value: object) -> str:
    if value is None or value in ("", (), frozenset(), {}):
        return "none"
    return (
        f"`{_json(value)}`" if isinstance(value, bool) else f"`{value:g}`" if value.__class__ is float else f"`{value}`"
    )


def _settings() -> Iterator[tuple[str, str]]:
    """Yield (environment variable, attribute of Settings) as `read_settings` builds it."""
    tree = ast.parse(inspect.getsource(config.read_settings))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Settings":
            for each in call.keywords:
                text = ast.unparse(each.value) if each.arg != "callback_loopback" else "'SLIDEHOOK_CALLBACK_LOOPBACK'"
                for name in re.findall(r"'((?:SLIDEHOOK|AWS)_[A-Z0-9_]+)'", text):
                    yield name, str(each.arg)


def _is_required(name: str) -> bool:
    return f'required("{name}")' in inspect.getsource(config.read_settings)


def _parameters() -> Mapping[str, Any]:
    found: Mapping[str, Any] = load().document["Parameters"]
    return found


def parameters_of_template() -> str:
    """Return the parameters of the AWS template that are not settings of the functions."""
    used = {each.get("Ref") for each in load().environment.values() if isinstance(each, Mapping)}
    rows = [
        [f"`{name}`", " ".join(each["Description"].split()), _default(each.get("Default", "")) or "required"]
        for name, each in _parameters().items()
        if name not in used
    ]
    return _table(["parameter", "meaning", "default"], rows)


def errors_list() -> str:
    """Return an entry for each error code, sorted by code. Raises UndescribedError."""
    kinds = {kind.code: kind for kind in _kinds(SlidehookError)}
    _compare("errors", set(kinds), set(ERRORS))
    return "\n\n".join(_entry(code, kinds[code]) for code in sorted(kinds))


def _entry(code: str, kind: type[SlidehookError]) -> str:
    retried = "" if kind.permanent else " Temporary: workers retry by themselves, clients after `Retry-After`."
    return (
        f"## {code}\n\n**HTTP status:** {status(kind)}. **Meaning:** {ERRORS[code]}{retried}\n\n"
        f"**What to do:** {kind.hint}"
    )


def status(kind: type[SlidehookError]) -> int:
    """Return the HTTP status of an error that a request meets. An error of unknown cause is 500."""
    return INTERNAL_STATUS if kind is SlidehookError else next(STATUS[each] for each in kind.__mro__ if each in STATUS)


def _kinds(kind: type[SlidehookError]) -> Iterator[type[SlidehookError]]:
    # The first class of a code is the one that defines it: a subclass may inherit the code.
    for each in kind.__subclasses__():
        yield from _kinds(each)
    yield kind


def _compare(what: str, found: set[str], described: set[str]) -> None:
    if found != described:
        raise UndescribedError(
            f"{what}: infra/reference_texts.py lacks {sorted(found - described)} and has {sorted(described - found)}, "
            "which the code does not have"
        )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_escape(cell) for cell in row)} |" for row in lines)


def _escape(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")


def tables() -> Mapping[str, Callable[[], str]]:
    """Return a function for each generated part, by its name in a page."""
    bodies = {each.path: each.body for each in operations() if each.body is not None}
    hooks = {re.sub(r"[^a-z]+", "-", path).strip("-"): body for path, body in bodies.items()}
    return {
        "routes": routes_table,
        "settings": settings_table,
        "template-parameters": parameters_of_template,
        "errors": errors_list,
        **{name: lambda body=body: parameters_table(body) for name, body in hooks.items()},  # type: ignore[misc]
    }


def render(page: str) -> str:
    """Return a page with its generated parts as the code has them now. Raises UndescribedError, KeyError."""
    found = tables()
    return MARK.sub(lambda mark: f"{mark[1]}\n{found[mark[2]]()}\n\n{mark[3]}", page)


def pages() -> list[Path]:
    """Return the pages that have generated parts."""
    return [path for path in sorted(FOLDER.glob("*.md")) if MARK.search(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    for path in pages():
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(path.relative_to(FOLDER.parents[1]))
