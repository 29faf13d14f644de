"""Readiness probes of AWS and MongoDB. Each sends the cheapest request that needs the dependency."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from chalicelib.core.web.readiness import Condition, Finding, judge_open_files

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient

Probe = Callable[[], object]

logger = logging.getLogger("slidehook")

SERVER_STATUS_SECONDS = 2.0
_UNAUTHORIZED = 13
_UNREAD_SECTIONS = ("locks", "metrics", "repl", "tcmalloc", "transactions")


def table(client: "DynamoDBClient", name: str) -> Probe:
    """Return a probe that reads an item of a DynamoDB table. The item does not exist."""
    return lambda: client.get_item(TableName=name, Key={"pk": {"S": "ready"}, "sk": {"S": "ready"}})


def queue(client: "SQSClient", url: str) -> Probe:
    """Return a probe that reads an attribute of an SQS queue."""
    return lambda: client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])


def bucket(client: "S3Client", name: str) -> Probe:
    """Return a probe that sends a HEAD request for an S3 bucket."""
    return lambda: client.head_bucket(Bucket=name)


def open_files(client: "pymongo.MongoClient[dict[str, Any]]", limit: int) -> Callable[[], Finding]:
    """Return a probe that compares the number of files that MongoDB has open with the `limit` of its process.

    The probe never raises. Another probe reports a server that does not respond, and a user without the right to run
    serverStatus can still publish.
    """
    command = {"serverStatus": 1} | dict.fromkeys(_UNREAD_SECTIONS, 0)

    def probe() -> Finding:
        try:
            with pymongo.timeout(SERVER_STATUS_SECONDS):
                status = client.admin.command(command)
            count = int(status["wiredTiger"]["connection"]["files currently open"])
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                return _unknown("serverStatus failed")
            return _unknown("the user of SLIDEHOOK_MONGO_URI has no right to run serverStatus (role clusterMonitor)")
        except PyMongoError:
            return _unknown("serverStatus did not respond in time")
        except (KeyError, TypeError, ValueError):
            return _unknown("serverStatus does not report it on this kind of server")
        found = judge_open_files(count, limit=limit)
        if found.condition is not Condition.OK:
            logger.warning("MongoDB has %d files open; its limit is %d", count, limit)
        return found

    return probe


def _unknown(reason: str) -> Finding:
    return Finding(
        condition=Condition.UNKNOWN, detail=f"The number of files that MongoDB has open is unknown: {reason}."
    )
