"""The registry finds each module of the package that defines a hook."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from chalicelib.hooks.registry import HookError, find_hooks, hooks

HOOK = """
from chalicelib.core.web.auth import Scope
from chalicelib.hooks.base import Document, Hook, Parameters


class EchoParameters(Parameters):
    text: str


class Echoed(Document):
    text: str


def echo(parameters):
    return {"text": parameters.text}


hook = Hook(
    name="NAME", summary="Echo a text", parameters=EchoParameters, scope=Scope.ADMIN,
    authorize=lambda parameters, caller: None, run=echo, result=(Echoed,),
)
"""
Package = Callable[..., ModuleType]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Return a package with these modules."""

    def made(**modules: str) -> ModuleType:
        folder = tmp_path / "more_hooks"
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, f"more_hooks.{name}", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "more_hooks", raising=False)
        return import_module("more_hooks")

    return made


def test_registry_finds_the_hooks_of_the_package() -> None:
    assert list(hooks()) == ["inspect", "remove", "sync", "upload", "verify"]


def test_module_with_a_hook_is_found_and_others_are_not(package: Package) -> None:
    found = find_hooks(package(echo=HOOK.replace("NAME", "echo"), helper="hook = 'not a hook'", empty=""))
    assert [(name, hook.scope.value, hook.has_callback) for name, hook in found.items()] == [("echo", "admin", False)]


def test_two_hooks_of_one_name_are_refused(package: Package) -> None:
    text = HOOK.replace("NAME", "same")
    with pytest.raises(HookError, match=r"'same' is defined twice, the second time in more_hooks\.second"):
        find_hooks(package(first=text, second=text))
