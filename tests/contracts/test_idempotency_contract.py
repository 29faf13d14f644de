"""The contract of ports.IdempotencyStore, for every implementation."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.adapters.dynamodb.idempotency import IdempotencyTable
from chalicelib.adapters.memory import MemoryIdempotencyStore
from chalicelib.ports.idempotency import (
    KEEP_RESPONSE_SECONDS,
    RESERVATION_SECONDS,
    IdempotencyRecord,
    IdempotencyStore,
    StoredResponse,
)

NOW = 1_700_000_000.5
TOLD = StoredResponse(status=202, body='{"id": "ü"}', headers=(("Location", "/jobs/1"), ("Retry-After", "1")))


@pytest.fixture(params=["memory", "dynamodb"])
def answers(request: pytest.FixtureRequest) -> IdempotencyStore:
    if request.param == "memory":
        return MemoryIdempotencyStore()
    return IdempotencyTable(request.getfixturevalue("dynamodb"), "jobs")


def test_the_first_call_of_a_key_is_to_be_answered_and_others_see_it_at_work(answers: IdempotencyStore) -> None:
    assert answers.begin("key", "call", now=NOW) is None
    assert answers.begin("key", "call", now=NOW) == IdempotencyRecord(request="call")
    assert answers.begin("key", "another call", now=NOW) == IdempotencyRecord(request="call")
    assert answers.begin("another key", "call", now=NOW) is None


def test_an_answer_is_given_again_for_a_day(answers: IdempotencyStore) -> None:
    answers.begin("key", "call", now=NOW)
    answers.keep("key", "call", TOLD, now=NOW + 1)
    kept = IdempotencyRecord(request="call", response=TOLD)
    assert answers.begin("key", "call", now=NOW + KEEP_RESPONSE_SECONDS) == kept
    assert answers.begin("key", "another call", now=NOW + RESERVATION_SECONDS + 1) == kept
    assert answers.begin("key", "another call", now=NOW + KEEP_RESPONSE_SECONDS + 1) is None
    assert answers.begin("key", "call", now=NOW + KEEP_RESPONSE_SECONDS + 1) == IdempotencyRecord(
        request="another call"
    )


def test_the_first_answer_stays(answers: IdempotencyStore) -> None:
    answers.begin("key", "call", now=NOW)
    answers.keep("key", "call", TOLD, now=NOW)
    answers.keep("key", "call", StoredResponse(status=200, body="{}"), now=NOW)
    assert answers.begin("key", "call", now=NOW) == IdempotencyRecord(request="call", response=TOLD)


def test_a_call_that_has_not_reserved_the_key_keeps_nothing_under_it(answers: IdempotencyStore) -> None:
    answers.keep("key", "call", TOLD, now=NOW)
    assert answers.begin("key", "call", now=NOW) is None
    answers.keep("key", "another call", TOLD, now=NOW)
    assert answers.begin("key", "call", now=NOW) == IdempotencyRecord(request="call")


def test_a_call_that_never_ended_is_begun_anew_after_a_while(answers: IdempotencyStore) -> None:
    answers.begin("key", "call", now=NOW)
    assert answers.begin("key", "call", now=NOW + RESERVATION_SECONDS - 1) == IdempotencyRecord(request="call")
    assert answers.begin("key", "call", now=NOW + RESERVATION_SECONDS) is None
    assert answers.begin("key", "call", now=NOW + RESERVATION_SECONDS) == IdempotencyRecord(request="call")


def test_a_reservation_is_given_up_an_answer_is_not(answers: IdempotencyStore) -> None:
    answers.begin("key", "call", now=NOW)
    answers.forget("key", "another call")
    assert answers.begin("key", "call", now=NOW) == IdempotencyRecord(request="call")
    answers.forget("key", "call")
    assert answers.begin("key", "another call", now=NOW) is None
    answers.keep("key", "another call", TOLD, now=NOW)
    answers.forget("key", "another call")
    answers.forget("nothing", "call")
    assert answers.begin("key", "call", now=NOW) == IdempotencyRecord(request="another call", response=TOLD)


def test_of_many_who_begin_at_once_one_does(
    answers: IdempotencyStore, at_once: Callable[[list[Any]], list[Any]]
) -> None:
    begun = at_once([lambda: answers.begin("key", "call", now=NOW) for _ in range(12)])
    assert begun.count(None) == 1


def test_a_reservation_whose_answer_was_lost_is_ones_own(dynamodb: Any) -> None:
    lost: list[str] = []

    def lose(operation: Any, attempts: int, **_: Any) -> float | None:
        lost.append(operation.name)
        return None if attempts > 1 else 0.0

    dynamodb.meta.events.register("needs-retry.dynamodb.PutItem", lose)
    assert IdempotencyTable(dynamodb, "jobs").begin("key", "call", now=NOW) is None
    assert len(lost) == 2


def test_answers_are_dropped_by_the_table_itself(dynamodb: Any) -> None:
    answers = IdempotencyTable(dynamodb, "jobs")
    answers.begin("key", "call", now=NOW)
    answers.keep("key", "call", TOLD, now=NOW)
    (item,) = dynamodb.scan(TableName="jobs")["Items"]
    assert item["expires_at"] == {"N": str(int(NOW + KEEP_RESPONSE_SECONDS))}
