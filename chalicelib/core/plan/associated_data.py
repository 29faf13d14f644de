"""The ICC profile and the associated images of a slide, which are published with its tiles."""

import base64
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociatedData:
    """`pictures` are (name, JPEG) of the associated images; empty unless the job publishes them."""

    icc_profile: bytes = b""
    pictures: tuple[tuple[str, bytes], ...] = ()


def dump_associated_data(associated_data: AssociatedData) -> bytes:
    """Return the object that is stored in the work bucket until the slide is published."""
    pictures = {name: base64.b64encode(jpeg).decode() for name, jpeg in associated_data.pictures}
    return json.dumps({"icc": base64.b64encode(associated_data.icc_profile).decode(), "pictures": pictures}).encode()


def load_associated_data(data: bytes) -> AssociatedData:
    """Return the value that `dump_associated_data` wrote."""
    fields = json.loads(data)
    pictures = tuple((name, base64.b64decode(jpeg)) for name, jpeg in fields["pictures"].items())
    return AssociatedData(icc_profile=base64.b64decode(fields["icc"]), pictures=pictures)
