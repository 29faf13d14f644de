import json
from typing import Any

import pytest

from chalicelib.core.errors import InvalidObjectKeyError
from chalicelib.core.jobs.source import Source, destination_of_key, is_direct, parse_s3_url
from chalicelib.core.web.s3_notifications import arrivals

C, S = "51de0000a11ce00000c011ec", "51de0000a11ce0000005e551"


def test_parse_s3_url_returns_bucket_and_key() -> None:
    assert parse_s3_url("s3://a-bucket.name/folder/a slide+1.svs") == ("a-bucket.name", "folder/a slide+1.svs")


@pytest.mark.parametrize(
    "url", ["", "s3://", "s3://b", "s3://bucket/", "http://bucket/key", "s3://Bucket/key", "S3://bucket/key", "s3://b/k", "bucket/key",
            "s3://bucket/" + "ä" * 600],
)  # fmt: skip
def test_parse_s3_url_rejects_other_text(url: str) -> None:
    with pytest.raises(ValueError, match="must look like s3://bucket/key"):
        parse_s3_url(url)


def test_source_with_new_bytes_is_same_slide() -> None:
    old = Source(bucket="b", key="f/a.svs", etag='"1"', size_bytes=1)
    new = Source(bucket="b", key="f/a.svs", etag='"2"', size_bytes=2, version_id="v", last_modified_at=5.0)
    other = Source(bucket="c", key="f/a.svs", etag='"1"', size_bytes=1)
    assert old.slide == new.slide
    assert old.slide != other.slide
    assert (str(old), old.file_name) == ("s3://b/f/a.svs", "a.svs")


def test_key_folders_name_collection_and_session() -> None:
    assert destination_of_key(f"{C}/{S}/a.svs") == (C, S)
    assert destination_of_key(f"{C}/{S}/deeper/a.svs") == (C, S)


@pytest.mark.parametrize(
    "key", ["a.svs", f"{C}/a.svs", f"{C}/session/a.svs", f"x/{S}/a.svs", f"{C}/{S}", f"{C}/{S}/", f"{C[:-1]}/{S}/a"]
)
def test_key_without_session_is_refused(key: str) -> None:
    with pytest.raises(InvalidObjectKeyError, match="names no collection and session"):
        destination_of_key(key)


def test_direct_upload_is_recognised_by_its_folder() -> None:
    assert is_direct(f"direct/{C}/{S}/a.svs")
    assert not is_direct(f"{C}/{S}/direct/a.svs")


def notification(**fields: Any) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventName": "ObjectCreated:Put",
                "eventTime": "2026-01-02T03:04:05.000Z",
                "s3": {"bucket": {"name": "b"}, "object": {"key": "a+slide%2B1.svs", "size": 7, "eTag": "e", **fields}},
            }
        ]
    }


def test_notification_is_parsed_with_decoded_key() -> None:
    (found,) = arrivals(json.loads(json.dumps(notification(versionId="v", sequencer="00A"))))
    assert (found.bucket, found.key, found.etag, found.size_bytes) == ("b", "a slide+1.svs", '"e"', 7)
    assert (found.version_id, found.at) == ("v", 1767323045.0)


def test_notification_without_upload_is_ignored() -> None:
    assert arrivals({"Service": "Amazon S3", "Event": "s3:TestEvent"}) == ()
    removed = notification()
    removed["Records"][0]["eventName"] = "ObjectRemoved:Delete"
    assert arrivals(removed) == ()


@pytest.mark.parametrize("body", [{}, {"Records": None}, {"Records": [{}]}])
def test_invalid_notification_raises(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no S3 event notification"):
        arrivals(body)
