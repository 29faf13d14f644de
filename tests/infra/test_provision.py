"""Provisioning an endpoint from infra/deploy/resources.yaml."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local import provision as provisioning
from infra.local.provision import Clients, Provisioned, provision

INCOMING = "slidehook-incoming-123456789012-us-east-1"
WORK = "slidehook-work-123456789012-us-east-1"


def attributes(clients: Clients, made: Provisioned, queue: str) -> dict[str, str]:
    found: Any = clients.sqs.get_queue_attributes(QueueUrl=made.queues[queue].url, AttributeNames=["All"])
    return dict(found["Attributes"])


def test_a_first_run_reports_everything_that_it_made(provisioned: Provisioned) -> None:
    created = {change for change in provisioned.changes if change.endswith(": created")}
    assert created == {
        "queue slidehook-arrivals: created",
        "queue slidehook-chunks: created",
        "queue slidehook-dead-letters: created",
        "queue slidehook-jobs: created",
        "table slidehook-jobs: created",
        f"bucket {INCOMING}: created",
        f"bucket {WORK}: created",
    }


def test_a_second_run_changes_nothing(clients: Clients, provisioned: Provisioned) -> None:
    again = provision(clients)
    assert again.changes == ()
    assert again.queues == provisioned.queues
    assert again.environment == provisioned.environment


def test_pages_may_send_slides_from_the_origins_that_are_named(clients: Clients, provisioned: Provisioned) -> None:
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        clients.s3.get_bucket_cors(Bucket=INCOMING)
    origins = {"PageOrigins": "http://127.0.0.1:8000,https://slides.example.org"}
    assert provision(clients, parameters=origins).changes == (f"bucket {INCOMING}: cors",)
    (rule,) = clients.s3.get_bucket_cors(Bucket=INCOMING)["CORSRules"]
    assert rule["AllowedOrigins"] == ["http://127.0.0.1:8000", "https://slides.example.org"]
    assert (rule["AllowedMethods"], rule["MaxAgeSeconds"]) == (["PUT"], 3600)
    assert provision(clients, parameters=origins).changes == ()
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        clients.s3.get_bucket_cors(Bucket=WORK)


def test_messages_that_fail_five_times_go_to_the_dead_letters(clients: Clients, provisioned: Provisioned) -> None:
    dead_letters = provisioned.queues["DeadLettersQueue"].arn
    for queue in ("ArrivalsQueue", "JobsQueue", "ChunksQueue"):
        redrive = json.loads(attributes(clients, provisioned, queue)["RedrivePolicy"])
        assert (redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])) == (dead_letters, 5)
    assert "RedrivePolicy" not in attributes(clients, provisioned, "DeadLettersQueue")


def test_a_queue_that_drifted_is_mended(clients: Clients, provisioned: Provisioned) -> None:
    clients.sqs.set_queue_attributes(
        QueueUrl=provisioned.queues["JobsQueue"].url,
        Attributes={"VisibilityTimeout": "7", "ReceiveMessageWaitTimeSeconds": "0"},
    )
    assert provision(clients).changes == ("queue slidehook-jobs: ReceiveMessageWaitTimeSeconds, VisibilityTimeout",)
    found = attributes(clients, provisioned, "JobsQueue")
    assert (found["VisibilityTimeout"], found["ReceiveMessageWaitTimeSeconds"]) == ("1080", "20")


def test_visibility_can_be_shorter_for_a_local_system(clients: Clients, provisioned: Provisioned) -> None:
    changes = provision(clients, visibility_seconds=15).changes
    assert {change for change in changes if "VisibilityTimeout" in change} == {
        "queue slidehook-arrivals: VisibilityTimeout",
        "queue slidehook-chunks: VisibilityTimeout",
        "queue slidehook-dead-letters: VisibilityTimeout",
        "queue slidehook-jobs: VisibilityTimeout",
    }
    assert attributes(clients, provisioned, "ChunksQueue")["VisibilityTimeout"] == "15"
    assert provision(clients, visibility_seconds=15).changes == ()


def test_the_table_has_its_indexes_and_forgets_what_expires(clients: Clients, provisioned: Provisioned) -> None:
    table = clients.dynamodb.describe_table(TableName=provisioned.jobs_table)["Table"]
    keys = {
        index["IndexName"]: [part["AttributeName"] for part in index["KeySchema"]]
        for index in table["GlobalSecondaryIndexes"]
    }
    assert keys == {
        "recent": ["gsi_recent", "updated_at"],
        "by_state": ["gsi_state", "updated_at"],
        "by_session": ["gsi_session", "submitted_at"],
        "counted": ["gsi_state", "submitted_at"],
        "sweep": ["gsi_sweep", "sweep_at"],
    }
    expiry = clients.dynamodb.describe_time_to_live(TableName=provisioned.jobs_table)["TimeToLiveDescription"]
    assert (expiry["TimeToLiveStatus"], expiry["AttributeName"]) == ("ENABLED", "expires_at")
    backups = clients.dynamodb.describe_continuous_backups(TableName=provisioned.jobs_table)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_an_index_that_was_dropped_comes_back(clients: Clients, provisioned: Provisioned) -> None:
    clients.dynamodb.update_table(
        TableName=provisioned.jobs_table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "sweep"}}]
    )
    assert provision(clients).changes == ("table slidehook-jobs: index sweep",)
    table = clients.dynamodb.describe_table(TableName=provisioned.jobs_table)["Table"]
    assert "sweep" in {index["IndexName"] for index in table["GlobalSecondaryIndexes"]}


def test_items_survive_a_second_run(clients: Clients, provisioned: Provisioned) -> None:
    clients.dynamodb.put_item(TableName=provisioned.jobs_table, Item={"pk": {"S": "job#1"}, "sk": {"S": "job"}})
    provision(clients)
    kept = clients.dynamodb.get_item(TableName=provisioned.jobs_table, Key={"pk": {"S": "job#1"}, "sk": {"S": "job"}})
    assert kept["Item"]["pk"]["S"] == "job#1"


def test_the_incoming_bucket_keeps_versions_and_tells_the_arrivals_queue(
    clients: Clients, provisioned: Provisioned
) -> None:
    s3 = clients.s3
    assert s3.get_bucket_versioning(Bucket=INCOMING)["Status"] == "Enabled"
    (recorded,) = s3.get_bucket_notification_configuration(Bucket=INCOMING)["QueueConfigurations"]
    assert recorded["QueueArn"] == provisioned.queues["ArrivalsQueue"].arn
    assert recorded["Events"] == ["s3:ObjectCreated:*"]


def test_a_stored_object_is_announced_on_the_arrivals_queue(clients: Clients, provisioned: Provisioned) -> None:
    url = provisioned.queues["ArrivalsQueue"].url
    clients.sqs.purge_queue(QueueUrl=url)  # S3's own test event
    clients.s3.put_object(Bucket=INCOMING, Key="a/b/slide.svs", Body=b"slide")
    (message,) = clients.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)["Messages"]
    (record,) = json.loads(message["Body"])["Records"]
    assert (record["eventName"], record["s3"]["bucket"]["name"]) == ("ObjectCreated:Put", INCOMING)


def test_only_our_bucket_of_our_account_may_announce(clients: Clients, provisioned: Provisioned) -> None:
    policy = json.loads(attributes(clients, provisioned, "ArrivalsQueue")["Policy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{INCOMING}"},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    }


@pytest.mark.parametrize("bucket", [INCOMING, WORK])
def test_buckets_are_private_and_encrypted(clients: Clients, provisioned: Provisioned, bucket: str) -> None:
    block = clients.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    (rule,) = clients.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert bucket in provisioned.environment.values()


def test_bucket_settings_that_drifted_are_mended(clients: Clients, provisioned: Provisioned) -> None:
    s3 = clients.s3
    s3.put_bucket_versioning(Bucket=provisioned.incoming_bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_public_access_block(Bucket=INCOMING)
    s3.delete_bucket_lifecycle(Bucket=INCOMING)
    s3.put_bucket_notification_configuration(Bucket=INCOMING, NotificationConfiguration={})
    assert provision(clients).changes == (
        f"bucket {INCOMING}: versioning",
        f"bucket {INCOMING}: public access block",
        f"bucket {INCOMING}: lifecycle",
        f"bucket {INCOMING}: notification",
    )
    assert provision(clients).changes == ()


def test_old_plans_and_unfinished_uploads_are_forgotten(clients: Clients, provisioned: Provisioned) -> None:
    incoming = clients.s3.get_bucket_lifecycle_configuration(Bucket=provisioned.incoming_bucket)["Rules"]
    assert [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in incoming[:1]] == [7]
    (work,) = clients.s3.get_bucket_lifecycle_configuration(Bucket=provisioned.work_bucket)["Rules"]
    assert work["Expiration"]["Days"] == 14


def test_the_environment_names_what_was_made(clients: Clients) -> None:
    made = provision(clients, parameters={"MongoUri": "mongodb://db/", "AllowAnonymousLocalReads": "true"})
    assert made.environment == {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "33554432",
        "MALLOC_TRIM_THRESHOLD_": "67108864",
        "SLIDEHOOK_STAGE": "dev",
        "SLIDEHOOK_SOURCE_BUCKETS": INCOMING,
        "SLIDEHOOK_INCOMING_BUCKET": INCOMING,
        "SLIDEHOOK_WORK_BUCKET": WORK,
        "SLIDEHOOK_JOBS_TABLE": "slidehook-jobs",
        "SLIDEHOOK_JOBS_QUEUE": made.queues["JobsQueue"].url,
        "SLIDEHOOK_CHUNKS_QUEUE": made.queues["ChunksQueue"].url,
        "SLIDEHOOK_MONGO_URI": "mongodb://db/",
        "SLIDEHOOK_MONGO_OPEN_FILES": "0",
        "SLIDEHOOK_ADMIN_DB": "slideatlas",
        "SLIDEHOOK_TOKENS_SHA256": "",
        "SLIDEHOOK_TOKENS": "",
        "SLIDEHOOK_WEBHOOK_SECRETS": "",
        "SLIDEHOOK_SESSION_KEY": "",
        "SLIDEHOOK_CORS_ORIGINS": "",
        "SLIDEHOOK_ALLOW_ANONYMOUS_LOCAL_READS": "true",
        "SLIDEHOOK_CALLBACK_SECRETS": "",
        "SLIDEHOOK_CALLBACK_URLS": "",
        "SLIDEHOOK_CHUNK_BYTES": "33554432",
    }


def test_other_source_buckets_are_added_to_the_incoming_one(clients: Clients) -> None:
    made = provision(clients, parameters={"SourceBuckets": "archive,scanner"})
    assert made.environment["SLIDEHOOK_SOURCE_BUCKETS"] == f"{INCOMING},archive,scanner"


def test_two_prefixes_are_two_systems(clients: Clients, provisioned: Provisioned) -> None:
    other = provision(clients, prefix="other")
    assert other.jobs_table == "other-jobs"
    assert {queue.url for queue in other.queues.values()}.isdisjoint(q.url for q in provisioned.queues.values())


def test_a_bucket_of_someone_else_is_an_error_and_not_taken_for_absent(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(**_: Any) -> Any:
        answer: Any = {"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {"Code": "403"}}
        raise ClientError(answer, "HeadBucket")

    monkeypatch.setattr(clients.s3, "head_bucket", forbidden)
    with pytest.raises(ClientError, match="403"):
        provision(clients)


def test_real_aws_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert provisioning.main([]) == 2
    assert "AWS_ENDPOINT_URL is not set" in capsys.readouterr().err


def test_an_endpoint_where_nobody_answers_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert provisioning.main([]) == 1
    assert "http://127.0.0.1:1" in capsys.readouterr().err
