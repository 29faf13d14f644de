"""The door's book: what every implementation of ports.AccessRecords promises."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.dynamodb.access_records import AccessRecordTable
from chalicelib.adapters.memory import MemoryAccessRecords
from chalicelib.ports.access_records import AccessRecords, Receipt

AtOnce = Callable[[list[Callable[[], Any]]], list[Any]]
RECEIPT = Receipt(key="a", body="b", signed_at=1000, location="/jobs/1")


@pytest.fixture(params=["memory", "dynamodb"])
def book(request: pytest.FixtureRequest) -> AccessRecords:
    if request.param == "memory":
        return MemoryAccessRecords()
    return AccessRecordTable(request.getfixturevalue("dynamodb"), "jobs")


@pytest.mark.parametrize("location", ["/jobs/1", ""])
def test_a_receipt_comes_back_as_it_was_kept(book: AccessRecords, location: str) -> None:
    receipt = replace(RECEIPT, location=location)
    assert book.receipt("a") is None
    assert book.keep(receipt, now=1.0)
    assert book.receipt("a") == receipt
    assert book.receipt("b") is None


def test_the_same_attempt_is_kept_once_and_a_later_one_takes_its_place(book: AccessRecords) -> None:
    later = replace(RECEIPT, signed_at=1001)
    assert book.keep(RECEIPT, now=1.0)
    assert not book.keep(RECEIPT, now=2.0)
    assert book.keep(later, now=3.0)
    assert not book.keep(later, now=4.0)
    assert not book.keep(RECEIPT, now=5.0)
    assert book.receipt("a") == later


def test_another_body_is_not_kept_under_the_same_key(book: AccessRecords) -> None:
    assert book.keep(RECEIPT, now=1.0)
    assert not book.keep(replace(RECEIPT, body="c", signed_at=2000), now=2.0)
    assert book.receipt("a") == RECEIPT


def test_of_many_at_once_one_is_kept(book: AccessRecords, at_once: AtOnce) -> None:
    kept = at_once([lambda: book.keep(RECEIPT, now=1.0)] * 6)
    assert sorted(kept) == [False] * 5 + [True]


def test_tries_are_counted_by_minute_and_by_who(book: AccessRecords) -> None:
    assert [book.count_try("a", now=now) for now in (120.0, 150.0, 179.9)] == [1, 2, 3]
    assert book.count_try("b", now=150.0) == 1
    assert book.count_try("a", now=180.0) == 1


def test_no_try_of_many_at_once_is_lost(book: AccessRecords, at_once: AtOnce) -> None:
    assert sorted(at_once([lambda: book.count_try("a", now=1.0)] * 6)) == [1, 2, 3, 4, 5, 6]


def test_code_is_redeemed_once(book: AccessRecords) -> None:
    book.keep_code("a", "token-1", expires_at=100.0)
    book.keep_code("b", "token-2", expires_at=100.0)
    assert [book.redeem_code("a", now=99.5) for _ in range(2)] == ["token-1", None]
    assert book.redeem_code("b", now=99.5) == "token-2"


def test_code_is_not_redeemed_when_it_has_expired(book: AccessRecords) -> None:
    book.keep_code("a", "token-1", expires_at=100.5)
    assert book.redeem_code("a", now=100.5) is None
    assert book.redeem_code("a", now=100.25) == "token-1"


def test_unknown_code_is_not_redeemed(book: AccessRecords) -> None:
    book.keep_code("a", "token-1", expires_at=100.0)
    assert book.redeem_code("b", now=1.0) is None


def test_code_is_redeemed_by_one_of_many_at_once(book: AccessRecords, at_once: AtOnce) -> None:
    book.keep_code("a", "token-1", expires_at=100.0)
    redeemed = at_once([lambda: book.redeem_code("a", now=1.0)] * 6)
    assert sorted(redeemed, key=str) == [None] * 5 + ["token-1"]


def test_what_is_kept_in_the_table_expires(dynamodb: Any) -> None:
    book = AccessRecordTable(dynamodb, "jobs")
    book.keep(RECEIPT, now=1000.0)
    book.count_try("a", now=1000.0)
    book.keep_code("a", "token-1", expires_at=1900.5)
    items = dynamodb.scan(TableName="jobs")["Items"]
    assert sorted(int(item["expires_at"]["N"]) for item in items) == [1600, 1901, 1000 + 7 * 24 * 3600]


def test_code_whose_redemption_is_sent_twice_is_redeemed(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    book, update = AccessRecordTable(dynamodb, "jobs"), dynamodb.update_item
    book.keep_code("a", "token-1", expires_at=100.0)

    def sent_twice(**request: Any) -> Any:
        update(**request)
        return update(**request)

    monkeypatch.setattr(dynamodb, "update_item", sent_twice)
    assert book.redeem_code("a", now=1.0) == "token-1"
    assert book.redeem_code("a", now=1.0) is None


def test_a_receipt_whose_answer_was_lost_is_known_to_be_ones_own(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, put = AccessRecordTable(dynamodb, "jobs"), dynamodb.put_item

    def sent_twice(**request: Any) -> Any:
        put(**request)
        return put(**request)

    monkeypatch.setattr(dynamodb, "put_item", sent_twice)
    assert book.keep(RECEIPT, now=1.0)
