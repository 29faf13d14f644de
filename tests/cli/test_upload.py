"""Uploads to S3: in parts, resumed, repeated, and never of two files at once."""

import hashlib
import os
from itertools import pairwise

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from chalicelib.cli.failures import SilentError, SlideFailure
from chalicelib.cli.upload import MAX_PARTS, MIN_PART_BYTES, Bucket, file_digest, incoming_bucket, parts_of, upload
from tests.cli.service import SESSION

MIB = 1024 * 1024
KEY = "direct/c/s/large.svs"


class Watched:
    """A bucket whose parts are counted as they are sent; after `allowed` of them the line is cut."""

    def __init__(self, s3_endpoint: str, name: str, allowed: int = 1000) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=s3_endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, request_checksum_calculation="when_required"),
        )
        self.allowed = allowed
        self.sent: list[int] = []
        self.begun = 0
        client.meta.events.register("before-parameter-build.s3.UploadPart", self._part)
        client.meta.events.register("before-parameter-build.s3.CreateMultipartUpload", self._begin)
        self.bucket = Bucket(name, client)

    def _part(self, params, **_):
        if len(self.sent) >= self.allowed:
            raise EndpointConnectionError(endpoint_url="the line was cut")
        self.sent.append(params["PartNumber"])

    def _begin(self, **_):
        self.begun += 1


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.svs"
    path.write_bytes(os.urandom(MIB) * 40)
    return path


def send(path, bucket, key=KEY):
    """Upload; return (is it new, bytes read, bytes sent)."""
    read: list[int] = []
    sent: list[int] = []
    is_new = upload(path, bucket, key, reading=read.append, sending=sent.append)
    return is_new, sum(read), sum(sent)


def test_a_large_file_goes_in_parts_and_is_whole(large, s3, s3_endpoint, bucket):
    watched = Watched(s3_endpoint, bucket)

    assert send(large, watched.bucket) == (True, 40 * MIB, 40 * MIB)

    found = s3.get_object(Bucket=bucket, Key=KEY)
    assert hashlib.sha256(found["Body"].read()).hexdigest() == file_digest(large) == found["Metadata"]["sha256"]
    assert sorted(watched.sent) == [1, 2, 3, 4, 5]


def test_an_interrupted_upload_is_resumed_with_the_missing_parts_only(large, s3, s3_endpoint, bucket):
    interrupted = Watched(s3_endpoint, bucket, allowed=2)
    with pytest.raises(SilentError, match=f"S3 does not respond for s3://{bucket}/{KEY}.*the line was cut"):
        send(large, interrupted.bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)

    again = Watched(s3_endpoint, bucket)
    assert send(large, again.bucket) == (True, 40 * MIB, 40 * MIB)

    assert again.begun == 0
    assert sorted(interrupted.sent + again.sent) == [1, 2, 3, 4, 5]
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == large.read_bytes()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_the_parts_of_another_file_are_not_taken_for_ours(large, s3, s3_endpoint, bucket):
    with pytest.raises(SilentError):
        send(large, Watched(s3_endpoint, bucket, allowed=2).bucket)
    with large.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0" if large.read_bytes()[-1] else b"\1")

    again = Watched(s3_endpoint, bucket)
    send(large, again.bucket)

    found = s3.get_object(Bucket=bucket, Key=KEY)
    assert again.begun == 1
    assert found["Body"].read() == large.read_bytes()
    assert found["Metadata"]["sha256"] == file_digest(large)


def test_a_part_that_arrived_damaged_is_sent_again(large, s3, s3_endpoint, bucket):
    parts = parts_of(40 * MIB, file_digest(large))
    begun = s3.create_multipart_upload(Bucket=bucket, Key=KEY, Metadata={"sha256": file_digest(large)})
    with large.open("rb") as file:
        bodies = [file.read(part.size_bytes) for part in parts]
    bodies[1] = bytes(len(bodies[1]))
    for number in (1, 2):
        s3.upload_part(Bucket=bucket, Key=KEY, UploadId=begun["UploadId"], PartNumber=number, Body=bodies[number - 1])

    again = Watched(s3_endpoint, bucket)
    send(large, again.bucket)

    assert sorted(again.sent) == [2, 3, 4, 5]
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == large.read_bytes()


def test_the_upload_of_a_key_that_begins_alike_is_another(large, s3, s3_endpoint, bucket):
    with pytest.raises(SilentError):
        send(large, Watched(s3_endpoint, bucket, allowed=2).bucket, KEY + "x")

    again = Watched(s3_endpoint, bucket)
    send(large, again.bucket)

    assert (again.begun, sorted(again.sent)) == (1, [1, 2, 3, 4, 5])


