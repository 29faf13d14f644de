"""What a slide is and how it would be published, found out by a few reads of its file and without writing anything."""

from dataclasses import dataclass
from typing import BinaryIO

from chalicelib.core.imaging import lossless_crop as crop
from chalicelib.core.jobs.model import Options, SlideSummary
from chalicelib.core.plan.associated import pictures_of
from chalicelib.core.plan.associated_data import AssociatedData
from chalicelib.core.plan.decode_check import check_decoding
from chalicelib.core.plan.pyramid import Pyramid, plan_pyramid
from chalicelib.core.tiff.directory import read_ifds
from chalicelib.core.tiff.metadata.facts import slide_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The planned pyramid of a file, the metadata of its slide, and its associated data."""

    pyramid: Pyramid
    slide: SlideSummary
    associated_data: AssociatedData


def analyze(stream: BinaryIO, *, size_bytes: int, options: Options) -> Analysis:
    """Return what there is to know of the slide in `stream`, a TIFF of `size_bytes`.

    Raises SlideError for what cannot be published; errors of the stream itself pass through.
    """
    ifds = read_ifds(stream, size_bytes=size_bytes)
    pyramid = plan_pyramid(
        ifds,
        size_bytes=size_bytes,
        tile_size=options.tile_size,
        base_only=options.base_only,
        on_bad_tile=options.on_bad_tile,
        can_crop=crop.is_available(),
    )

    def read(start: int, stop: int) -> bytes:
        stream.seek(start)
        return stream.read(stop - start)

    check_decoding(pyramid, read, size_bytes=size_bytes)
    base = pyramid.levels[0].ifd
    assert base is not None
    facts = slide_facts(ifds, base, width_px=pyramid.width_px, height_px=pyramid.height_px)
    associated_data = AssociatedData(
        icc_profile=facts.icc_profile, pictures=pictures_of(pyramid, read) if options.associated else ()
    )
    summary = SlideSummary(
        mpp_x=facts.mpp_x,
        mpp_y=facts.mpp_y,
        magnification=facts.magnification,
        vendor=facts.vendor,
        icc_profile_bytes=len(facts.icc_profile),
        associated=tuple(name for name, _ in associated_data.pictures),
    )
    return Analysis(pyramid=pyramid, slide=summary, associated_data=associated_data)
