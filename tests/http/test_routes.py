"""The table of routes, and the routes of app.py."""

import re
from inspect import Parameter, signature

import pytest

from chalicelib.entrypoints.http.dispatch import contract
from chalicelib.entrypoints.http.operations import operations
from chalicelib.entrypoints.http.routes import ROUTES, Route
from tests.world import World


def key(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", ROUTES, ids=key)
def test_handler_of_a_route_takes_its_path_parameters(route: Route) -> None:
    parameters = list(signature(route.handler()).parameters.values())
    path = re.findall(r"{(\w+)}", route.path)
    positional = [each.name for each in parameters if each.kind is Parameter.POSITIONAL_OR_KEYWORD]
    assert positional[1:] == path
    assert {each.name for each in parameters if each.kind is Parameter.KEYWORD_ONLY} <= {"query", "body"}


@pytest.mark.parametrize("route", ROUTES, ids=key)
def test_documented_request_of_a_route_is_the_validated_one(route: Route) -> None:
    query, body = contract(route.handler())
    (found,) = (each for each in operations([route]) if each.path == route.path)
    spec = route.spec()
    # A handler that parses its request itself documents the class only in its spec.
    assert not (query and spec.query)
    assert not (body and spec.body)
    assert (found.query, found.body) == (query or spec.query, body or spec.body)


def test_table_has_each_method_of_a_path_once() -> None:
    keys = [key(route) for route in ROUTES]
    assert len(keys) == len(set(keys))


def test_app_registers_head_and_options_for_each_path(world: World) -> None:
    import app

    for path, methods in app.app.routes.items():
        assert "OPTIONS" in methods
        assert ("HEAD" in methods) == ("GET" in methods), path


def test_routes_have_one_variable_per_position() -> None:
    """API Gateway allows one variable name at each position of a path."""
    import app

    variables: dict[str, set[str]] = {}
    for route in app.app.routes:
        parts = route.split("/")
        for index, part in enumerate(parts):
            if "{" in part:
                assert re.fullmatch(r"\{\w+\}", part)
                variables.setdefault("/".join(parts[:index]), set()).add(part)
    assert {place: names for place, names in variables.items() if len(names) > 1} == {}
