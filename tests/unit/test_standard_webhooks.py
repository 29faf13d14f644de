"""Standard Webhooks: signatures, and headers that are refused before signatures are compared."""

import pytest

from chalicelib.core.errors import SignatureError
from chalicelib.core.standard_webhooks import secret_bytes, sign, signatures_match, signed_in, signer

# The example of the libraries of the standard.
SECRET = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}


def test_sign_reproduces_the_standard_example() -> None:
    assert sign(SECRET, ID, AT, BODY) == SIGNATURE


@pytest.mark.parametrize("given", [SIGNATURE, f"v1a,xyz {SIGNATURE}", f"{SIGNATURE} v1,other", f" {SIGNATURE} "])
def test_one_matching_signature_of_list_is_enough(given: str) -> None:
    assert signatures_match(given, SIGNATURE)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "v1,",
        SIGNATURE[:-1],
        SIGNATURE[3:],
        SIGNATURE.replace("v1", "v2"),
        SIGNATURE + "=",
        "v1,\ud800",
        "x " * 40 + SIGNATURE,
    ],
)
def test_other_signatures_do_not_match(given: str) -> None:
    assert not signatures_match(given, SIGNATURE)


def test_signer_returns_index_of_matching_secret() -> None:
    signed = signed_in(HEADERS, now=AT)
    assert (signed.id, signed.signed_at) == (ID, AT)
    assert signer(signed, BODY, [b"old", SECRET]) == 1
    assert signer(signed, BODY, [SECRET, SECRET]) == 0
    assert signer(signed, BODY + b" ", [b"old", SECRET]) is None
    assert signer(signed, BODY, []) is None


@pytest.mark.parametrize("drift", [-300, 0, 300])
def test_clock_drift_of_five_minutes_is_accepted(drift: int) -> None:
    assert signed_in(HEADERS, now=AT + drift).signed_at == AT


@pytest.mark.parametrize(("drift", "when"), [(301, "ago"), (-301, "ahead"), (360, "ago"), (-360, "ahead")])
def test_signature_of_another_time_is_refused(drift: int, when: str) -> None:
    with pytest.raises(SignatureError, match=f"more than 300 seconds {when}"):
        signed_in(HEADERS, now=AT + drift)


@pytest.mark.parametrize("name", HEADERS)
def test_missing_header_is_named(name: str) -> None:
    with pytest.raises(SignatureError, match=name):
        signed_in({**HEADERS, name: ""}, now=AT)


@pytest.mark.parametrize("found", ["a.b", "a b", "a\tb", "a\nb", "é", "x" * 257])
def test_malformed_webhook_id_is_refused(found: str) -> None:
    with pytest.raises(SignatureError, match="webhook-id"):
        signed_in({**HEADERS, "webhook-id": found}, now=AT)


@pytest.mark.parametrize("stamp", ["1614265330.5", "-1", "1e9", "٣", "0x10", "1" * 13, "now"])
def test_malformed_timestamp_is_refused(stamp: str) -> None:
    with pytest.raises(SignatureError, match="webhook-timestamp"):
        signed_in({**HEADERS, "webhook-timestamp": stamp}, now=AT)


@pytest.mark.parametrize(
    "text", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_????", "whsec_" + "A" * 96, "whsec_é"]
)
def test_secret_requires_prefix_and_24_to_64_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        secret_bytes(text)
