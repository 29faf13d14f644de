"""Registers the routes, queue consumers and the timer of Slidehook with Chalice."""

import logging
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate, Request, Response, SQSEvent

from chalicelib.adapters.request_context import write_json
from chalicelib.config import read_settings
from chalicelib.entrypoints import consumers
from chalicelib.entrypoints.http.routes import Route
from chalicelib.entrypoints.registration import register
from chalicelib.services import Services

app = Chalice(app_name="slidehook")
app.log.setLevel(logging.INFO)
services = Services(read_settings())
write_json(app.log, worker=services.settings.worker)


# -- routes: chalicelib/entrypoints/http/routes.py lists them ----------------------------------------------------------


@app.middleware("http")
def set_security_headers(request: Request, get_response: Callable[[Request], Response]) -> Response:
    # These modules are imported by the first request: a queue consumer does not need them and starts faster.
    from chalicelib.entrypoints.http.security_headers import with_security_headers

    return with_security_headers(request, services, get_response)


@app.middleware("http")
def handle_errors(request: Request, get_response: Callable[[Request], Response]) -> Response:
    from chalicelib.entrypoints.http.error_handlers import as_problem

    return as_problem(get_response(request))


def respond(route: Route, arguments: dict[str, str]) -> Response:
    from chalicelib.entrypoints.http.dispatch import dispatch

    assert app.current_request is not None
    return dispatch(route, app.current_request, services, arguments)


register(app, respond)


# -- queues and timer: infra/deploy/resources.yaml names the queues and their settings ---------------------------------


@app.on_sqs_message(queue="slidehook-arrivals", batch_size=10)
def arrivals(event: SQSEvent) -> Any:
    return consumers.on_arrivals(event.to_dict(), services)


@app.on_sqs_message(queue="slidehook-jobs", batch_size=1)
def jobs(event: SQSEvent) -> Any:
    return consumers.on_work(event.to_dict(), event.context, services)


@app.on_sqs_message(queue="slidehook-chunks", batch_size=1)
def chunks(event: SQSEvent) -> Any:
    return consumers.on_work(event.to_dict(), event.context, services)


@app.on_sqs_message(queue="slidehook-dead-letters", batch_size=10)
def dead_letters(event: SQSEvent) -> Any:
    return consumers.on_dead_letters(event.to_dict(), services)


@app.schedule(Rate(1, unit=Rate.MINUTES))
def minute(event: CloudWatchEvent) -> None:
    consumers.on_minute(services, event.context)
