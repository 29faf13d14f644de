"""Which images of a TIFF are the slide: its base, the stored levels of the base, and the associated images.

A label or a photograph of the glass can show a patient's name and must never become a level or the base. The rules fail
closed: an image that is not known to be a level is not one, and the pixels of that level come from the next finer one;
a file whose base cannot be distinguished from another image is refused.

- An image that the file names label, macro or thumbnail is neither level nor base (core.tiff.metadata.descriptions).
- The base is the largest other image. Strips are not the base of a file that has tiles, and an image of reduced
  resolution (NewSubfileType, bit 0) is not the base of a file that has another one.
- An image of the size of a level is that level if the file says so: it is a SubIFD of the base, or its description
  names the level. Otherwise it is one only if it is stored like the base, with the same tile size, compression and
  colour, and is not a single tile of exactly its own size. Strips have no tile size, so they need the file's word.
- Several slides in one file are refused. Another image than the base is ignored only if it is marked as reduced in
  resolution, if it fits into the pyramid of the base, or if it is much smaller than a base that is too large for a
  photograph.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.core.errors import LimitError, TruncatedError, UnsupportedError
from chalicelib.core.imaging.encoding import unsupported_reason
from chalicelib.core.plan.level_match import (
    has_same_storage,
    has_shape,
    is_other,
    is_reduced,
    is_stored_alike,
    level_by_size,
    pixels_of,
    size_of,
)
from chalicelib.core.tiff.directory import Ifd
from chalicelib.core.tiff.metadata.descriptions import (
    ANY_LEVEL,
    LABEL,
    MACRO,
    THUMBNAIL,
    ImageName,
    associated_names,
    described_levels,
    describes_thumbnail,
    lists_every_image,
    pads_levels,
)

MAX_PIXELS = 1 << 41  # a 150 mm x 60 mm glass at 0.06 micrometres per pixel
# The cameras of scanners photograph label and glass with up to 20 megapixels. A base with more pixels than this is a
# scan, and an image that has at most this many, and at most a quarter of the base's, is not a second one.
MAX_PHOTOGRAPH_PIXELS = 100_000_000
PREVIEW_SHARE = 0.25
# Images that are stored differently from the base and have the sizes of its levels: a label can have such a size by
# chance, two images cannot.
ENOUGH_SIZES = 2

ONE_SLIDE_HINT = (
    "Export the slide to a file of its own, without the label and the photograph of the glass. ptif_upload.py --bindir"
    " does not convert this file: a converter could take the photograph for the slide."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideImages:
    """`levels` maps level numbers, from 1, to the images that are stored for them. `associated` lists (name, image) of
    label, macro and thumbnail, each name once."""

    base: Ifd
    levels: Mapping[int, Ifd]
    associated: tuple[tuple[str, Ifd], ...]


def slide_images(ifds: Sequence[Ifd]) -> SlideImages:
    """Return which of the images of a file are its slide.

    Raises UnsupportedError if the file has no slide, several, or one whose storage is not supported, LimitError for a
    base that is too large, and TruncatedError for one that lacks strips.
    """
    file = _File(ifds)
    base = _base(file)
    _check_base(base)
    _check_same_size(file, base)
    _check_second_slide(file, base)
    return SlideImages(base=base, levels=_levels(file, base), associated=tuple(_associated(file, base)))


def base_image(ifds: Sequence[Ifd]) -> Ifd:
    """Return the image of full resolution, whether or not its storage is supported. Raises UnsupportedError if no image
    is certain to be the slide, or several can be."""
    file = _File(ifds)
    base = _base(file)
    _check_second_slide(file, base)
    return base


class _File:
    """The images of one file, and what the file says of them."""

    def __init__(self, ifds: Sequence[Ifd]) -> None:
        self.ifds = ifds
        self.names: dict[int, ImageName] = associated_names(ifds)
        self._described = {ifd.index: described_levels(ifd) for ifd in ifds}
        self._pads_levels = pads_levels(ifds)
        self._lists_every_image = lists_every_image(ifds)
        self._parents = {ifd.parent for ifd in ifds}

    def name_of(self, ifd: Ifd) -> ImageName | None:
        """Return the name of an image: its own, or that of the image whose SubIFD it is."""
        own = self.names.get(ifd.index)
        return own if own is not None or ifd.parent is None else self.names.get(ifd.parent)

    def is_certainly_named(self, ifd: Ifd) -> bool:
        name = self.name_of(ifd)
        return name is not None and name.is_certain

    def unnamed(self) -> list[Ifd]:
        return [ifd for ifd in self.ifds if self.name_of(ifd) is None]

    def has_children(self, ifd: Ifd) -> bool:
        return ifd.index in self._parents

    def chain_has_levels(self, base: Ifd) -> bool:
        """Tell whether images of the main chain can be levels of the base. Where levels are SubIFDs, and in OME-TIFF,
        each image of the main chain is an image of its own."""
        return not (self.has_children(base) or self._lists_every_image)

    def proven_level(self, ifd: Ifd, base: Ifd) -> int | None:
        """Return the level that an image is by the file's own word and by its size, else None."""
        levels = ANY_LEVEL if ifd.parent == base.index else self._described[ifd.index]
        return level_by_size(ifd, base, levels, is_padded=True) if is_other(ifd, base) else None

    def alike_level(self, ifd: Ifd, base: Ifd) -> int | None:
        """Return the level that an image is by its size and because it is stored like the base, else None."""
        in_chain = ifd.parent in (None, base.parent) and self.chain_has_levels(base)
        return self._sized_level(ifd, base) if in_chain and is_stored_alike(ifd, base) else None

    def is_level(self, ifd: Ifd, base: Ifd) -> bool:
        return self.proven_level(ifd, base) is not None or self.alike_level(ifd, base) is not None

    def has_level_size(self, ifd: Ifd, base: Ifd) -> bool:
        """Tell whether an image has the size of a level of the base, however it is stored."""
        return self.chain_has_levels(base) and self._sized_level(ifd, base) is not None

    def is_described(self, ifd: Ifd) -> bool:
        return bool(self._described[ifd.index])

    def _sized_level(self, ifd: Ifd, base: Ifd) -> int | None:
        # Philips pads all levels to whole tiles. Another writer may, if its base has whole tiles only.
        has_whole_tiles = base.width_px % base.tile_width_px == 0 == base.height_px % base.tile_height_px
        is_padded = self._pads_levels or (has_whole_tiles and is_stored_alike(ifd, base))
        return level_by_size(ifd, base, ANY_LEVEL, is_padded=is_padded) if is_other(ifd, base) else None


