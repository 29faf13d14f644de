"""XML in the descriptions of a TIFF, read within fixed limits: a description can hold anything, up to 4 MiB of it.

Only documents with a root in ROOTS are read, and only elements in KEPT are stored.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

CHARACTERS = 4 * 1024 * 1024  # Philips writes the spacing after the label and macro images
PIECE_BYTES = 64 * 1024
TAG_BYTES = 64 * 1024
ELEMENTS = 20_000
DEPTH = 64
TEXT_CHARACTERS = 256
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,15}(?:[.,][0-9]{0,30})?|[.,][0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")

ROOTS = frozenset({
    "DataObject", "Metadata", "OME", "PerkinElmer-QPI-ImageDescription", "iScan", "image", "scn",
})  # fmt: skip
KEPT = frozenset({
    "Attribute", "DataObject", "Image", "ImageType", "Microscope", "Objective", "ObjectiveSettings", "Pixels",
    "TiffData", "UUID", "collection", "dimension", "iScan", "image", "name", "objective", "pixels", "property", "value",
    "view",
})  # fmt: skip


@dataclass(slots=True, eq=False)
class Element:
    """One element. `text` holds its first characters, `children` the nearest elements in KEPT below it."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def below(self, name: str) -> Iterator["Element"]:
        """Yield all descendants with this name, in document order."""
        waiting = self.children[::-1]
        while waiting:
            each = waiting.pop()
            waiting.extend(reversed(each.children))
            if each.name == name:
                yield each

    def numbers(self, *names: str) -> tuple[float, ...]:
        """Return the numbers among these attributes."""
        return numbers(*(self.attributes.get(each) for each in names))


class _Tree:
    """The elements that expat has reported so far. It ignores the rest of a document (`is_full`) whose root is not in
    ROOTS, or which has too many elements or nests them too deeply."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self.is_full = False
        self._elements = 0
        self._open: list[Element] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.is_full:
            return
        element = Element(name.rpartition(":")[2], attributes)
        if self.root is None:
            self.root = element
        elif element.name in KEPT:
            self._open[-1].children.append(element)
        else:
            element = self._open[-1]  # its children and text count as those of its parent
        self._open.append(element)
        self._elements += 1
        is_too_large = self._elements >= ELEMENTS or len(self._open) >= DEPTH
        self.is_full = is_too_large or self.root.name not in ROOTS

    def end(self, _name: str) -> None:
        if not self.is_full:
            self._open.pop()

    def characters(self, text: str) -> None:
        if not self.is_full and len(self._open[-1].text) < TEXT_CHARACTERS:
            self._open[-1].text += text[:TEXT_CHARACTERS]


def read_xml(text: str) -> Element | None:
    """Return the root of an XML text, or None. A text that is cut off or malformed is read up to that point.

    A text with a document type is not read, because its entities can expand without limit; no scanner writes one. Expat
    receives the text in pieces, and no further piece after the tree is full or while one tag exceeds TAG_BYTES.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    tree = _Tree()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = tree.start, tree.end
    parser.CharacterDataHandler = tree.characters
    data = text[:CHARACTERS].encode(errors="replace")
    with contextlib.suppress(expat.ExpatError):
        for stop in range(PIECE_BYTES, len(data) + PIECE_BYTES, PIECE_BYTES):
            parser.Parse(data[stop - PIECE_BYTES : stop])
            if tree.is_full or stop - parser.CurrentByteIndex > PIECE_BYTES + TAG_BYTES:
                break
    return tree.root


def numbers(*texts: str | None) -> tuple[float, ...]:
    """Return the numbers among `texts`. A decimal comma and a final x, as in "20x", are accepted."""
    clean = ((text or "")[:TEXT_CHARACTERS].strip().rstrip("xX×").rstrip() for text in texts)
    return tuple(float(text.replace(",", ".")) for text in clean if NUMBER.fullmatch(text))
