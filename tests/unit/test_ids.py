import random

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.ids import content_id, digest_sum, object_id, tile_id


def test_content_id_depends_on_content_and_kind_only() -> None:
    assert content_id("job", {"b": 1, "a": [2, None]}) == content_id("job", {"a": [2, None], "b": 1})
    assert content_id("job", {"a": 1}) != content_id("view", {"a": 1})
    assert content_id("job", {"a": "1"}) != content_id("job", {"a": 1})
    assert len(content_id("job", {})) == 32
    assert object_id("view", "a", "b") != object_id("view", "ab")
    assert len(object_id("view", "a")) == 24


def test_tile_id_depends_on_name_and_bytes() -> None:
    assert tile_id("t.jpg", b"x").hex() == "78e5df4b2843eac6c560b7c7"
    assert len({tile_id("t.jpg", b"x"), tile_id("t.jpg", b"y"), tile_id("tq.jpg", b"x"), tile_id("t.jp", b"gx")}) == 4


@given(st.lists(st.binary(min_size=12, max_size=12)), st.randoms(use_true_random=False))
def test_digest_sum_is_independent_of_order_and_chunks(ids: list[bytes], jitter: random.Random) -> None:
    shuffled = ids[:]
    jitter.shuffle(shuffled)
    assert digest_sum(shuffled) == digest_sum(ids)
    half = len(ids) // 2
    assert (digest_sum(ids[:half]) + digest_sum(ids[half:])) % (1 << 96) == digest_sum(ids)


def test_digest_sum_detects_missing_and_doubled_tiles() -> None:
    ids = [tile_id(name, b"x") for name in ("t.jpg", "tq.jpg", "tr.jpg")]
    assert len({digest_sum(ids), digest_sum(ids[1:]), digest_sum([*ids, ids[0]])}) == 3
