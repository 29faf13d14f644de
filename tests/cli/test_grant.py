"""Making tokens and secrets: what is printed is taken by the settings, and is as good as it says."""

import json

import pytest

from chalicelib.cli.grant import main
from chalicelib.core.web.auth import Scope, bearer_of, secrets_of, tokens_of

COLLECTION = "0000000000000000000c0001"


def made(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return what was made, and its entry."""
    assert main(arguments) == 0
    first, _, entry = capsys.readouterr().out.strip().split("\n")
    return first.split()[1], entry


def test_a_token_is_known_by_its_entry_which_does_not_hold_it(capsys: pytest.CaptureFixture[str]) -> None:
    token, entry = made(["lab", "--scope", "read", "--scope", "submit", "--collection", COLLECTION], capsys)
    known = tokens_of(f"[{entry}]")
    assert bearer_of(token, known) == known[0]
    assert known[0].caller.scopes == {Scope.READ, Scope.SUBMIT}
    assert known[0].caller.collections == {COLLECTION}
    assert token not in entry
    assert len(token) >= 43


def test_without_a_scope_a_token_reads_and_a_webhook_submits(capsys: pytest.CaptureFixture[str]) -> None:
    _, token = made(["lab"], capsys)
    assert json.loads(token)["scopes"] == ["read"]
    secret, webhook = made(["scanner", "--webhook", "--source", "s3://archive/lung/"], capsys)
    (known,) = secrets_of(f"[{webhook}]")
    assert (known.caller.scopes, len(known.secret)) == ({Scope.SUBMIT}, 32)
    assert secret.startswith("whsec_")


def test_two_are_never_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert made(["lab"], capsys)[0] != made(["lab"], capsys)[0]


@pytest.mark.parametrize(
    "wrong", [["lab", "--collection", "lung"], ["", "--scope", "read"], ["lab", "--source", "lung"]]
)
def test_an_entry_that_the_service_would_not_take_is_not_made(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
