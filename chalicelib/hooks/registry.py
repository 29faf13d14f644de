"""Finds the webhooks: every module of this package that defines `hook`."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import chalicelib.hooks
from chalicelib.hooks.base import Hook


class HookError(RuntimeError):
    """Two modules define a hook of the same name."""


@cache
def hooks() -> Mapping[str, Hook]:
    """Return all hooks by name. Raises HookError."""
    return find_hooks(chalicelib.hooks)


def find_hooks(package: ModuleType) -> Mapping[str, Hook]:
    """Return the hooks that the modules of a package define, sorted by name. Raises HookError."""
    found: dict[str, Hook] = {}
    for module in sorted(each.name for each in iter_modules(package.__path__)):
        hook = getattr(import_module(f"{package.__name__}.{module}"), "hook", None)
        if not isinstance(hook, Hook):
            continue
        if hook.name in found:
            raise HookError(f"the hook {hook.name!r} is defined twice, the second time in {package.__name__}.{module}")
        found[hook.name] = hook
    return dict(sorted(found.items()))
