"""How viewers ask for tiles: three ways to number the same pyramid, translated into ours and back.

    ours      level 0 is full resolution; tiles are whole squares, filled up beyond the level's edge
    DZI       level n is the slide halved until it is 2**n pixels long at most; the last is full resolution, the first
              1 x 1; tiles are cut to the level's size
    IIIF      regions of the slide in pixels of full resolution, and the size they are asked at; cut as well

All three halve by rounding up, as level_grid does, also where the level that was stored had been rounded down: such a
tile holds the missing column or row in its filling. DZI has levels below our root, which is one tile: they are the root
halved. SlideAtlas' quadtree names are translated in core.geometry.

Formats: Deep Zoom (schemas.microsoft.com/deepzoom/2008), IIIF Image API 3.0, chapters 4, 5 and 8 ("Image tiles").
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

from chalicelib.core.geometry import Grid, level_grid, tile_name
from chalicelib.core.ids import ID_BYTES

# One address for one tile: no signs, no leading zeros.
NUMBER = r"(0|[1-9]\d{0,8})"
LEVEL, PLACE = re.compile(NUMBER), re.compile(rf"{NUMBER}_{NUMBER}\.jpg")
REGION, SIZE = re.compile(",".join([NUMBER] * 4)), re.compile(f"{NUMBER},{NUMBER}")


class NoSuchTileError(ValueError):
    """The slide has nothing there, or the dialect does not promise it: with a sentence that says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRequest:
    """What answers an address: the tile `name`, cut to `width_px` x `height_px` from its top left if it is not `whole`;
    or the root tile, of which `inside_px` is the slide, halved `halvings` times."""

    name: str
    width_px: int = 0
    height_px: int = 0
    whole: bool = True
    halvings: int = 0
    inside_px: tuple[int, int] = (0, 0)

    def tag(self, tile: bytes) -> str:
        """Return the ETag of this piece of a tile with the id `tile` (core.ids.tile_id)."""
        return f'"{self._stem}.{tile.hex()}{self._cut}"'

    def tiles_of(self, if_none_match: str) -> list[bytes]:
        """Return the ids of tiles of which an If-None-Match header holds ETags of this piece."""
        tag = rf'"{re.escape(self._stem)}\.([0-9a-f]{{{2 * ID_BYTES}}}){re.escape(self._cut)}"'
        return [bytes.fromhex(found) for found in re.findall(tag, if_none_match)]

    @property
    def _stem(self) -> str:
        return self.name.removesuffix(".jpg")

    @property
    def _cut(self) -> str:
        return "" if self.whole else f".{self.width_px}x{self.height_px}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PyramidShape:
    """The pyramid of a slide. `depth` counts the levels of the complete quadtree, `published` those that there are,
    from full resolution on: one of a slide of which only the base was asked for."""

    width_px: int
    height_px: int
    tile_size_px: int
    depth: int
    published: int

    @property
    def is_complete(self) -> bool:
        return self.published == self.depth

    @property
    def root(self) -> int:
        return self.depth - 1

    def grid(self, level: int) -> Grid:
        return level_grid(self.width_px, self.height_px, self.tile_size_px, level)

    def size_px(self, level: int) -> tuple[int, int]:
        """Return (width, height) in pixels of a level, also of one beyond the root."""
        grid = self.grid(level)
        return grid.width_px, grid.height_px

    def tile(self, level: int, column: int, row: int) -> TileRequest:
        """Return a tile as it is stored. Raises NoSuchPieceError outside the published levels."""
        if level >= self.published:
            raise NoSuchTileError(f"the slide has {self.published} levels; there is no level {level}")
        grid = self.grid(level)
        if not (column < grid.columns and row < grid.rows):
            raise NoSuchTileError(
                f"level {level} has {grid.columns} x {grid.rows} tiles; there is no tile ({column}, {row})"
            )
        try:
            return TileRequest(name=tile_name(level, column, row, levels=self.depth))
        except ValueError as error:  # an image of another program, with fewer levels than it needs
            raise NoSuchTileError(str(error)) from error

    def cut_tile(self, level: int, column: int, row: int) -> TileRequest:
        """Return a tile cut to the level's size; beyond the root, the root halved. Raises NoSuchPieceError."""
        if level > self.root and self.is_complete and (column, row) == (0, 0):
            width, height = self.size_px(level)
            return TileRequest(
                name=self.tile(self.root, 0, 0).name,
                width_px=width,
                height_px=height,
                whole=False,
                halvings=level - self.root,
                inside_px=self.size_px(self.root),
            )
        name = self.tile(level, column, row).name
        width, height = self.grid(level).inside_px(column, row)
        whole = width == height == self.tile_size_px
        return TileRequest(name=name, width_px=width, height_px=height, whole=whole)


# -- ours --------------------------------------------------------------------------------------------------------------


def slidehook_tile(shape: PyramidShape, level: str, place: str) -> TileRequest:
    """Return the tile at `level`/`column_row.jpg`, whole. Raises NoSuchPieceError."""
    return shape.tile(*_numbers(level, place))


