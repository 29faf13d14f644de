"""The viewer: the file's own pixels, where one looks, and two slides side by side."""

import io
import math

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import ImageCms
from playwright.sync_api import expect

from tests.browser.conftest import REAL, YCBCR, Published, Visit, picture
from tests.e2e.system import LocalSystem
from tests.scan import real_scan
from tests.slides import Slide, write
from tests.timeouts import eventually

Pixels = npt.NDArray[np.uint8]
# (Mean, 99th percentile) of the difference. Browsers interpolate coarse colour in ways of their own; a wrong colour
# space is off by dozens everywhere.
TOLERANCE = {REAL: (1.0, 3.0), "ycbcr.svs": (5.0, 25.0)}
HALF_PX = 150


def source_pixels(name: str) -> Pixels:
    data = real_scan().read_bytes() if name == REAL else write(YCBCR)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        found: Pixels = tiff.pages[0].asarray()
    return found


def around_the_middle(screen: Pixels, side_px: int = 2 * HALF_PX) -> Pixels:
    """Return the square in which the pixel that the address names is the first one behind the middle. Where the screen
    has an odd number of rows the slide, which is drawn from pixel to pixel, lies half a one lower."""
    row, column = (math.floor(size / 2 + 0.5) - side_px // 2 for size in screen.shape[:2])
    return screen[row : row + side_px, column : column + side_px]


def assert_alike(seen: Pixels, expected: Pixels, name: str) -> None:
    difference = np.abs(seen.astype(int) - expected.astype(int))
    mean, nearly_all = TOLERANCE[name]
    assert difference.mean() < mean
    assert np.percentile(difference, 99) <= nearly_all


@pytest.mark.parametrize(("name", "x", "y"), [(REAL, 1110, 1480), ("ycbcr.svs", 350, 250)])
def test_a_slide_at_full_resolution_shows_the_pixels_of_its_file(
    visitor: Visit, slides: Published, name: str, x: int, y: int
) -> None:
    visitor.open_viewer(slides[name], place=f"{x},{y},1")
    expected = source_pixels(name)[y - HALF_PX : y + HALF_PX, x - HALF_PX : x + HALF_PX]
    assert_alike(around_the_middle(visitor.pixels()), expected, name)


@pytest.mark.parametrize("name", [REAL, "ycbcr.svs"])
def test_a_slide_ends_where_its_file_ends_and_not_where_its_tiles_end(
    visitor: Visit, slides: Published, name: str
) -> None:
    pixels = source_pixels(name)
    height, width = pixels.shape[:2]
    visitor.open_viewer(slides[name], place=f"{width},{height},1")
    seen = around_the_middle(visitor.pixels())
    assert_alike(seen[:HALF_PX, :HALF_PX], pixels[-HALF_PX:, -HALF_PX:], name)
    beyond = np.concatenate([seen[HALF_PX:].reshape(-1, 3), seen[:, HALF_PX:].reshape(-1, 3)])
    assert len(np.unique(beyond, axis=0)) == 1


@pytest.mark.parametrize("name", [REAL, "ycbcr.svs"])
def test_a_coarser_level_shows_the_same_place(visitor: Visit, slides: Published, name: str) -> None:
    pixels = source_pixels(name).astype(float)
    x, y = (1100, 1480) if name == REAL else (352, 248)
    side = 200
    visitor.open_viewer(slides[name], place=f"{x},{y},0.5")
    seen = around_the_middle(visitor.pixels(), side).astype(float)
    region = pixels[y - side : y + side, x - side : x + side]
    halved = region.reshape(side, 2, side, 2, 3).mean(axis=(1, 3))
    # Twice through JPEG, and drawn between pixels: alike on average, and nowhere moved by a pixel.
    assert np.abs(seen - halved).mean() < 6
    for moved in (np.roll(halved, 1, 0), np.roll(halved, 1, 1), np.roll(halved, -1, 0), np.roll(halved, -1, 1)):
        assert np.abs(seen - halved).mean() < np.abs(seen - moved).mean()


def test_a_slide_is_opened_as_a_whole_with_scale_magnification_and_map(visitor: Visit, slides: Published) -> None:
    page = visitor.open_viewer(slides[REAL])
    x, y, zoom = visitor.place()
    assert (x, y) == (1110, 1483.5)
    assert zoom == pytest.approx(page.locator(".pane").bounding_box()["height"] / 2967, rel=0.001)  # type: ignore[index]
    assert page.title() == f"{REAL} · Slidehook"
    assert (
        page.locator(".slide-info p").inner_text()
        == "2,220 × 2,967 px · 1.11 mm wide · 0.499 µm per pixel · 20× · Aperio"
    )
    assert page.locator(".scale-length").inner_text() == "200 µm"
    # 200 µm are 200 / 0.499 pixels of the slide.
    assert page.locator(".scale-bar").bounding_box()["width"] == pytest.approx(200 / 0.499 * zoom, abs=1)  # type: ignore[index]
    assert page.locator(".magnification").inner_text() == "4.8×"
    assert page.locator(".map .displayregion").is_visible()
    picture(visitor.open_viewer(slides[REAL], place="1420,1130,0.8"), "viewer")


def test_a_link_shows_the_view_that_it_was_taken_of(visitor: Visit, slides: Published) -> None:
    page = visitor.open_viewer(slides[REAL])
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("r")
    visitor.until("location.hash.endsWith(',1,90')")
    visitor.drawn()
    # The map has its own way of looking busy after a turn: what is compared is the slide.
    link, seen = page.url, around_the_middle(visitor.pixels())
    assert visitor.place()[0] > 1110
    page.goto("about:blank")
    page.goto(link)
    visitor.drawn()
    assert page.url == link
    assert np.abs(around_the_middle(visitor.pixels()).astype(int) - seen).mean() < 0.5


def test_where_a_person_goes_stands_in_the_address(visitor: Visit, slides: Published) -> None:
    page = visitor.open_viewer(slides[REAL], place="1000,1000,1")
    visited = page.evaluate("history.length")
    page.mouse.move(640, 400)
    page.mouse.down()
    page.mouse.move(540, 350, steps=4)
    page.mouse.up()
    visitor.until("location.hash === '#1100,1050,1'")
    page.mouse.wheel(0, -300)
    visitor.until("Number(location.hash.split(',')[2]) > 1.1")
    # Back and forth between slides, not between movements.
    assert page.evaluate("history.length") == visited


def test_a_slide_is_opened_by_its_view_and_by_its_image_as_well(visitor: Visit, slides: Published) -> None:
    job = slides[REAL]
    shown = job["result"]
    for address in (shown["view"], f"{shown['image_store']}-{shown['image']}"):
        page = visitor.open(f"/pages/viewer?slide={address}")
        visitor.drawn()
        assert page.locator(".slide-info h2").inner_text() == REAL
        assert page.get_by_role("link", name="Job", exact=True).get_attribute("href").endswith(job["id"])  # type: ignore[union-attr]


def test_a_tile_is_fetched_once_and_then_kept(visitor: Visit, slides: Published) -> None:
    visitor.open_viewer(slides[REAL])
    visitor.fetched.clear()
    visitor.page.goto("about:blank")
    visitor.open_viewer(slides[REAL])
    tiles = [each for each in visitor.fetched if each.url.endswith(".jpg")]
    assert tiles
    assert {each.headers["cache-control"] for each in tiles} == {"public, max-age=604800, immutable"}
    fetched = "performance.getEntriesByType('resource').filter((each) => each.name.endsWith('.jpg'))"
    assert visitor.page.evaluate(f"{fetched}.reduce((bytes, each) => bytes + each.transferSize, 0)") == 0


def test_a_tile_that_is_not_there_is_shown_from_the_level_above(visitor: Visit, system: LocalSystem) -> None:
    slide = Slide(width_px=700, height_px=500, levels=(0, 1, 2), sparse=frozenset({(0, 3, 2)}))
    job = system.ended(system.submit(system.put("sparse.svs", write(slide)), on_bad_tile="skip")["id"])
    assert job["levels"][0]["sparse"] == 1
    visitor.expected += ["404 GET", "Tile %s failed to load"]
    visitor.open_viewer(job, place="224,160,1")
    seen = around_the_middle(visitor.pixels()).astype(int)
    whole = system.ended(
        system.submit(system.put("whole.svs", write(Slide(width_px=700, height_px=500, levels=(0, 1, 2)))))["id"]
    )
    visitor.open_viewer(whole, place="224,160,1")
    expected = around_the_middle(visitor.pixels()).astype(int)
    hole = (slice(HALF_PX - 32, HALF_PX + 32),) * 2
    assert 0 < np.abs(seen[hole] - expected[hole]).mean() < 25  # coarser, and the same picture
    seen[hole] = expected[hole]
    assert np.abs(seen - expected).mean() < 0.5


def test_a_large_slide_without_coarser_levels_is_shown_in_part_and_says_so(visitor: Visit, system: LocalSystem) -> None:
    data = write(Slide(width_px=2000, height_px=1700, tile_size_px=128, tables=True))  # too many tiles for one view
    job = system.ended(system.submit(system.put("base only.svs", data), base_only=True)["id"])
    assert [level["tiles"] for level in job["levels"]] == [16 * 14]
    page = visitor.open_viewer(job)
    expect(page.get_by_text("The whole slide cannot be displayed.")).to_be_visible()
    assert page.locator(".map").is_hidden()
    page.keyboard.press("1")
    visitor.until("location.hash.endsWith(',1')")
    page.keyboard.press("0")  # the way to the whole slide leads no further out
    visitor.until("!location.hash.endsWith(',1')")
    assert visitor.place()[2] == 0.5
    page.goto("about:blank")
    visitor.open_viewer(job, place="1000,750,1")
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        expected = tiff.pages[0].asarray()[750 - HALF_PX : 750 + HALF_PX, 1000 - HALF_PX : 1000 + HALF_PX]
    assert_alike(around_the_middle(visitor.pixels()), expected, "ycbcr.svs")
    # Where slides are listed it has a sign in place of a picture, which would be a tile that is not there.
    page = visitor.open(f"/?session={system.session}")
    expect(page.locator(".job[role=listitem] svg.thumbnail.none")).to_have_count(1)


def test_a_colour_profile_is_offered_and_said_not_to_be_applied(visitor: Visit, system: LocalSystem) -> None:
    profile = bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.full((300, 400, 3), 200, np.uint8),
        photometric="rgb",
        compression="jpeg",
        tile=(64, 64),
        iccprofile=profile,
    )
    job = system.ended(system.submit(system.put("profile.tif", file.getvalue()))["id"])
    page = visitor.open_viewer(job)
    page.get_by_text("Colour profile", exact=True).click()
    expect(page.get_by_text("The viewer does not apply it")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download profile").click()
    assert waiting.value.suggested_filename == "profile.icc"
    assert waiting.value.path().read_bytes() == profile


def test_the_pyramid_of_a_slide_that_is_dropped_in_is_seen_filling(visitor: Visit, system: LocalSystem) -> None:
    data = write(Slide(width_px=1000, height_px=800, seed=7))
    key = f"{system.stack['collection']}/{system.session}/filling.svs"
    tiles = 16 * 13
    with system.barrier(step="tile", from_chunk=1) as barrier:
        system.s3().put_object(Bucket=system.stack["bucket"], Key=key, Body=data)

        def first_chunk_done() -> str | None:
            jobs = system.call("GET", f"/jobs?session={system.session}").json()["jobs"]
            return next((job["id"] for job in jobs if job["tiles"]["done"]), None)

        job = eventually(first_chunk_done, what="the first chunk")
        base = system.call("GET", f"/jobs/{job}/map").json()["levels"][0]
        assert 0 < base["tiles_done"] < tiles
        page = visitor.open(f"/pages/job?id={job}")
        page.get_by_role("img", name=f"Level 0: {base['tiles_done']} of {tiles} tiles").wait_for()
        barrier.remove()
        page.get_by_role("img", name=f"Level 0: {tiles} of {tiles} tiles, 100 %").wait_for()
    page.get_by_role("link", name="View slide", exact=True).click()
    visitor.drawn()
    assert page.locator(".slide-info h2").inner_text() == "filling.svs"


def test_a_slide_that_is_on_its_way_opens_by_itself(visitor: Visit, system: LocalSystem) -> None:
    with system.barrier(step="plan"):
        job = system.submit(system.put("awaited.svs", write(Slide(width_px=300, height_px=200, seed=5))))
        page = visitor.open(f"/pages/viewer?slide={job['id']}")
        page.get_by_text("This slide is not published yet.").wait_for()
    visitor.drawn()
    assert page.locator(".slide-info h2").inner_text() == "awaited.svs"


def test_two_slides_move_together_at_one_scale_until_they_are_let_loose(visitor: Visit, slides: Published) -> None:
    page = visitor.open_viewer(slides[REAL], slides["ycbcr.svs"])
    close = page.get_by_role("button", name="Close")
    assert close.first.bounding_box()["y"] == close.last.bounding_box()["y"]  # type: ignore[index]
    assert page.locator(".slide-info h2").first.get_attribute("title") == REAL
    left, right = visitor.place(0), visitor.place(1)
    assert (left[:2], right[:2]) == ([1110, 1483.5], [350, 250])
    # 0.499 and 0.5 µm per pixel: a millimetre is as long in both.
    assert right[2] / left[2] == pytest.approx(0.5 / 0.499, rel=0.001)
    page.mouse.move(300, 400)
    page.mouse.down()
    page.mouse.move(250, 380, steps=4)
    page.mouse.up()
    # The address follows the movement: it may have stopped on the way for a moment.
    visitor.eventually(lambda: (visitor.place(0)[0] - left[0]) * left[2] == pytest.approx(50, abs=1), what="the move")
    moved_left, moved_right = visitor.place(0), visitor.place(1)
    assert (moved_right[0] - right[0]) * right[2] == pytest.approx(50, abs=1)
    assert (moved_right[1] - right[1]) * right[2] == pytest.approx(20, abs=1)
    page.get_by_role("button", name="Synchronize views").click()
    page.mouse.move(900, 400)
    page.mouse.wheel(0, -300)
    visitor.until(f"Number(location.hash.split(';')[1].split(',')[2]) > {moved_right[2] * 1.05}")
    assert visitor.place(0) == moved_left
    page.get_by_role("button", name="Close").last.click()
    page.wait_for_url(f"**/viewer?slide={slides[REAL]['id']}#*")


def test_the_other_slide_is_chosen_from_the_session(visitor: Visit, slides: Published) -> None:
    page = visitor.open_viewer(slides[REAL])
    page.keyboard.press("c")
    page.get_by_role("dialog").get_by_role("button", name="ycbcr.svs").click()
    page.wait_for_url(f"**/viewer?slide={slides[REAL]['id']}&with={slides['ycbcr.svs']['id']}#*")
    visitor.drawn(2)


@pytest.mark.parametrize("address", ["", "x", "0" * 32, "?"])
def test_a_slide_that_does_not_exist_is_a_sentence_and_a_way_on(visitor: Visit, address: str) -> None:
    visitor.expected += ["404 GET", "422 GET"]
    page = visitor.open(f"/pages/viewer?slide={address}")
    page.get_by_role("heading", name="Slide not found").wait_for()
    page.get_by_role("link", name="All slides").wait_for()
    assert page.locator(".tools").is_hidden()  # there is nothing to do with it


def test_the_viewer_fits_a_phone_and_is_moved_by_touch(phone: Visit, slides: Published) -> None:
    page = phone.open_viewer(slides[REAL])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    before = phone.place()[2]
    page.get_by_role("button", name="Zoom in").tap()
    phone.until(f"Number(location.hash.split(',')[2]) > {before * 1.4}")


def test_two_slides_on_a_phone_have_no_map(phone: Visit, slides: Published) -> None:
    page = phone.open_viewer(slides[REAL], slides["ycbcr.svs"])
    assert [each.is_visible() for each in page.locator(".map").all()] == [False, False]
    assert page.get_by_role("button", name="Map").count() == 0
