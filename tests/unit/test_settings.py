"""Settings from environment variables."""

import json
import os
from typing import Any

import pytest

from chalicelib.config import MissingSettingError, WrongSettingError, find_service, read_settings


def test_settings_are_read_and_missing_one_is_named() -> None:
    needed = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI")
    values = {f"SLIDEHOOK_{name}": name.lower() for name in needed}
    found = read_settings(
        values | {"SLIDEHOOK_SOURCE_BUCKETS": "a, b,", "SLIDEHOOK_ALLOW_ANONYMOUS_LOCAL_READS": "TRUE"}
    )
    assert (found.source_buckets, found.allow_anonymous_local_reads, found.token_hashes) == (
        frozenset({"a", "b"}),
        True,
        frozenset(),
    )
    assert (found.chunk_bytes, found.admin_db, found.region, found.aws_endpoint) == (
        33554432,
        "slideatlas",
        "us-east-1",
        None,
    )
    assert not read_settings(values).allow_anonymous_local_reads
    assert read_settings(values).mongo_open_files == 0
    assert read_settings(values | {"SLIDEHOOK_MONGO_OPEN_FILES": " 64000 "}).mongo_open_files == 64000
    for wrong in ("-1", "1e3", "many", "1.5", "\N{ARABIC-INDIC DIGIT ONE}"):
        with pytest.raises(WrongSettingError, match=r"SLIDEHOOK_MONGO_OPEN_FILES: .* integer.*docs/mongodb.md"):
            read_settings(values | {"SLIDEHOOK_MONGO_OPEN_FILES": wrong})
    with pytest.raises(MissingSettingError, match="SLIDEHOOK_MONGO_URI is not set"):
        read_settings(values | {"SLIDEHOOK_MONGO_URI": ""})


def test_public_url_can_be_configured() -> None:
    needed = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI")
    values = {f"SLIDEHOOK_{name}": "set" for name in needed}
    assert read_settings(values).public_url == ""
    assert read_settings(values | {"SLIDEHOOK_PUBLIC_URL": "https://here/"}).public_url == "https://here"


def test_callback_settings_are_read_and_errors_hide_values() -> None:
    needed = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI")
    values = {f"SLIDEHOOK_{name}": name.lower() for name in needed}
    off = read_settings(values)
    assert (off.callback_secrets, off.callback_urls, off.callback_loopback) == ((), {}, False)
    secret = "whsec_" + "c2VjcmV0" * 4
    urls = {"upload": "https://hooks.example.org/key/hush?token=hush", "verify": "http://127.0.0.1:9000/"}
    chosen = {
        "SLIDEHOOK_CALLBACK_SECRETS": f"{secret},{secret}",
        "SLIDEHOOK_CALLBACK_URLS": json.dumps(urls),
        "SLIDEHOOK_CALLBACK_LOOPBACK": "true",
    }
    found = read_settings(values | chosen)
    assert (found.callback_secrets, found.callback_urls) == ((b"secretsecretsecretsecret",) * 2, urls)
    assert "secretsecret" not in repr(found)
    for name, wrong, why in (
        ("SECRETS", "whsec_c2VjcmV0", "24 to 64 bytes"),
        ("URLS", "c2VjcmV0", "must be a JSON object"),
        ("URLS", '["c2VjcmV0"]', "must be a JSON object"),
        ("URLS", '{"upload": 5}', "must be a JSON object"),
        ("URLS", '{"upload": "https://c2VjcmV0@example.org"}', "the URL of 'upload' must not hold a user"),
        ("URLS", '{"upload": "http://127.0.0.1/"}', "the URL of 'upload' must begin with https://"),
    ):
        with pytest.raises(WrongSettingError, match=why) as refused:
            read_settings(values | {f"SLIDEHOOK_CALLBACK_{name}": wrong})
        assert "c2VjcmV0" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "worker"),
    [
        ({"AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/02/[$LATEST]0a", "SLIDEHOOK_WORKER": "x"}, "2026/01/02/[$LATEST]0a"),
        ({"SLIDEHOOK_WORKER": "worker-2"}, "worker-2"),
        ({}, f"process-{os.getpid()}"),
    ],
    ids=["Lambda", "local", "neither"],
)
def test_worker_is_named_by_log_stream_or_process(environment: dict[str, str], worker: str) -> None:
    needed = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI")
    settings = read_settings({f"SLIDEHOOK_{name}": "x" for name in needed} | environment)
    assert settings.worker == worker


def test_local_token_is_sent_to_local_service_only(tmp_path: Any) -> None:
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text('{"api": "http://127.0.0.1:8000", "token": "local"}')
    assert find_service(None, None, [tmp_path], {}) == ("http://127.0.0.1:8000", "local")
    assert find_service("https://elsewhere", None, [tmp_path], {}) == ("https://elsewhere", "")
    assert find_service(None, "mine", [tmp_path], {}) == ("http://127.0.0.1:8000", "mine")
    environment = {"SLIDEHOOK_API": "https://there", "SLIDEHOOK_TOKEN": "theirs"}
    assert find_service(None, None, [tmp_path], environment) == ("https://there", "theirs")
    assert find_service(None, None, [tmp_path / "nowhere"], {}) == ("", "")
