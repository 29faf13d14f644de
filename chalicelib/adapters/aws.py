"""Transient errors of AWS."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's name
from urllib3.exceptions import HTTPError

from chalicelib.core.errors import AwsUnavailableError

TRANSIENT_CODES = frozenset(
    {
        "ConditionalCheckFailedDueToTransaction",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
SERVER_ERROR = 500


def is_transient(error: ClientError) -> bool:
    """Return whether the same request may succeed later."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error.response.get("Error", {}).get("Code") in TRANSIENT_CODES or status >= SERVER_ERROR


def unavailable(error: Exception, what: str) -> AwsUnavailableError:
    """Return the transient error of a request. `what` names the thing that was requested, for the message."""
    return AwsUnavailableError(f"AWS did not respond for {what}: {error}")


@contextmanager
def translate_transient_errors(what: str) -> Iterator[None]:
    """Raise AwsUnavailableError instead of transient errors of AWS: no response, overload, throttling.

    Other errors pass unchanged. `what` names the thing that is requested, for the message.
    """
    try:
        yield
    except (ConnectionError, HTTPClientError, HTTPError) as error:
        raise unavailable(error, what) from error
    except ClientError as error:
        if not is_transient(error):
            raise
        raise unavailable(error, what) from error
