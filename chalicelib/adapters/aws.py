"""Errors of AWS that are transient."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's name
from urllib3.exceptions import HTTPError

from chalicelib.core.errors import AwsUnavailableError

BUSY = frozenset(
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


def is_busy(error: ClientError) -> bool:
    """Tell whether the same request may succeed later."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error.response.get("Error", {}).get("Code") in BUSY or status >= SERVER_ERROR


def busy(error: Exception, what: str) -> AwsUnavailableError:
    """Return the transient error for a call about `what`."""
    return AwsUnavailableError(f"AWS did not answer for {what}: {error}")


@contextmanager
def translate_transient_errors(what: str) -> Iterator[None]:
    """Raise AwsUnavailableError for errors of AWS that ask for a retry: no response, overload, throttling. Other errors
    pass unchanged."""
    try:
        yield
    except (ConnectionError, HTTPClientError, HTTPError) as error:
        raise busy(error, what) from error
    except ClientError as error:
        if not is_busy(error):
            raise
        raise busy(error, what) from error
