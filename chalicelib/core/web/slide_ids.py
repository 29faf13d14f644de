"""How a slide is addressed on the web.

    <view>                          what that view shows now: the stable address of a slide
    <store>-<image>                 an image with its current contents
    <store>-<image>-<generation>    exactly this generation of it: what it answers never changes

A view is switched to another image when its slide is republished, and a named image is replaced in place. A request for
the stable address returns the exact one, which tile requests use: tiles of two generations are
never mixed in one viewer, and a cache need not ask again.
"""

import re
from dataclasses import dataclass

from chalicelib.core.ids import content_id, object_id

ADDRESS = re.compile(r"(?P<view>[0-9a-f]{24})|(?P<store>[0-9a-f]{24})-(?P<image>[0-9a-f]{24})(-(?P<mark>[0-9a-f]{8}))?")
MARK_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Either `view`, or `image_store` and `image`, perhaps with the `mark` of a generation."""

    view: str | None = None
    image_store: str = ""
    image: str = ""
    mark: str | None = None

    def __str__(self) -> str:
        return self.view or "-".join(part for part in (self.image_store, self.image, self.mark) if part)


def read_address(text: str) -> Address | None:
    """Return the address that a text is; None if it is none."""
    found = ADDRESS.fullmatch(text.lower())
    if found is None:
        return None
    return Address(view=found["view"], image_store=found["store"] or "", image=found["image"] or "", mark=found["mark"])


def exact_address(image_store: str, image: str, claim: str) -> Address:
    """Return the address of the generation that an image holds. `claim` names it as `job/generation`; empty for an
    image of another program: its changes are not known."""
    return Address(image_store=image_store, image=image, mark=mark_of(claim))


def mark_of(claim: str) -> str | None:
    """Return what a generation is called in addresses; None if it is not ours."""
    return content_id("generation", {"claim": claim}, hex_digits=MARK_DIGITS) if claim else None


def is_kept(image: str, claim: str) -> bool:
    """Tell whether an image was made for the generation that it holds: then its tiles are written once. An image that a
    caller named may be replaced, and shown again as it was, under one address."""
    job, _, generation = claim.partition("/")
    return bool(claim) and image == object_id("image", job, generation)
