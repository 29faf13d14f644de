"""AWS in this process, and resources made in it from infra/deploy/resources.yaml."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from infra.local.provision import Clients, Provisioned, provision


@pytest.fixture
def clients(boto3_session: Any) -> Iterator[Clients]:
    with mock_aws():
        made = {service: boto3_session.client(service) for service in ("dynamodb", "s3", "sqs")}
        yield Clients(**made)


@pytest.fixture
def provisioned(clients: Clients) -> Provisioned:
    return provision(clients)