@pytest.mark.parametrize("size_bytes", [10, 20 * MIB])
def test_bytes_that_are_there_are_not_sent_again(tmp_path, s3, s3_endpoint, bucket, size_bytes):
    path = tmp_path / "slide.svs"
    path.write_bytes(bytes(size_bytes))
    watched = Watched(s3_endpoint, bucket)
    send(path, watched.bucket)
    first = s3.head_object(Bucket=bucket, Key=KEY)
    watched.sent.clear()

    assert send(path, watched.bucket) == (False, size_bytes, size_bytes)

    assert watched.sent == []
    assert s3.head_object(Bucket=bucket, Key=KEY)["LastModified"] == first["LastModified"]


def test_other_bytes_of_the_same_size_replace_the_object(tmp_path, s3, s3_endpoint, bucket):
    path = tmp_path / "slide.svs"
    watched = Watched(s3_endpoint, bucket)
    for data in (b"first", b"other"):
        path.write_bytes(data)
        assert send(path, watched.bucket) == (True, 5, 5)

    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"other"


@pytest.mark.parametrize("size_bytes", [10, 20 * MIB])
def test_a_file_that_changes_while_it_is_uploaded_is_told_and_not_published(
    tmp_path, s3, s3_endpoint, bucket, size_bytes
):
    path = tmp_path / "slide.svs"
    path.write_bytes(bytes(size_bytes))

    def written_to(_: int) -> None:
        path.write_bytes(b"\1" * size_bytes)
        os.utime(path, ns=(1, 1))

    with pytest.raises(SlideFailure, match=r"slide.svs changed while it was uploaded"):
        upload(path, Watched(s3_endpoint, bucket).bucket, KEY, reading=written_to, sending=lambda _: None)

    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_file_that_shrinks_while_it_is_uploaded_is_told(tmp_path, s3_endpoint, bucket):
    path = tmp_path / "slide.svs"
    path.write_bytes(bytes(20 * MIB))
    watched = Watched(s3_endpoint, bucket)
    watched.bucket.client.meta.events.register(
        "before-parameter-build.s3.CreateMultipartUpload", lambda **_: os.truncate(path, 5)
    )

    with pytest.raises(SlideFailure, match="changed while it was uploaded"):
        send(path, watched.bucket)


def test_a_refusal_of_s3_is_told(tmp_path, s3_endpoint):
    path = tmp_path / "slide.svs"
    path.write_bytes(b"data")

    with pytest.raises(SlideFailure, match="S3 refused s3://no-such-bucket/direct"):
        send(path, Watched(s3_endpoint, "no-such-bucket").bucket)


def test_an_empty_file_is_refused(tmp_path, s3_endpoint, bucket):
    (tmp_path / "empty.svs").touch()

    with pytest.raises(SlideFailure, match=r"empty.svs is empty"):
        send(tmp_path / "empty.svs", Watched(s3_endpoint, bucket).bucket)


@pytest.mark.parametrize("size_bytes", [1, 8 * MIB + 1, 300 * MIB, 80_000 * MIB, 5_000_000 * MIB])
def test_the_parts_cover_the_file_and_are_never_too_many(size_bytes):
    parts = parts_of(size_bytes, "0123456789abcdef" * 4)

    assert parts == parts_of(size_bytes, "0123456789abcdef" * 4)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= MAX_PARTS
    assert all(before.start + before.size_bytes == after.start for before, after in pairwise(parts))
    assert sum(part.size_bytes for part in parts) == size_bytes
    assert all(part.size_bytes >= MIN_PART_BYTES for part in parts[:-1])


def test_real_aws_is_not_tried_with_the_keys_of_an_emulator(service):
    emulated = incoming_bucket({"incoming_bucket": "b", "region": "us-east-1", "aws_endpoint": "http://127.0.0.1:1"})
    assert emulated.client._request_signer._credentials.access_key == "test"

    elsewhere = {"incoming_bucket": "b", "region": "us-east-1", "aws_endpoint": "http://127.0.0.1.example:1"}
    other = incoming_bucket(elsewhere)
    assert other.client._request_signer._credentials is None


def test_the_users_own_keys_come_first(service, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    made = incoming_bucket({"incoming_bucket": "b", "region": "us-east-1", "aws_endpoint": "http://127.0.0.1:1"})

    assert made.client._request_signer._credentials.access_key == "mine"


def test_a_bucket_that_cannot_be_reached_ends_the_run(run, slide, service):
    service.aws_endpoint = "http://127.0.0.1:9"

    ended = run("-i", slide(), "-s", SESSION)

    assert ended.code == 3
    assert "S3 does not respond for s3://" in ended.err
