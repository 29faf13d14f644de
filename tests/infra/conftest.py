"""AWS in this process, and resources made in it from infra/resources.yaml."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.provision import Clients, Provisioned, provision


@pytest.fixture
def clients() -> Iterator[Clients]:
    with mock_aws():
        session: Any = boto3.session.Session(region_name="us-east-1")
        yield Clients(dynamodb=session.client("dynamodb"), s3=session.client("s3"), sqs=session.client("sqs"))


@pytest.fixture
def provisioned(clients: Clients) -> Provisioned:
    return provision(clients)