def _is_too_large_for_a_photograph(ifd: Ifd) -> bool:
    return pixels_of(ifd) > MAX_PHOTOGRAPH_PIXELS


# -- the base ----------------------------------------------------------------------------------------------------------


def _base(file: _File) -> Ifd:
    """Return the largest image that can be the slide. Raises UnsupportedError if there is none."""
    described = _described_slide(file)
    if described is not None:
        del file.names[described.index]
        return described
    unnamed = file.unnamed()
    full = [ifd for ifd in unnamed if not is_reduced(ifd)]
    if not full and not file.names:
        full = unnamed  # a level that was cut out of its file keeps its mark
    if any(ifd.is_tiled for ifd in file.ifds):
        full = [ifd for ifd in full if ifd.is_tiled]
    base = max(full, key=lambda ifd: (pixels_of(ifd), -ifd.index), default=None)
    # An image whose name is uncertain, and whose level the largest other image is, can be the slide as well.
    named = [ifd for ifd in file.ifds if file.name_of(ifd) is not None and not file.is_certainly_named(ifd)]
    if base is None or any(file.is_level(base, ifd) for ifd in named):
        raise UnsupportedError(
            "the TIFF has no image that is certain to be the slide: its images are named label, macro or thumbnail, are"
            " marked as reduced in resolution, or are stored in strips while others have tiles",
            hint=ONE_SLIDE_HINT,
            convertible=False,
        )
    return base


