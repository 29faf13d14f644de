"""The jobs page, a job's own page, and submitting: what a person sees and does there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import FRAMES, REAL, Published, Visit, picture, visit
from tests.e2e.system import LocalSystem
from tests.scan import real_scan
from tests.slides import Slide, write
from tests.timeouts import eventually

HOSTILE = "<img src=x onerror=alert(1)>.svs"
NO_SLIDE = b"This is no slide. " * 100
LOOK = re.compile(r"/jobs\?")  # what the list asks again and again
PART = 8 << 20


def scratched() -> bytes:
    """A slide of which three tiles cannot be read."""
    data = bytearray(write(Slide(width_px=1300, height_px=900, tile_size_px=128, levels=(0, 1), seed=3)))
    starts = [found.start() for found in re.finditer(b"\xff\xd8\xff", data)]
    for start in (starts[20], starts[30], starts[31]):
        data[start : start + 40] = bytes(40)
    return bytes(data)


@pytest.fixture
def signed(visitor: Visit, system: LocalSystem, no_tries_to_sign_in: None) -> Visit:
    """Somebody who may do all that a page offers."""
    visitor.page.context.request.post(
        f"{system.stack['api']}/sign-in",
        data=json.dumps({"token": system.stack["token"]}),
        headers={"Content-Type": "application/json", "X-Slidehook": "page", "Sec-Fetch-Site": "same-origin"},
    )
    return visitor


def row(page: Page, name: str) -> Any:
    """Return the row of a slide's upload; rows of other hooks say which."""
    return page.locator(".job").filter(has_text=name).filter(has_not=page.locator(".tag")).first


# -- the list ------------------------------------------------------------------------------------------------------------


