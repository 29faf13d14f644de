from collections import Counter

from chalicelib.core import errors
from chalicelib.core.errors import FieldProblem, InvalidRequestError, SlidehookError, TransientError


def every_error(root: type[SlidehookError] = SlidehookError) -> list[type[SlidehookError]]:
    return [root, *(each for child in root.__subclasses__() for each in every_error(child))]


def test_every_error_has_unique_code_and_hint() -> None:
    found = [each for each in every_error() if each.__module__ == errors.__name__]
    assert [code for code, count in Counter(each.code for each in found).items() if count > 1] == []
    assert all(each.hint.endswith(".") for each in found)


def test_only_transient_errors_are_retried() -> None:
    for each in every_error():
        assert each.permanent is not issubclass(each, TransientError)


def test_invalid_request_error_lists_every_problem() -> None:
    problems = [FieldProblem("/collection", "must be an id"), FieldProblem("/session", "is missing")]
    error = InvalidRequestError("two fields are wrong", problems)
    assert (str(error), error.problems) == ("two fields are wrong", tuple(problems))
    assert error.advice == "Correct the fields listed and send the request again."
    assert InvalidRequestError("no JSON", hint="Send JSON.").advice == "Send JSON."
