"""A module that defines a hook is a webhook: URL, validation, scope and OpenAPI entry follow from it."""

from typing import Any

import pytest

from chalicelib.core.errors import ForbiddenError
from chalicelib.core.web.auth import Caller, Scope
from chalicelib.entrypoints.http import operations as documented
from chalicelib.entrypoints.http.handlers import hooks as handlers
from chalicelib.entrypoints.http.openapi import document
from chalicelib.hooks.base import Document, Hook, Parameters
from chalicelib.hooks.fields import Count
from chalicelib.ports.clock import Clock
from tests.http import documented as responses
from tests.http.client import Call
from tests.world import World


class CountParameters(Parameters):
    up_to: Count


class Counted(Document):
    numbers: list[int]
    at: float


def authorize(parameters: CountParameters, caller: Caller) -> None:
    if parameters.up_to > 3:
        raise ForbiddenError(f"{caller.name!r} may count to 3 at most")


def count(parameters: CountParameters, *, clock: Clock) -> dict[str, object]:
    return {"numbers": list(range(parameters.up_to)), "at": clock.now()}


HOOK = Hook(
    name="count", summary="Count", parameters=CountParameters, scope=Scope.SUBMIT, authorize=authorize, run=count,
    result=(Counted,),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _with_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (handlers, documented):
        monkeypatch.setattr(module, "hooks", lambda: {"count": HOOK})
    monkeypatch.setattr(responses, "api", document)
    monkeypatch.setattr(responses, "validator", responses.validator.__wrapped__)


def test_hook_has_a_url_and_receives_the_ports_that_it_names(world: World, call: Call) -> None:
    answer = call("POST", "/hooks/count", {"up_to": 2})
    assert answer.status_code == 200
    assert answer.json_body == {"numbers": [0, 1], "at": world.clock.now()}


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({}, "/up_to", "field required"),
        ({"up_to": -1}, "/up_to", "input should be greater than or equal to 0"),
        ({"up_to": "2"}, "/up_to", "input should be a valid integer"),
        ({"up_to": 1, "upto": 1}, "/upto", "unknown field; did you mean 'up_to'?"),
    ],
)
def test_hook_validates_its_parameters(call: Call, body: Any, pointer: str, detail: str) -> None:
    answer = call("POST", "/hooks/count", body)
    assert (answer.status_code, answer.json_body["code"]) == (422, "invalid_request")
    assert answer.json_body["errors"] == [{"pointer": pointer, "detail": detail}]


def test_hook_authorizes_what_its_parameters_name(call: Call) -> None:
    answer = call("POST", "/hooks/count", {"up_to": 4})
    assert (answer.status_code, answer.json_body["code"]) == (403, "forbidden")
    assert "may count to 3 at most" in answer.json_body["detail"]


def test_hook_refuses_a_request_without_token(call: Call) -> None:
    assert call("POST", "/hooks/count", {"up_to": 1}, token=None).status_code == 401


def test_hook_is_an_operation_of_the_api_document() -> None:
    operation = document()["paths"]["/hooks/count"]["post"]
    assert operation["summary"] == "Count"
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/CountParameters"
    }
    assert {"200", "401", "403", "422"} <= set(operation["responses"])


def test_unknown_hook_is_not_found_and_the_response_names_all(call: Call) -> None:
    answer = call("POST", "/hooks/upload", {})
    assert (answer.status_code, answer.json_body["hint"]) == (404, "The hooks are: count.")
