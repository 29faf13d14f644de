"""Whether the parts of AWS that the service stands on are there, by the cheapest request to each."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient

Probe = Callable[[], object]


def table(client: "DynamoDBClient", name: str) -> Probe:
    """Read an item that there never is."""
    return lambda: client.get_item(TableName=name, Key={"pk": {"S": "ready"}, "sk": {"S": "ready"}})


def queue(client: "SQSClient", url: str) -> Probe:
    return lambda: client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])


def bucket(client: "S3Client", name: str) -> Probe:
    return lambda: client.head_bucket(Bucket=name)