def _numbers(level: str, place: str) -> tuple[int, int, int]:
    found = PLACE.fullmatch(place)
    if found is None or not LEVEL.fullmatch(level):
        raise NoSuchTileError("a tile is addressed as level/column_row.jpg, for instance 0/3_5.jpg")
    return int(level), int(found[1]), int(found[2])


# -- DZI ---------------------------------------------------------------------------------------------------------------


def dzi_last_level(shape: PyramidShape) -> int:
    """Return the number of the level of full resolution."""
    return (max(shape.width_px, shape.height_px) - 1).bit_length()


def dzi_tile(shape: PyramidShape, level: str, place: str) -> TileRequest:
    """Return the tile at `level`/`column_row.jpg` as DZI numbers levels. Raises NoSuchPieceError."""
    number, column, row = _numbers(level, place)
    last = dzi_last_level(shape)
    if number > last:
        raise NoSuchTileError(f"the last level of this DZI is {last}; there is no level {number}")
    return shape.cut_tile(last - number, column, row)


def dzi_document(shape: PyramidShape, tiles_url: str) -> str:
    """Return the descriptor. `tiles_url` is where the tiles of exactly this generation are; readers that do not look
    at it request next to the descriptor. Raises NoSuchTileError for a slide that a DZI cannot describe."""
    if not shape.is_complete:
        raise NoSuchTileError(
            f"of this slide {shape.published} of {shape.depth} levels were published (base_only); a DZI promises all"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpg" Overlap="0"'
        f' TileSize="{shape.tile_size_px}" Url={quoteattr(tiles_url)}>'
        f'<Size Width="{shape.width_px}" Height="{shape.height_px}"/></Image>\n'
    )


# -- IIIF --------------------------------------------------------------------------------------------------------------


def iiif_document(shape: PyramidShape, base_uri: str) -> dict[str, object]:
    """Return info.json: every tile of every level, and the whole slide at sizes that the root tile has in it."""
    return {
        "@context": "http://iiif.io/api/image/3/context.json",
        "id": base_uri,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level0",
        "width": shape.width_px,
        "height": shape.height_px,
        "sizes": [{"width": width, "height": height} for width, height in reversed(_full_sizes(shape))],
        "tiles": [
            {
                "width": shape.tile_size_px,
                "height": shape.tile_size_px,
                "scaleFactors": [1 << level for level in range(shape.published)],
            }
        ],
    }


SMALLEST_SIZE_PX = 32


def _full_sizes(shape: PyramidShape) -> list[tuple[int, int]]:
    """Return the sizes at which the whole slide is answered, the largest first."""
    if not shape.is_complete:
        return []
    root = shape.size_px(shape.root)
    halved = (shape.size_px(shape.root + halvings) for halvings in range(1, max(root).bit_length()))
    return [root, *(size for size in halved if max(size) >= SMALLEST_SIZE_PX)]


def iiif_tile(shape: PyramidShape, region: str, size: str) -> TileRequest:
    """Return what answers `region` at `size`: a tile, or the whole slide at a size that info.json lists. `max` is the
    largest there is. Raises NoSuchPieceError for anything else."""
    x, y, width, height = _region(shape, unquote(region))
    if (width, height) == (shape.width_px, shape.height_px):
        sizes = _full_sizes(shape)
        wanted = _size(unquote(size), sizes[0] if sizes else (width, height))
        if wanted in sizes:
            return shape.cut_tile(shape.root + sizes.index(wanted), 0, 0)
    else:
        wanted = _size(unquote(size), (width, height))
    for level in range(shape.published):
        side = shape.tile_size_px << level
        column, row = x // side, y // side
        if (x, y, width, height) != _region_of(shape, side, column, row):
            continue
        piece = shape.cut_tile(level, column, row)
        if (piece.width_px, piece.height_px) == wanted:
            return piece
    raise NoSuchTileError(
        f"{unquote(region):.40}/{unquote(size):.20} is neither a tile of this slide nor a size that its info.json lists"
    )


def _region(shape: PyramidShape, text: str) -> tuple[int, int, int, int]:
    if text == "full":
        return 0, 0, shape.width_px, shape.height_px
    found = REGION.fullmatch(text)
    if found is None:
        raise NoSuchTileError(f"{text:.40} is no region: full, or x,y,w,h in pixels")
    x, y, width, height = (int(number) for number in found.groups())
    return x, y, width, height


def _region_of(shape: PyramidShape, side: int, column: int, row: int) -> tuple[int, int, int, int]:
    """Return the region of a tile whose side covers so many pixels of full resolution."""
    x, y = column * side, row * side
    return x, y, min(side, shape.width_px - x), min(side, shape.height_px - y)


def _size(text: str, most: tuple[int, int]) -> tuple[int, int]:
    if text == "max":
        return most
    found = SIZE.fullmatch(text)
    if found is None:
        raise NoSuchTileError(f"{text:.20} is no size that is answered: max, or w,h in pixels")
    return int(found[1]), int(found[2])
