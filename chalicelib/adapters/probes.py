"""Whether the parts that the service stands on are there, by the cheapest request to each."""

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
    """Read an item that there never is."""
    return lambda: client.get_item(TableName=name, Key={"pk": {"S": "ready"}, "sk": {"S": "ready"}})


def queue(client: "SQSClient", url: str) -> Probe:
    return lambda: client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])


def bucket(client: "S3Client", name: str) -> Probe:
    return lambda: client.head_bucket(Bucket=name)


def open_files(client: "pymongo.MongoClient[dict[str, Any]]", limit: int) -> Callable[[], Finding]:
    """Compare the files that MongoDB has open with the `limit` of its process. The probe never raises: a server that
    does not answer is another probe's finding, and a user without the right to ask can still work."""
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
            return _unknown("serverStatus did not answer in time")
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
