"""Supported encodings of segments, reasons for unsupported ones, and the encoding that a worker receives."""

import json
from array import array
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.encoding import Storage, dump_storage, load_storage, storage_of, unsupported_reason
from chalicelib.core.tiff.directory import Ifd

RGB = Ifd(
    index=0, width_px=500, height_px=300, is_tiled=True, tile_width_px=64, tile_height_px=64, compression=1,
    photometric=2, samples=3, bits=8, planar=1, subfile_type=0, description="", subsampling=(2, 2), jpeg_tables=b"",
    offsets=array("Q", [8] * 40), byte_counts=array("Q", [9] * 40),
)  # fmt: skip
JPEG: dict[str, Any] = {"compression": 7, "photometric": 6}
GREY: dict[str, Any] = {"photometric": 1, "samples": 1}
PALETTE: dict[str, Any] = {"photometric": 3, "samples": 1, "colour_map": bytes(3 * 256 * 2)}
RGBA: dict[str, Any] = {"samples": 4, "extra_samples": (2,)}
NOT_READABLE = {
    2: "CCITT", 3: "CCITT", 4: "CCITT", 6: "old-style JPEG", 50002: "JPEG XL", 34892: "lossy JPEG", 34925: "LZMA",
    34887: "LERC", 22610: "JPEG XR", 34934: "JPEG XR", 12345: "compression 12345",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {}, {"bits": 16}, {"planar": 2}, {"predictor": 2}, {"fill_order": 2}, {"byte_order": ">"}, RGBA, GREY, PALETTE,
        {"photometric": 0, "samples": 1}, {**GREY, "bits": 16}, {"is_tiled": False, "tile_width_px": 500},
        *[{"compression": each} for each in (5, 8, 32946, 32773, 50000, 34926, 50001, 34927, 33003, 33005, 34712)],
        *[{"compression": each, "bits": 16} for each in (5, 8, 32946, 32773, 50000, 34926, 33003, 33005, 34712)],
        *[{"compression": each, "photometric": 6} for each in (33003, 33005, 34712, 50001, 34927)],
        JPEG, {**JPEG, "photometric": 2}, {**JPEG, **GREY}, {**JPEG, "photometric": 2, "planar": 2},
        # Some writers set a predictor tag that the compression does not use.
        {**JPEG, "predictor": 2}, {"compression": 33005, "predictor": 3},
    ],
)  # fmt: skip
def test_supported_encoding_has_no_reason(change: dict[str, Any]) -> None:
    assert unsupported_reason(replace(RGB, **change)) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"is_ndpi": True},
            "is of Hamamatsu's NDPI, which keeps a level as one JPEG stream without tiles",
        ),
        *[
            ({"compression": code}, f"is compressed with {name}, which is not published")
            for code, name in NOT_READABLE.items()
        ],
        ({"predictor": 3}, "is stored with predictor 3; none and horizontal differencing are published"),
        (
            {"compression": 50001, "planar": 2},
            "is compressed with WebP in separate planes, which is not published",
        ),
        (
            {"compression": 34712, "planar": 2},
            "is compressed with JPEG 2000 in separate planes, which is not published",
        ),
        *[
            ({"photometric": code}, f"is stored as {name}; grey, palette, RGB and YCbCr are published")
            for code, name in (
                (4, "a mask"), (5, "CMYK"), (8, "CIELab"), (9, "ICCLab"), (10, "ITULab"),
                (32803, "a colour filter array"), (77, "photometric interpretation 77"),
            )
        ],
        *[
            ({"bits": bits}, f"has {bits} bits a sample (unsigned); 8 and 16 unsigned bits are published")
            for bits in (1, 2, 4, 12, 32)
        ],
        ({"bits": 0}, "has differing bits a sample (unsigned); 8 and 16 unsigned bits are published"),
        ({"sample_format": 2}, "has 8 bits a sample (signed); 8 and 16 unsigned bits are published"),
        (
            {"bits": 32, "sample_format": 3},
            "has 32 bits a sample (floating-point); 8 and 16 unsigned bits are published",
        ),
        ({"sample_format": 0}, "has 8 bits a sample (mixed); 8 and 16 unsigned bits are published"),
        (
            {**JPEG, "bits": 16},
            "has 16 bits a sample (unsigned); 8 and 16 unsigned bits are published",
        ),
        (
            {"compression": 50001, "bits": 16},
            "has 16 bits a sample (unsigned); 8 and 16 unsigned bits are published",
        ),
        ({"samples": 2}, "has 2 samples a pixel, where 3 are expected"),
        ({"samples": 5}, "has 5 samples a pixel, where 3 are expected"),
        ({**GREY, "samples": 2}, "has 2 samples a pixel, where 1 are expected"),
        ({**JPEG, "samples": 4}, "is a JPEG of 4 samples a pixel; 1 and 3 are published"),
        (
            {"compression": 5, "photometric": 6},
            "is stored as YCbCr compressed with LZW; YCbCr is published from JPEG only",
        ),
        ({"photometric": 6}, "is stored as YCbCr compressed with nothing; YCbCr is published from JPEG only"),
        ({**PALETTE, "colour_map": b""}, "has a palette that is not one of 256 colours"),
        ({**PALETTE, "colour_map": bytes(3 * 16 * 2)}, "has a palette that is not one of 256 colours"),
        ({**PALETTE, "bits": 16}, "has a palette that is not one of 256 colours"),
        (
            {"tile_width_px": 8192, "tile_height_px": 4096},
            "is stored in tiles of 96 MiB each; at most 64 MiB are taken",
        ),
        (
            {"is_tiled": False, "width_px": 100_000, "tile_width_px": 100_000, "tile_height_px": 300},
            "is stored in strips of 85 MiB each; at most 64 MiB are taken",
        ),
        (
            {"is_tiled": False, "width_px": 131_073, "tile_width_px": 131_073, "tile_height_px": 1},
            "is stored in strips of 131073 px; strips of up to 131072 px are taken",
        ),
    ],
)  # fmt: skip
def test_unsupported_encoding_is_refused_with_reason(change: dict[str, Any], reason: str) -> None:
    assert unsupported_reason(replace(RGB, **change)) == reason


