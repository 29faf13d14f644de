"""What /ready asks of AWS: the parts that are there answer, the others raise."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters import probes


def test_a_table_that_is_there_answers_and_another_does_not(dynamodb: Any) -> None:
    probes.table(dynamodb, "jobs")()
    with pytest.raises(ClientError):
        probes.table(dynamodb, "nothing")()


def test_a_queue_that_is_there_answers_and_another_does_not(aws: Callable[[str], Any]) -> None:
    client = aws("sqs")
    url = client.create_queue(QueueName="jobs")["QueueUrl"]
    probes.queue(client, url)()
    with pytest.raises(ClientError):
        probes.queue(client, f"{url}-nothing")()


def test_a_bucket_that_is_there_answers_and_another_does_not(aws: Callable[[str], Any]) -> None:
    client = aws("s3")
    client.create_bucket(Bucket="work")
    probes.bucket(client, "work")()
    with pytest.raises(ClientError):
        probes.bucket(client, "nothing")()
