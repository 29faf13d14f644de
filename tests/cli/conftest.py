"""The command line, run as its users run it, between a small service and a real S3 interface."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import tifffile
from moto.server import ThreadedMotoServer

from chalicelib.cli.command import main
from tests.cli.service import COLLECTION, SESSION, TOKEN, Running, Service

SlideMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3(s3_endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """A bucket of this test's own."""
    name = f"incoming-{abs(hash(request.node.nodeid)):x}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def objects(s3: Any, bucket: str) -> Callable[[], dict[str, int]]:
    """Return key and size of every object in the bucket."""
    return lambda: {each["Key"]: each["Size"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


@pytest.fixture
def service(bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """A service; nothing of the user's own environment reaches the command."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
    described = Service(bucket=bucket, aws_endpoint=s3_endpoint)
    with Running(described):
        monkeypatch.setenv("SLIDEHOOK_API", described.url)
        monkeypatch.setenv("SLIDEHOOK_TOKEN", TOKEN)
        yield described


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command in the collection of the tests; return its exit code and what it printed."""

    def command(*arguments: object, collection: str = COLLECTION) -> Outcome:
        try:
            code = main([*map(str, arguments), "-c", collection])
        except SystemExit as ended:
            code = int(str(ended.code))
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return command


@pytest.fixture
def run_slide(run: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Run the command for a slide that is in S3 already, in the session of the tests."""
    return lambda *arguments: run("-i", "s3://slides/slide.svs", "-s", SESSION, *arguments)


@pytest.fixture
def slide(tmp_path: Path) -> SlideMaker:
    """Make a slide of JPEG tiles, 500 x 300 px in tiles of 256."""

    def make(name: str = "slide.svs", *, tiled: bool = True, shade: int = 120, folder: Path = tmp_path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((300, 500, 3), shade, dtype=np.uint8)
        how: dict[str, Any] = {"tile": (256, 256), "compression": "jpeg"} if tiled else {"rowsperstrip": 64}
        tifffile.imwrite(path, pixels, photometric="rgb", metadata=None, **how)
        return path

    return make