def test_segment_at_size_limit_is_supported() -> None:
    assert unsupported_reason(replace(RGB, tile_width_px=4096, tile_height_px=4096)) is None  # 48 MiB
    wide = replace(RGB, is_tiled=False, width_px=131_072, tile_width_px=131_072, tile_height_px=1)
    assert unsupported_reason(wide) is None


@pytest.mark.parametrize(
    ("compression", "photometric", "description", "understood"),
    [
        # Aperio writes photometric RGB and YCbCr alike for both; the compression tag tells them apart.
        (33003, 2, "", 6), (33003, 6, "", 6), (33005, 2, "", 2), (33005, 6, "", 2), (34712, 6, "", 2), (34712, 1, "", 1),
        (33003, 2, "Aperio Image Library v10\r\n1x1|J2K/YUV16 Q=30", 6),
        (33003, 2, "Aperio Image Library v10\r\n1x1|J2K/KDU Q=70", 2),
        (7, 6, "J2K/KDU", 6), (7, 2, "", 2), (5, 2, "", 2),
    ],
)  # fmt: skip
def test_colours_of_jpeg_2000_follow_its_compression_tag(
    compression: int, photometric: int, description: str, understood: int
) -> None:
    ifd = replace(RGB, compression=compression, photometric=photometric, description=description)
    assert storage_of(ifd).photometric == understood


def test_grey_jpeg_2000_of_aperio_stays_grey() -> None:
    assert storage_of(replace(RGB, compression=33003, photometric=1, samples=1)).photometric == 1


@pytest.mark.parametrize(
    ("change", "chroma"),
    [
        ({**JPEG, "subsampling": (2, 2)}, "420"), ({**JPEG, "subsampling": (2, 1)}, "422"),
        ({**JPEG, "subsampling": (1, 2)}, "444"), ({**JPEG, "subsampling": (1, 1)}, "444"),
        ({**JPEG, "subsampling": (4, 4)}, "444"), ({**JPEG, "photometric": 2}, "444"), ({"compression": 5}, "444"),
        ({"compression": 33003}, "444"),
    ],
)  # fmt: skip
def test_reencoded_tiles_keep_chroma_of_their_source(change: dict[str, Any], chroma: str) -> None:
    assert storage_of(replace(RGB, **change)).chroma == chroma


def test_tiles_are_whole_and_last_strip_is_shorter() -> None:
    tiles = storage_of(RGB)
    assert [tiles.segment_height_px(row) for row in range(5)] == [64] * 5
    strips = storage_of(replace(RGB, is_tiled=False, tile_width_px=500))
    assert [strips.segment_height_px(row) for row in range(5)] == [64, 64, 64, 64, 44]


def test_only_jpeg_of_all_samples_has_a_file_prefix() -> None:
    assert storage_of(replace(RGB, **JPEG)).is_jpeg
    assert storage_of(replace(RGB, **JPEG)).prefix.startswith(b"\xff\xd8\xff\xe0")
    assert (storage_of(RGB).is_jpeg, storage_of(RGB).prefix) == (False, b"")
    planes = storage_of(replace(RGB, **JPEG, planar=2))
    assert (planes.is_jpeg, planes.planes) == (False, 3)


def test_damaged_shared_tables_are_found_during_planning() -> None:
    with pytest.raises(CorruptTileError, match="shared JPEG tables"):
        storage_of(replace(RGB, **JPEG, jpeg_tables=b"nonsense"))
    # Other codecs ignore them.
    assert storage_of(replace(RGB, jpeg_tables=b"nonsense")).prefix == b""


@given(
    st.builds(
        Storage,
        width_px=st.integers(1, 2_000_000), height_px=st.integers(1, 2_000_000), tile_width_px=st.integers(1, 16384),
        tile_height_px=st.integers(1, 16384), is_tiled=st.booleans(), compression=st.integers(1, 65535),
        photometric=st.integers(0, 65535), samples=st.integers(1, 64), bits=st.sampled_from([8, 16]),
        planar=st.sampled_from([1, 2]), predictor=st.integers(1, 3), fill_order=st.integers(1, 2),
        byte_order=st.sampled_from(["<", ">"]), extra_samples=st.lists(st.integers(0, 2), max_size=3).map(tuple),
        colour_map=st.binary(max_size=50), chroma=st.sampled_from(["444", "422", "420"]),
        prefix=st.binary(max_size=50),
    )
)  # fmt: skip
def test_storage_survives_round_trip_through_plan(storage: Storage) -> None:
    assert load_storage(json.loads(json.dumps(dump_storage(storage)))) == storage
