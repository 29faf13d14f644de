"""Health, and the settings of clients."""

from chalice.app import Response

from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.responses import json_response


def show_health(call: Call) -> Response:  # noqa: ARG001 - every handler receives the call
    return json_response({"status": "ok"})


def show_client_settings(call: Call) -> Response:
    settings = call.services.settings
    return json_response(
        {
            "incoming_bucket": settings.incoming_bucket,
            "region": settings.region,
            "aws_endpoint": settings.aws_endpoint,
        }
    )
