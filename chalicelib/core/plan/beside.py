"""What is published beside a slide's tiles: its colour profile, and the associated images if they were asked for."""

import base64
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """`pictures` are (name, JPEG)."""

    icc_profile: bytes = b""
    pictures: tuple[tuple[str, bytes], ...] = ()


def dump_beside(beside: Beside) -> bytes:
    """Return it as bytes, to be kept until the slide is published."""
    pictures = {name: base64.b64encode(jpeg).decode() for name, jpeg in beside.pictures}
    return json.dumps({"icc": base64.b64encode(beside.icc_profile).decode(), "pictures": pictures}).encode()


def load_beside(data: bytes) -> Beside:
    """Return what `dump_beside` wrote."""
    fields = json.loads(data)
    pictures = tuple((name, base64.b64decode(jpeg)) for name, jpeg in fields["pictures"].items())
    return Beside(icc_profile=base64.b64decode(fields["icc"]), pictures=pictures)