def _described_slide(file: _File) -> Ifd | None:
    """Return the slide whose own description has a word such as "label" among others ("label-free"): the only image of
    its file, or a pyramid in tiles into which all tiled images without a certain name fit."""
    for ifd in file.ifds:
        name = file.names.get(ifd.index)
        if name is None or name.is_certain:
            continue
        others = [each for each in file.ifds if each is not ifd and not file.is_certainly_named(each)]
        if len(file.ifds) == 1 or (
            ifd.is_tiled
            and not is_reduced(ifd)
            and all(pixels_of(each) < pixels_of(ifd) for each in others)
            and any(file.is_level(each, ifd) for each in others)
            and all(_fits_described(file, each, ifd) for each in others if each.parent is None)
        ):
            return ifd
    return None


def _fits_described(file: _File, ifd: Ifd, slide: Ifd) -> bool:
    if not ifd.is_tiled:
        return file.name_of(ifd) is not None or is_reduced(ifd) or has_shape(ifd, slide)
    return file.is_level(ifd, slide) or _fits(file, ifd, slide, is_certain=True)


def _check_base(base: Ifd) -> None:
    where = f"image {base.index} of the TIFF ({base.width_px} x {base.height_px} px)"
    if pixels_of(base) > MAX_PIXELS:
        raise LimitError(f"the slide claims {base.width_px} x {base.height_px} px")
    reason = unsupported_reason(base)
    if reason is not None:
        raise UnsupportedError(f"{where} {reason}")
    if not _is_complete(base):
        raise TruncatedError(f"{where} lists fewer strips than it has")


def _is_complete(ifd: Ifd) -> bool:
    segments = ifd.segment_columns * ifd.segment_rows * ifd.planes
    return len(ifd.offsets) >= segments <= len(ifd.byte_counts)


# -- one slide ---------------------------------------------------------------------------------------------------------


def _check_same_size(file: _File, base: Ifd) -> None:
    same = [ifd for ifd in file.unnamed() if ifd.is_tiled == base.is_tiled and size_of(ifd) == size_of(base)]
    if len(same) > 1 and max(size_of(base)) > 1:
        raise UnsupportedError(
            f"the TIFF has {len(same)} images of {base.width_px} x {base.height_px} px: channels or focal planes, of"
            " which a slide has one"
        )


def _check_second_slide(file: _File, base: Ifd) -> None:
    chain = [ifd for ifd in file.unnamed() if ifd.parent is None and ifd.index != base.parent]
    # In a file with tiles, images in strips are thumbnails and labels.
    others = [ifd for ifd in chain if is_other(ifd, base)]
    sized = [ifd for ifd in others if file.has_level_size(ifd, base)]
    is_certain = (
        _is_too_large_for_a_photograph(base)
        or any(file.is_level(ifd, base) for ifd in file.unnamed())
        or len(sized) >= ENOUGH_SIZES
    )
    for ifd in others:
        is_level = file.is_level(ifd, base) and not file.has_children(ifd)
        fits = is_reduced(ifd) or file.is_described(ifd) or _fits(file, ifd, base, is_certain=is_certain)
        if not is_level and (not fits or _is_pyramid(file, ifd, base)):
            raise UnsupportedError(
                f"the TIFF has a second slide in it, image {ifd.index} ({ifd.width_px} x {ifd.height_px} px), beside"
                f" image {base.index} ({base.width_px} x {base.height_px} px)",
                hint=ONE_SLIDE_HINT,
                convertible=False,
            )


def _fits(file: _File, ifd: Ifd, base: Ifd, *, is_certain: bool) -> bool:
    """Return whether an image can be ignored next to the base: the same content, as large as a level and stored like
    the base. If the base is known to be the slide (`is_certain`), storage or size may differ; if the base is too large
    for a photograph, both may."""
    has_storage, has_level_size = has_same_storage(ifd, base), file.has_level_size(ifd, base)
    if has_storage and has_level_size:
        return True
    is_small = pixels_of(ifd) <= min(MAX_PHOTOGRAPH_PIXELS, PREVIEW_SHARE * pixels_of(base))
    is_preview = file.chain_has_levels(base) and has_storage and has_shape(ifd, base)
    return (is_certain and (has_level_size or is_preview)) or (is_small and _is_too_large_for_a_photograph(base))