def test_the_list_shows_every_job_with_its_state_and_progress(visitor: Visit, slides: Published) -> None:
    page = visitor.open(f"/?session={slides.session}")
    real = page.locator(".job", has=page.locator(f'a[href*="{slides[REAL]["id"]}"]'))
    expect(real).to_contain_text("done")
    expect(real.get_by_role("progressbar")).to_have_attribute("aria-valuetext", re.compile(r"^\d+ of \d+ tiles$"))
    real.get_by_role("link", name=REAL, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(REAL)
    assert slides[REAL]["id"] in page.url


def test_filters_stand_in_the_address_and_the_way_back_leads_back(visitor: Visit, slides: Published) -> None:
    page = visitor.open(f"/?session={slides.session}")
    row(page, REAL).wait_for()
    states = page.get_by_role("navigation", name="States")
    states.get_by_role("link", name="cancelled").click()
    expect(page.get_by_role("heading", name="No matching jobs")).to_be_visible()
    assert "state=cancelled" in page.url
    page.go_back()
    row(page, REAL).wait_for()
    expect(states.get_by_role("link", name="all")).to_have_attribute("aria-current", "true")
    page.goto(f"{page.url}&state=done")
    row(page, REAL).wait_for()
    expect(states.get_by_role("link", name="done")).to_have_attribute("aria-current", "true")


def test_what_a_name_holds_is_text(visitor: Visit, system: LocalSystem) -> None:
    job = system.ended(system.submit(system.put(HOSTILE, write(Slide(width_px=200, height_px=200, seed=8))))["id"])
    page = visitor.open(f"/?session={system.session}")
    expect(row(page, HOSTILE)).to_be_visible()
    page = visitor.open(f"/pages/job?id={job['id']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0


def test_a_failed_job_says_why_and_what_to_do_and_can_be_retried(signed: Visit, system: LocalSystem) -> None:
    data = write(Slide(width_px=900, height_px=700, seed=4))
    system.ended(system.submit(system.put("cut off.svs", data[: len(data) // 2]))["id"])
    page = signed.open(f"/?session={system.session}&state=failed")
    cut = row(page, "cut off.svs")
    expect(cut).to_contain_text("behind the file's end")
    expect(cut).to_contain_text("Upload the file again")
    cut.get_by_role("button", name="Retry cut off.svs").click()
    dialog = page.get_by_role("dialog", name="Retry “cut off.svs”?")
    expect(dialog).to_contain_text("only the missing tiles")
    dialog.get_by_role("button", name="Retry").click()
    expect(page.locator(".notice.success")).to_contain_text("cut off.svs is queued again.")
    page.get_by_role("link", name="cut off.svs", exact=True).click()
    expect(page.get_by_text("Attempt 2", exact=True)).to_be_visible()


def test_what_is_refused_is_a_sentence_and_the_list_stays(signed: Visit, slides: Published) -> None:
    signed.expected.append("409 POST")
    job = slides[REAL]

    def still_tiling(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for each in body["jobs"]:
            if each["id"] == job["id"]:
                each |= {"state": "tiling", "links": {**each["links"], "cancel": f"/jobs/{job['id']}/cancel"}}
        route.fulfill(response=answer, json=body)

    signed.page.route(LOOK, still_tiling)
    page = signed.open(f"/?session={slides.session}")
    row(page, REAL).get_by_role("button", name=f"Cancel {REAL}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("tiles that are not published are deleted")
    expect(dialog.get_by_role("button", name="Keep running")).to_be_focused()
    dialog.get_by_role("button", name="Cancel job").click()
    expect(page.get_by_role("alert").filter(has_text=REAL)).to_contain_text("done")
    expect(row(page, REAL)).to_be_visible()


def test_several_jobs_are_verified_at_once_after_a_question(
    signed: Visit, slides: Published, system: LocalSystem
) -> None:
    page = signed.open(f"/?session={slides.session}&hook=upload")
    for name in slides:
        row(page, name).get_by_role("checkbox").check()
    bulk = page.get_by_role("region", name="Selected jobs")
    expect(bulk.get_by_role("status")).to_have_text("2 selected")
    expect(bulk.get_by_role("button", name="Cancel")).to_be_disabled()
    bulk.get_by_role("button", name="Verify").click()
    dialog = page.get_by_role("dialog", name="Verify 2 jobs?")
    expect(dialog).to_contain_text(REAL)
    dialog.get_by_role("button", name="Verify").click()
    expect(page.locator(".notice.success")).to_contain_text("2 jobs are being verified.")
    expect(page.locator(".notice.success").get_by_role("link", name="View verifications")).to_be_visible()

    uploads = {each["id"] for each in slides.values()}

    def verified() -> list[dict[str, Any]] | None:
        listed = system.call("GET", f"/jobs?hook=verify&session={slides.session}").json()["jobs"]
        found = [each for each in listed if each["verification"]["job"] in uploads]
        return found if len(found) == len(uploads) and all(each["state"] == "done" for each in found) else None

    first, _ = eventually(verified, what="both verifications")
    page = signed.open(f"/pages/job?id={first['id']}")
    expect(page.get_by_text("All tiles are present and match the source.")).to_be_visible()
    expect(page.locator(".job-head .state")).to_have_text("done")


def test_a_verification_that_finds_faults_does_not_look_well_and_offers_to_publish_anew(
    signed: Visit, system: LocalSystem
) -> None:
    job = system.ended(
        system.submit(system.put("spoilt.svs", write(Slide(width_px=500, height_px=300, seed=31))))["id"]
    )
    with system.mongo() as client:
        client[job["result"]["database"]][job["result"]["image"]].delete_one({"name": "tqqq.jpg"})
    signed.expected.append("/tiles/t")  # the job's page looks for the tile that is gone
    page = signed.open(f"/pages/job?id={job['id']}")
    page.get_by_role("button", name="Verify").click()
    dialog = page.get_by_role("dialog", name="Verify “spoilt.svs”?")
    expect(dialog).to_contain_text("adds an attempt to the same job")
    dialog.get_by_role("button", name="Verify").click()
    page.locator(".notice.success").get_by_role("link", name="View verification").click()
    expect(page.locator(".job-head .state")).to_have_text("faults found")
    assert page.locator("progress.done").count() == 0
    found = page.locator(".notice.faults")
    expect(found).to_contain_text("1 fault found: 1 missing. The published slide does not change")
    expect(found.get_by_role("link", name="View slide")).to_have_attribute("href", re.compile(f"slide={job['id']}$"))
    listed = signed.open(f"/?session={system.session}&hook=verify").locator(".job", has_text="spoilt.svs")
    expect(listed.locator(".state")).to_have_text("faults found")
    expect(listed.get_by_role("progressbar")).to_have_class("faulty")
    listed.get_by_role("link", name="spoilt.svs").click()
    found.get_by_role("button", name="Republish").click()
    page.get_by_role("dialog").get_by_role("button", name="Republish").click()
    expect(found).to_contain_text("The slide was republished by attempt 2")
    page.locator(".notice.success").get_by_role("link", name="View verification").click()
    expect(found).to_contain_text("The slide was republished by attempt 2")
    found.get_by_role("link", name="View upload job").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("spoilt.svs")
    expect(page.locator(".job-head .state")).to_have_text("done")


def test_a_slide_is_removed_after_a_question_that_says_what_happens(signed: Visit, system: LocalSystem) -> None:
    data = write(Slide(width_px=300, height_px=200, seed=12))
    job = system.ended(system.submit(system.put("to be removed.svs", data))["id"])
    page = signed.open(f"/pages/job?id={job['id']}")
    page.get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The file in S3 is kept")
    page.keyboard.press("Escape")
    assert job["result"]["view"] in system.session_views()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator(".notice.success")).to_contain_text("is removed")
    assert job["result"]["view"] not in system.session_views()


def look_again(page: Page) -> None:
    """Let time pass until the list has asked again and is drawn. The page's clock has to be installed."""
    for _ in range(2):  # it asks a second time after it has drawn the first answer
        with page.expect_response(LOOK):
            page.clock.fast_forward(60_000)


def test_the_list_is_used_by_keyboard(slow_visitor: Visit, slides: Published) -> None:
    page = slow_visitor.open(f"/?session={slides.session}")
    row(page, REAL).wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    names = page.locator(".job .name")
    names.first.focus()
    page.keyboard.press("ArrowDown")
    expect(names.nth(1)).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_role("region", name="Selected jobs")).to_contain_text("1 selected")
    look_again(page)
    expect(names.nth(1)).to_be_focused()


def test_a_service_that_is_away_is_said_and_what_was_seen_stays(slow_visitor: Visit, slides: Published) -> None:
    slow_visitor.expected += ["failed:", "ERR_INTERNET_DISCONNECTED"]
    page = slow_visitor.open(f"/?session={slides.session}")
    row(page, REAL).wait_for()
    page.context.set_offline(True)
    page.clock.fast_forward(60_000)
    expect(page.get_by_text("retrying in")).to_be_visible()
    expect(row(page, REAL)).to_be_visible()
    page.context.set_offline(False)
    page.clock.fast_forward(120_000)
    expect(page.locator(".connection")).to_have_text("live")


def test_a_paused_list_asks_nothing(slow_visitor: Visit, slides: Published) -> None:
    page = slow_visitor.open(f"/?session={slides.session}")
    row(page, REAL).wait_for()
    page.get_by_role("button", name="Pause", exact=True).click()
    slow_visitor.settled()  # what it had asked before is answered
    before = len(slow_visitor.asked)
    page.clock.run_for(300_000)
    page.evaluate(FRAMES)
    assert slow_visitor.asked[before:] == []
    with page.expect_response(LOOK):
        page.get_by_role("button", name="Resume", exact=True).click()


def test_a_service_that_answers_slowly_is_asked_less_often(visitor: Visit) -> None:
    page = visitor.open("/pages/api")  # it asks nothing by itself
    waits = page.evaluate("""async () => {
      const { poll } = await import("/static/lib/poll.js");
      const waits = [];
      const later = window.setTimeout;
      let now = 0;
      performance.now = () => now;
      window.setTimeout = (then, wait) => (waits.push(wait), later(then, 0));
      const answers = [20, 7000, 3_600_000];
      const look = async () => {
        if (waits.length === answers.length) return null;
        now += answers[waits.length];
        return 1500;
      };
      await new Promise((done) => poll(look, { onState: (state) => state === "ended" && done() }));
      return waits;
    }""")
    assert waits == [1500, 7000, 60_000]


def test_the_list_fits_a_phone(phone: Visit, slides: Published) -> None:
    page = phone.open(f"/?session={slides.session}")
    row(page, REAL).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # No extension and no figure is broken.
    assert page.evaluate(
        "[...document.querySelectorAll('.job .nowrap')].every((each) => each.getClientRects().length === 1)"
    )
    expect(page.get_by_label("File name or ID")).to_be_hidden()
    page.get_by_text("Filters (1)", exact=True).click()  # the session in the address is one
    page.locator("select[name=hook]").select_option("upload")
    expect(page.get_by_text("Filters (2)", exact=True)).to_be_visible()
    row(page, REAL).wait_for()


# -- one job -------------------------------------------------------------------------------------------------------------


def test_a_damaged_tile_is_marked_with_its_reason(visitor: Visit, system: LocalSystem) -> None:
    job = system.ended(system.submit(system.put("scratched.svs", scratched()))["id"])
    assert job["bad_tiles"]["count"] == 3
    page = visitor.open(f"/pages/job?id={job['id']}")
    marks = page.locator(".mark")
    expect(marks).to_have_count(3)
    recorded = marks.first.locator(".tooltip")
    expect(recorded).to_be_hidden()
    marks.first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(recorded).to_be_visible()
    assert job["bad_tiles"]["items"][0]["reason"] in str(recorded.text_content())
    expect(page.get_by_text("3 damaged tiles")).to_be_visible()


def test_a_job_tells_its_cost_its_chunks_and_when_each_thing_happened(visitor: Visit, slides: Published) -> None:
    job = slides[REAL]
    page = visitor.open(f"/pages/job?id={job['id']}")
    log = page.get_by_role("list", name="Log")
    total = job["chunks"]["total"]
    expect(log).to_contain_text(f"{total} of {total} chunk")
    # With its date and its zone.
    expect(log.locator("time").first).to_have_attribute("title", re.compile(r"20\d\d.*\d:\d\d.* [A-Z]+"))
    expect(page.locator(".figures dt").last).to_have_text("Cost")
    expect(page.locator(".facts dt", has_text="Tile size")).to_be_visible()
    expect(page.locator(".card.facts")).to_contain_text("Default options")


def test_less_than_a_tenth_of_a_second_is_not_told_as_none(visitor: Visit) -> None:
    page = visitor.open("/pages/api")
    texts = page.evaluate("import('/static/lib/format.js').then(({ seconds }) => [0, 0.04, 0.06, 3.8].map(seconds))")
    assert texts == ["< 0.1 s", "< 0.1 s", "0.1 s", "3.8 s"]


def test_a_job_that_is_not_there_is_said_so(visitor: Visit) -> None:
    visitor.expected.append("404 GET")
    page = visitor.open(f"/pages/job?id={'0' * 32}")
    expect(page.get_by_role("heading", name="Job not found")).to_be_visible()


def test_the_pyramid_is_seen_filling_up_and_the_slide_before_it_is_published(
    visitor: Visit, system: LocalSystem
) -> None:
    visitor.expected.append("/tiles/t")  # a tile that is told to be staged a moment before it is
    data = write(Slide(width_px=1500, height_px=1000, tile_size_px=128, levels=(0, 1, 2, 3), seed=5))
    with system.barrier(step="tile", from_chunk=1):
        with system.barrier(step="plan"):
            job = system.submit(system.put("filling.svs", data))
            page = visitor.open(f"/pages/job?id={job['id']}")
            expect(page.get_by_text("Waiting for a worker")).to_be_visible()
        eventually(lambda: system.job(job["id"])["tiles"]["done"], what="the first chunk")
        base = page.get_by_role("img", name=re.compile("^Level 0: "))
        visitor.until("[...document.querySelectorAll('.grid canvas')].some((each) => !/ 0 of /.test(each.ariaLabel))")
        expect(base).not_to_have_attribute("aria-label", re.compile("100 %"))
        assert system.job(job["id"])["state"] == "tiling"
        assert system.session_views() == []
    expect(base).to_have_attribute("aria-label", re.compile("100 %"))
    expect(page.locator(".job-head .state")).to_have_text("done")
    visitor.until("document.querySelector('.preview canvas').ariaLabel.includes('100 %')")
    colours = page.evaluate(
        "(() => { const one = document.querySelector('.preview canvas'); const data = one.getContext('2d')"
        ".getImageData(0, 0, one.width, one.height).data; let drawn = 0;"
        " for (let at = 3; at < data.length; at += 4) drawn += data[at] === 255; return drawn / (data.length / 4) })()"
    )
    assert colours == 1.0


# -- submitting ----------------------------------------------------------------------------------------------------------


def submitting(signed: Visit, system: LocalSystem) -> Page:
    """Return the submit page with a place chosen: others may have made sessions, and then nobody guesses which."""
    page = signed.open("/pages/submit")
    page.get_by_role("combobox", name="Collection", exact=True).select_option(system.stack["collection"])
    page.get_by_role("combobox", name="Session", exact=True).select_option(system.session)
    return page


def test_a_local_slide_goes_straight_to_s3_and_is_published(signed: Visit, system: LocalSystem, tmp_path: Path) -> None:
    slide, other = tmp_path / "dropped.svs", tmp_path / "notes.svs"
    slide.write_bytes(real_scan().read_bytes())
    other.write_bytes(NO_SLIDE)
    page = submitting(signed, system)
    expect(page.get_by_role("button", name="Choose files")).to_be_enabled()
    page.set_input_files("#files", [slide, other])
    notes = page.get_by_role("article", name="notes.svs")
    expect(notes.get_by_role("alert")).to_contain_text("Rejected: The file is not a TIFF")
    dropped = page.get_by_role("article", name="dropped.svs")
    expect(dropped).to_contain_text("Published")
    expect(dropped.get_by_role("link", name="View dropped.svs")).to_be_visible()
    dropped.get_by_role("link", name="View job").click()
    expect(page.locator(".job-head .state")).to_have_text("done")
    assert "dropped.svs" in page.title()


def test_an_upload_goes_on_after_the_page_was_loaded_again(signed: Visit, system: LocalSystem, tmp_path: Path) -> None:
    slide = tmp_path / "resumed.svs"
    # Three parts: what follows the last byte of a slide belongs to nothing.
    slide.write_bytes(write(Slide(seed=5)).ljust(2 * PART + 1000, b"\0"))
    page = signed.page

    def is_part(number: int) -> re.Pattern[str]:
        return re.compile(rf"partNumber={number}\b")

    def stored(number: int) -> bool:
        return any(is_part(number).search(each.url) and each.ok for each in signed.fetched)

    page.route(is_part(3), lambda _route: None)  # it is on its way for as long as the page is there
    submitting(signed, system)
    expect(page.get_by_role("button", name="Choose files")).to_be_enabled()
    page.set_input_files("#files", [slide])
    sent = page.get_by_role("article", name="resumed.svs").get_by_role("progressbar")
    signed.eventually(lambda: stored(1) and stored(2), what="two parts in S3")
    expect(sent).to_have_attribute("aria-valuetext", "99 %")
    page.reload()
    expect(page.get_by_role("heading", name="Unfinished uploads")).to_be_visible()
    page.unroute(is_part(3))
    before = len(signed.asked)
    expect(page.get_by_role("button", name="Choose files")).to_be_enabled()
    page.set_input_files("#files", [slide])
    page.get_by_role("link", name="View job").wait_for()
    sent_again = [url for url in signed.asked[before:] if "partNumber=" in url]
    assert {bool(is_part(3).search(url)) for url in sent_again} == {True}
    expect(page.get_by_role("heading", name="Unfinished uploads")).to_be_hidden()


def test_what_would_become_of_a_slide_is_shown_before_it_is_published(signed: Visit, system: LocalSystem) -> None:
    source = system.put("shown before.svs", write(Slide(width_px=900, height_px=700, seed=6, levels=(0, 1))))
    page = submitting(signed, system)
    page.get_by_label("S3 URI").fill(source)
    page.get_by_role("button", name="Inspect").click()
    item = page.get_by_role("article", name="shown before.svs")
    expect(item).to_contain_text("900 × 700 px")
    expect(item.get_by_role("table")).to_contain_text("copied")
    assert system.call("GET", f"/jobs?session={system.session}").json()["jobs"] == []
    item.get_by_role("button", name="Publish").click()
    item.get_by_role("link", name="View job").wait_for()
    assert len(system.call("GET", f"/jobs?session={system.session}").json()["jobs"]) == 1


def test_a_slide_that_would_be_refused_says_why(signed: Visit, system: LocalSystem) -> None:
    page = submitting(signed, system)
    page.get_by_label("S3 URI").fill(system.put("no slide.svs", NO_SLIDE))
    page.get_by_role("button", name="Inspect").click()
    item = page.get_by_role("article", name="no slide.svs")
    expect(item.get_by_role("alert")).to_contain_text("Cannot be published: ")
    expect(item.get_by_role("alert")).to_contain_text("does not begin with a TIFF header")
    assert item.get_by_role("button", name="Publish").count() == 0


def test_a_card_follows_its_job_and_says_why_it_failed(signed: Visit, system: LocalSystem, tmp_path: Path) -> None:
    slide = tmp_path / "fails on the way.svs"
    slide.write_bytes(scratched())
    page = submitting(signed, system)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Damaged tiles").select_option("fail")
    page.get_by_label("Tile size (px)").wait_for()
    item = page.get_by_role("article", name=slide.name)
    with system.barrier(step="plan"):
        page.set_input_files("#files", [slide])
        expect(item).to_contain_text("Waiting for a worker")
    expect(item.get_by_role("alert")).to_be_visible(timeout=60_000)
    expect(item.locator(".state")).to_have_text("failed")
    assert item.get_by_role("link", name=f"View {slide.name}").count() == 0


# -- pictures --------------------------------------------------------------------------------------------------------------


def test_pictures_of_the_pages(chromium: Browser, system: LocalSystem, slides: Published) -> None:
    for made in visit(chromium, system):
        made.shows_slides_of_others()
        page = made.open("/")
        made.settled()
        picture(page, "jobs-page")
        page = made.open(f"/pages/job?id={slides[REAL]['id']}")
        page.get_by_text("Published slide").wait_for()
        picture(page, "job-page")
