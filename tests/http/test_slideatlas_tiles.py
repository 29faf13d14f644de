"""Tiles under the addresses of SlideAtlas."""

import io

import pytest
from PIL import Image

from tests.http.client import Call
from tests.http.uploads import NOWHERE, upload_and_finish
from tests.world import STORE, World


def test_tile_is_served_under_every_slideatlas_address(world: World, call: Call) -> None:
    shown = upload_and_finish(world, call)["result"]
    image = shown["image"]
    answer = call("GET", f"/tile?img={image}&db={STORE}&name=tqq.jpg")
    assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        200, "image/jpeg", "public, no-cache",
    )  # fmt: skip
    assert Image.open(io.BytesIO(answer.body)).size == (64, 64)
    assert call("GET", f"/tile/{STORE}/{image}/tqq.jpg").body == answer.body
    assert call("GET", f"/thumb?img={image}&db={STORE}").body == world.memory_archive.tile(STORE, image, "t.jpg")
    assert call("GET", f"/tile/{STORE}/{image}/tqq.jpg", Accept="image/*").body == answer.body
    cached = call("GET", f"/tile/{STORE}/{image}/tqq.jpg", If_None_Match=answer.headers["ETag"])
    assert (cached.status_code, cached.body) == (304, b"")


@pytest.mark.parametrize(
    "query",
    ["", f"img={NOWHERE}&db={STORE}&name=t.jpg", f"img={NOWHERE}&db={NOWHERE}&name=t.jpg", "img=admin&db=x&name=t.jpg"],
)
def test_missing_tile_is_404_in_viewer_format(call: Call, query: str) -> None:
    answer = call("GET", f"/tile?{query}")
    assert answer.status_code == 404
    assert "error" in answer.json_body