def _is_pyramid(file: _File, ifd: Ifd, base: Ifd) -> bool:
    """Tell whether an image that is not a level of the base has levels of its own.

    In a pyramid with other factors than two, or with other storage for the levels than for the base, the levels have
    this form as well. It is one slide if they are marked as reduced, if the factor is a whole number, or if the base is
    too large for a photograph.
    """
    if file.has_children(ifd):
        return True
    has_storage = has_same_storage(ifd, base)
    is_scaled = has_storage and has_shape(ifd, base)
    is_marked = is_reduced(ifd) or _is_too_large_for_a_photograph(base)
    if file.is_described(ifd) or (is_marked and (is_scaled or file.has_level_size(ifd, base))):
        return False
    if has_storage and has_shape(ifd, base, is_whole=True):
        return False
    return any(file.is_level(each, ifd) for each in file.unnamed() if each.parent is None)


# -- levels ------------------------------------------------------------------------------------------------------------


def _levels(file: _File, base: Ifd) -> dict[int, Ifd]:
    """Return the stored levels of the base. Raises UnsupportedError if they belong to several slides."""
    levels: dict[int, Ifd] = {}
    alike: dict[int, list[Ifd]] = {}
    for ifd in file.unnamed():
        # A level whose tiles are all left out is made: the coarsest must exist, it is the thumbnail.
        if unsupported_reason(ifd) or not _is_complete(ifd) or not any(ifd.byte_counts):
            continue
        proven, level = file.proven_level(ifd, base), file.alike_level(ifd, base)
        if proven is not None:
            levels.setdefault(proven, ifd)
        elif level is not None:
            alike.setdefault(level, []).append(ifd)
    named = [ifd for ifd in file.ifds if file.name_of(ifd) is not None]
    for level, images in alike.items():
        _check_one_slide(level, images)
        # A level of a named macro has no name of its own.
        if len(images) == 1 and not any(file.alike_level(images[0], each) for each in named):
            levels.setdefault(level, images[0])
    return levels


def _check_one_slide(level: int, images: Sequence[Ifd]) -> None:
    """Raise UnsupportedError if several images have the size of a level: they belong to several slides. Images that fit
    into one tile may differ by less than rounding; none of them is taken."""
    if len(images) > 1 and any(ifd.segment_columns * ifd.segment_rows > 1 for ifd in images):
        indexes = " and ".join(str(ifd.index) for ifd in images)
        raise UnsupportedError(
            f"the TIFF has {len(images)} images of the size of level {level}, images {indexes}: levels of several"
            " slides",
            hint=ONE_SLIDE_HINT,
            convertible=False,
        )


# -- associated images -------------------------------------------------------------------------------------------------


def _associated(file: _File, base: Ifd) -> Iterator[tuple[str, Ifd]]:
    """Yield the associated images as (name, image), each name once."""
    seen: set[str] = set()
    for ifd in file.ifds:
        found = file.name_of(ifd)
        name = found.value if found is not None else THUMBNAIL if _is_unnamed_thumbnail(ifd, base) else ""
        if name in (LABEL, MACRO, THUMBNAIL) and name not in seen and ifd is not base:
            seen.add(name)
            yield name, ifd


def _is_unnamed_thumbnail(ifd: Ifd, base: Ifd) -> bool:
    """Tell whether an image is Aperio's thumbnail, which has no name: the image in strips that follows the base. A
    label without a name can stand there as well, but has neither Aperio's words nor the shape of the slide."""
    follows = base.is_tiled and not ifd.is_tiled and ifd.index == base.index + 1
    return follows and not is_reduced(ifd) and (describes_thumbnail(ifd) or has_shape(ifd, base))
