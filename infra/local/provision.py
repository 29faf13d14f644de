"""Make the queues, the table and the buckets of resources.yaml on any endpoint.

    AWS_ENDPOINT_URL=http://127.0.0.1:4566 python -m infra.local.provision [--prefix slidehook]

Run again it changes nothing; what has drifted from the definition is mended and reported. Real
AWS gets the same resources from CloudFormation instead (`make package`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import template as templates
from infra.deploy.template import Resolver, Template
from infra.local.resource_values import (
    attribute_text,
    cors_rule,
    includes,
    lifecycle_rule,
    parsed,
    raise_unless_missing,
    status_of,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

KINDS = ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "AWS::DynamoDB::Table", "AWS::S3::Bucket")
_TABLE_KEYS = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue that exists."""

    name: str
    url: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """All that was found or made, and what had to be changed for it."""

    region: str
    account: str
    queues: Mapping[str, Queue]
    jobs_table: str
    incoming_bucket: str
    work_bucket: str
    environment: Mapping[str, str]
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The services in which resources are made."""

    dynamodb: DynamoDBClient
    s3: S3Client
    sqs: SQSClient

    @classmethod
    def from_environment(cls) -> Clients:
        """Return clients for the endpoint, region and credentials that boto3 finds."""
        session = boto3.session.Session()
        return cls(dynamodb=session.client("dynamodb"), s3=session.client("s3"), sqs=session.client("sqs"))


def provision(
    clients: Clients,
    *,
    prefix: str = "slidehook",
    visibility_seconds: int | None = None,
    parameters: Mapping[str, str] | None = None,
    template: Template | None = None,
) -> Provisioned:
    """Bring everything into the state that resources.yaml describes.

    `prefix` stands for the stack's name. `visibility_seconds` replaces the visibility of every
    queue: locally a killed worker's message should come back soon. `parameters` are the
    template's: for the functions' environment, and for the pages that may send slides.
    """
    making = _Making(clients, template or templates.load(), prefix, visibility_seconds)
    making.resolver.values |= making.template.parameter_defaults | dict(parameters or {})
    for logical_id in making.template.in_order(*KINDS):
        making.make(logical_id)
    return making.result()


class _Making:
    """One run: what is known so far, and what was changed."""

    def __init__(self, clients: Clients, template: Template, prefix: str, visibility_seconds: int | None) -> None:
        self.template = template
        self.changes: list[str] = []
        self._clients = clients
        self._visibility_seconds = visibility_seconds
        self._region = clients.sqs.meta.region_name
        self._queues: dict[str, Queue] = {}
        self.resolver = Resolver(
            template,
            {"AWS::StackName": prefix, "AWS::Region": self._region, "AWS::Partition": "aws"},
        )

    def make(self, logical_id: str) -> None:
        entry = self.template.resources[logical_id]
        properties = self.resolver.resolve(entry["Properties"])
        match entry["Type"]:
            case "AWS::SQS::Queue":
                self._queue(logical_id, properties)
            case "AWS::SQS::QueuePolicy":
                self._queue_policy(properties)
            case "AWS::DynamoDB::Table":
                self._table(logical_id, properties)
            case "AWS::S3::Bucket":
                self._bucket(logical_id, properties)

    def result(self) -> Provisioned:
        values = self.resolver.values
        environment = {
            name: str(self.resolver.resolve(value))
            for name, value in self.template.environment.items()
            if not (isinstance(value, dict) and value.get("Ref") in self._unknown_parameters())
        }
        return Provisioned(
            region=self._region,
            account=values["AWS::AccountId"],
            queues=dict(self._queues),
            jobs_table=values["JobsTable"],
            incoming_bucket=values["IncomingBucket"],
            work_bucket=values["WorkBucket"],
            environment=environment,
            changes=tuple(self.changes),
        )

    def _unknown_parameters(self) -> set[str]:
        return set(self.template.document["Parameters"]) - set(self.resolver.values)

    # ---- queues

    def _queue(self, logical_id: str, properties: dict[str, Any]) -> None:
        sqs, name = self._clients.sqs, properties.pop("QueueName")
        if self._visibility_seconds is not None:
            properties["VisibilityTimeout"] = self._visibility_seconds
        wanted: Any = {key: attribute_text(value) for key, value in properties.items()}
        try:
            url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        except sqs.exceptions.QueueDoesNotExist:
            url = sqs.create_queue(QueueName=name, Attributes=wanted)["QueueUrl"]
            self.changes.append(f"queue {name}: created")
        self._mend_queue(name, url, wanted)
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._queues[logical_id] = Queue(name=name, url=url, arn=arn)
        self.resolver.values |= {logical_id: url, "AWS::AccountId": arn.split(":")[4]}
        self.resolver.attributes[logical_id, "Arn"] = arn

    def _queue_policy(self, properties: dict[str, Any]) -> None:
        wanted = {"Policy": attribute_text(properties["PolicyDocument"])}
        for url in properties["Queues"]:
            self._mend_queue(url.rsplit("/", 1)[-1], url, wanted)

    def _mend_queue(self, name: str, url: str, wanted: Mapping[str, str]) -> None:
        sqs = self._clients.sqs
        found: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})
        drifted: Any = {
            key: value for key, value in wanted.items() if not includes(parsed(found.get(key)), parsed(value))
        }
        if drifted:
            sqs.set_queue_attributes(QueueUrl=url, Attributes=drifted)
            self.changes.append(f"queue {name}: {', '.join(sorted(drifted))}")

    # ---- table

    def _table(self, logical_id: str, properties: dict[str, Any]) -> None:
        dynamodb, name = self._clients.dynamodb, properties["TableName"]
        try:
            found: Any = dynamodb.describe_table(TableName=name)["Table"]
        except dynamodb.exceptions.ResourceNotFoundException:
            definition = {key: properties[key] for key in _TABLE_KEYS}
            dynamodb.create_table(TableName=name, **definition)
            dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
            self.changes.append(f"table {name}: created")
        else:
            self._mend_indexes(name, found, properties)
        self._mend_time_to_live(name, properties["TimeToLiveSpecification"])
        self._mend_recovery(name, properties["PointInTimeRecoverySpecification"])
        self.resolver.values[logical_id] = name

    def _mend_indexes(self, name: str, found: Any, properties: dict[str, Any]) -> None:
        existing = {index["IndexName"] for index in found.get("GlobalSecondaryIndexes", [])}
        for index in properties["GlobalSecondaryIndexes"]:
            if index["IndexName"] in existing:
                continue
            self._clients.dynamodb.update_table(
                TableName=name,
                AttributeDefinitions=properties["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            self.changes.append(f"table {name}: index {index['IndexName']}")

    def _mend_time_to_live(self, name: str, wanted: Any) -> None:
        dynamodb = self._clients.dynamodb
        found = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        if (found.get("AttributeName"), found.get("TimeToLiveStatus")) not in (
            (wanted["AttributeName"], "ENABLED"),
            (wanted["AttributeName"], "ENABLING"),
        ):
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)
            self.changes.append(f"table {name}: time to live")

    def _mend_recovery(self, name: str, wanted: Any) -> None:
        dynamodb = self._clients.dynamodb
        found = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        status = found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
        if status != "ENABLED":
            dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted)
            self.changes.append(f"table {name}: point in time recovery")

    # ---- buckets

    def _bucket(self, logical_id: str, properties: dict[str, Any]) -> None:
        name = properties["BucketName"]
        self._ensure_bucket(name)
        self._mend_versioning(name, properties.get("VersioningConfiguration"))
        self._mend_public_access(name, properties["PublicAccessBlockConfiguration"])
        self._mend_encryption(name, properties["BucketEncryption"])
        self._mend_lifecycle(name, properties["LifecycleConfiguration"])
        self._mend_cors(name, properties.get("CorsConfiguration"))
        self._mend_notification(name, properties.get("NotificationConfiguration"))
        self.resolver.values[logical_id] = name
        self.resolver.attributes[logical_id, "Arn"] = f"arn:aws:s3:::{name}"

    def _ensure_bucket(self, name: str) -> None:
        s3 = self._clients.s3
        try:
            s3.head_bucket(Bucket=name)
            return
        except ClientError as error:
            if status_of(error) != 404:
                raise
        if self._region == "us-east-1":
            s3.create_bucket(Bucket=name)
        else:
            place: Any = {"LocationConstraint": self._region}
            s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
        self.changes.append(f"bucket {name}: created")

    def _mend_versioning(self, name: str, wanted: Any) -> None:
        if wanted is None:
            return
        s3 = self._clients.s3
        if s3.get_bucket_versioning(Bucket=name).get("Status") != wanted["Status"]:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=wanted)
            self.changes.append(f"bucket {name}: versioning")

    def _mend_public_access(self, name: str, wanted: Any) -> None:
        s3 = self._clients.s3
        try:
            found: Any = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        except ClientError as error:
            raise_unless_missing(error)
            found = None
        if found != wanted:
            s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=wanted)
            self.changes.append(f"bucket {name}: public access block")

    def _mend_encryption(self, name: str, wanted: Any) -> None:
        s3 = self._clients.s3
        rules = [
            {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
            for rule in wanted["ServerSideEncryptionConfiguration"]
        ]
        try:
            found: Any = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]
        except ClientError as error:
            raise_unless_missing(error)
            found = None
        if not includes((found or {}).get("Rules"), rules):
            configuration: Any = {"Rules": rules}
            s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=configuration)
            self.changes.append(f"bucket {name}: encryption")

    def _mend_lifecycle(self, name: str, wanted: Any) -> None:
        s3 = self._clients.s3
        rules: Any = [lifecycle_rule(rule) for rule in wanted["Rules"]]
        try:
            found: Any = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        except ClientError as error:
            raise_unless_missing(error)
            found = None
        if not includes(found, rules):
            s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
            self.changes.append(f"bucket {name}: lifecycle")

    def _mend_cors(self, name: str, wanted: Any) -> None:
        if wanted is None:
            return
        s3 = self._clients.s3
        rules = [cors_rule(rule) for rule in wanted["CorsRules"]]
        try:
            found: Any = s3.get_bucket_cors(Bucket=name)["CORSRules"]
        except ClientError as error:
            raise_unless_missing(error)
            found = None
        if not includes(found, rules):
            configuration: Any = {"CORSRules": rules}
            s3.put_bucket_cors(Bucket=name, CORSConfiguration=configuration)
            self.changes.append(f"bucket {name}: cors")

    def _mend_notification(self, name: str, wanted: Any) -> None:
        if wanted is None:
            return
        s3 = self._clients.s3
        configurations: Any = [
            {"QueueArn": entry["Queue"], "Events": [entry["Event"]]} for entry in wanted["QueueConfigurations"]
        ]
        found: Any = s3.get_bucket_notification_configuration(Bucket=name)
        if not includes(found.get("QueueConfigurations"), configurations):
            s3.put_bucket_notification_configuration(
                Bucket=name, NotificationConfiguration={"QueueConfigurations": configurations}
            )
            self.changes.append(f"bucket {name}: notification")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.provision", description="Make Slidehook's resources on an endpoint."
    )
    parser.add_argument("--prefix", default="slidehook", help="stands for the stack's name")
    parser.add_argument("--visibility", type=int, metavar="SECONDS", help="of every queue")
    options = parser.parse_args(arguments)
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        print(
            "AWS_ENDPOINT_URL is not set. Name the emulator's endpoint there; real AWS gets these "
            "resources from the template that `make package` builds.",
            file=sys.stderr,
        )
        return 2
    try:
        made = provision(
            Clients.from_environment(),
            prefix=options.prefix,
            visibility_seconds=options.visibility,
        )
    except (BotoCoreError, ClientError) as error:
        print(f"Could not provision {endpoint}: {error}", file=sys.stderr)
        return 1
    for change in made.changes or ("nothing to change",):
        print(change)
    for name, value in made.environment.items():
        print(f"{name}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
