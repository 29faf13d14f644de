"""Inspect: preview an upload within a request. The step reads parts of the object and writes nothing."""

import io
from collections.abc import Callable
from typing import BinaryIO, cast

from chalicelib.core.errors import InspectionTimeoutError, NotTiffError, SlideError
from chalicelib.core.jobs.model import Options, problem
from chalicelib.core.jobs.source import Source
from chalicelib.core.tiff.directory import MAGIC_BYTES, looks_like_tiff
from chalicelib.core.tiff.range_file import BlockStream
from chalicelib.ports.clock import Clock
from chalicelib.ports.slides import Slides

# API Gateway ends a request after 29 s.
TIME_BOX_SECONDS = 15.0


def inspect(
    bucket: str, key: str, options: Options, *, chunk_bytes: int, slides: Slides, clock: Clock
) -> dict[str, object]:
    """Return a preview of an upload of the object: `verdict` "publish" with all levels, or "refuse" with the reason.

    Raises NoSuchSourceError, EmptySourceError, and InspectionTimeoutError if the header cannot be read within
    TIME_BOX_SECONDS.
    """
    from chalicelib.core.plan.analysis import analyze
    from chalicelib.core.plan.estimate import described

    source, first_bytes = slides.pin(bucket, key, first_bytes=MAGIC_BYTES)
    blocks = BlockStream(_reader(source, slides, clock), source.size_bytes)
    stream = cast(BinaryIO, cast(io.RawIOBase, blocks))
    about: dict[str, object] = {"source": str(source), "etag": source.etag, "size_bytes": source.size_bytes}
    try:
        if not looks_like_tiff(first_bytes):
            raise NotTiffError(f"{source} does not begin with a TIFF header")
        found = analyze(stream, size_bytes=source.size_bytes, options=options)
        details = described(found, size_bytes=source.size_bytes, chunk_bytes=chunk_bytes)
    except SlideError as error:
        refusal = problem(error)
        reason = {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}
        return {"verdict": "refuse", **about, "reason": reason, "requests": blocks.requests + 1}
    return {"verdict": "publish", **about, **details, "requests": blocks.requests + 1}


def _reader(source: Source, slides: Slides, clock: Clock) -> Callable[[int, int], bytes]:
    """Return a function that reads the object until the time limit."""
    deadline = clock.now() + TIME_BOX_SECONDS

    def fetch(start: int, stop: int) -> bytes:
        if clock.now() > deadline:
            raise InspectionTimeoutError(f"the header of {source} could not be read within {TIME_BOX_SECONDS:.0f} s")
        return slides.read(source, start, stop)

    return fetch
