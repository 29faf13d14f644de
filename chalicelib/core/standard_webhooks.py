"""Signatures of webhooks by Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chalicelib.core.errors import SignatureError

SECRET_PREFIX = "whsec_"  # noqa: S105 - how one begins
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
TOLERANCE_SECONDS = 300
VERSION = "v1,"
MAX_SIGNATURES = 32
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
# No full stop: it parts id, timestamp and body where they are signed.
ID = re.compile(r"[!-\-/-~]{1,256}")
TIMESTAMP = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What came with a signature: the sender's id of the delivery, and when (epoch seconds) this attempt was signed."""

    id: str
    signed_at: int
    signatures: str


def secret_bytes(text: str) -> bytes:
    """Return the secret that `whsec_<base64>` stands for. Raises ValueError with a sentence that does not repeat it."""
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(f"must begin with {SECRET_PREFIX}")
    try:
        found = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"must be base64 after {SECRET_PREFIX}") from None
    if not MIN_SECRET_BYTES <= len(found) <= MAX_SECRET_BYTES:
        raise ValueError(f"must hold {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")
    return found


def sign(secret: bytes, id: str, timestamp: int, body: bytes) -> str:  # noqa: A002 - the standard's word
    """Return the signature `v1,<base64>` of one attempt to deliver."""
    digest = hmac.digest(secret, f"{id}.{timestamp}.".encode() + body, "sha256")
    return VERSION + base64.b64encode(digest).decode("ascii")


def signatures_match(given: str, expected: str) -> bool:
    """Tell whether a list of signatures, parted by spaces, holds the expected one. Each is compared in constant time;
    those of versions that are not known here do not count."""
    listed = [each.encode(errors="surrogatepass") for each in given.split(" ")[:MAX_SIGNATURES]]
    matching = [each for each in listed if hmac.compare_digest(each, expected.encode())]
    return bool(matching)


def signed_in(headers: Mapping[str, str], *, now: float) -> Signed:
    """Return what the headers say of a delivery. Raises SignatureError where they say nothing that can be checked, or
    where the attempt was signed too long ago or too far ahead."""
    found, stamp, signatures = (str(headers.get(name, "")).strip() for name in HEADERS)
    if not ID.fullmatch(found):
        raise SignatureError("webhook-id must be 1 to 256 printable characters without spaces and full stops")
    if not TIMESTAMP.fullmatch(stamp):
        raise SignatureError("webhook-timestamp must be whole seconds since 1970")
    if not signatures:
        raise SignatureError("webhook-signature is missing")
    if abs(now - int(stamp)) > TOLERANCE_SECONDS:
        when = "ago" if int(stamp) < now else "ahead"
        raise SignatureError(
            f"webhook-timestamp is more than {TOLERANCE_SECONDS} seconds {when}",
            hint="Set the clock, and sign the request again.",
        )
    return Signed(id=found, signed_at=int(stamp), signatures=signatures)


def signer(signed: Signed, body: bytes, secrets: Iterable[bytes]) -> int | None:
    """Return which of the secrets signed this body; None if none did. All are tried."""
    matching = [
        number
        for number, secret in enumerate(secrets)
        if signatures_match(signed.signatures, sign(secret, signed.id, signed.signed_at, body))
    ]
    return matching[0] if matching else None
