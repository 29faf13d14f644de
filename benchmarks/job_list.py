"""The page of jobs in Chromium: when its first content is there with few jobs in the table, and with very many."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3

from benchmarks.system import System, running
from chalicelib.cli.progress import progress_bar
from chalicelib.core.ids import content_id

FEW, MANY = 100, 100_000
LOADS = 9
BATCH = 25  # the most that one BatchWriteItem takes
SETTLE_SECONDS = 60
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
# When the first job stands in the document. Chromium tells when the first content was painted by itself.
WATCH = """
new MutationObserver((_, observer) => {
  if (document.querySelector(".job[role=listitem]")) { window.firstJobAt = performance.now(); observer.disconnect(); }
}).observe(document, {childList: true, subtree: true});
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def measure(folder: Path, first: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Load the page in turn from a system with FEW and from one with MANY jobs; yield name and figures of each load.

    The figures: milliseconds from the start of the navigation until the first content is painted, and until the first
    job is in the document; of the list's query, asked of the emulator itself, which sorts all jobs for each; requests,
    bytes, and bytes of scripts. Raises RuntimeError.
    """
    if (chromium := shutil.which("chromium") or shutil.which("chromium-browser")) is None:
        raise RuntimeError("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with ExitStack() as stack:
        systems = {count: stack.enter_context(running(folder / f"jobs-{count}", first)) for count in (FEW, MANY)}
        for count, system in systems.items():
            _fill(system, count)
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=chromium, args=FLAGS)
        stack.callback(browser.close)
        for number in range(LOADS + 1):
            for count, system in systems.items():
                system.quiet()  # what a page that was left had asked for is still being answered
                figures = _load(browser, system)
                if number:  # the first one warms the service
                    yield f"page of {count} jobs", figures


def _fill(system: System, count: int) -> None:
    """Write jobs that are done into the table, each a second older than the one before it: like the first one, but for
    its id, its file and its times."""
    client, table = _table(system), system.document()["jobs_table"]
    done = next(item for item in client.scan(TableName=table)["Items"] if item["sk"]["S"] == "job")
    print(f"writing {count} jobs", flush=True)
    with progress_bar(label=f"{count} jobs", total=count, unit="job", redraw_seconds=1.0) as bar:
        for start in range(0, count - 1, BATCH):
            numbers = range(start, min(start + BATCH, count - 1))
            unwritten = [{"PutRequest": {"Item": _like(done, number)}} for number in numbers]
            while unwritten:
                answer = client.batch_write_item(RequestItems={table: unwritten})
                unwritten = answer["UnprocessedItems"].get(table, [])
            bar.update(len(numbers))


def _table(system: System) -> Any:
    document = system.document()
    return boto3.client(
        "dynamodb",
        endpoint_url=document["aws_endpoint"],
        region_name=document["region"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def _like(done: Mapping[str, Any], number: int) -> dict[str, Any]:
    job_id, older = content_id("job", {"number": number}), number + 1
    times = {
        name: {"N": str(float(done[name]["N"]) - older)}
        for name in ("submitted_at", "started_at", "updated_at", "ended_at")
    }
    return {**done, **times, "pk": {"S": f"job#{job_id}"}, "id": {"S": job_id}}


def _load(browser: Any, system: System) -> dict[str, float]:
    """Load the page as somebody does who never saw it."""
    query_ms = _query_ms(system)  # before the page asks for more than that
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        page = context.new_page()
        sizes: list[dict[str, int]] = []
        scripts: list[int] = []

        def count(request: Any) -> None:
            size = request.sizes()
            sizes.append(size)
            if request.resource_type == "script":
                scripts.append(size["responseBodySize"])

        page.on("requestfinished", count)
        page.add_init_script(WATCH)
        page.goto(system.stack.api + "/")
        deadline = time.monotonic() + SETTLE_SECONDS
        while not (first := page.evaluate("window.firstJobAt ?? 0")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the page shows no job after {SETTLE_SECONDS} s")
            page.wait_for_timeout(20)
        page.wait_for_timeout(200)
        painted = page.evaluate(PAINTED)
    finally:
        context.close()
    return {
        "painted_ms": painted,
        "first_job_ms": first,
        "query_ms": query_ms,
        "requests": float(len(sizes)),
        "bytes": float(sum(each["responseBodySize"] + each["responseHeadersSize"] for each in sizes)),
        "script_bytes": float(sum(scripts)),
    }


def _query_ms(system: System) -> float:
    """Return how long the emulator takes for what the list asks of it. DynamoDB sorts an index when it is written to:
    there, this does not depend on the number of jobs."""
    client = _table(system)
    begun = time.perf_counter()
    client.query(
        TableName=system.document()["jobs_table"],
        IndexName="recent",
        KeyConditionExpression="gsi_recent = :job",
        ExpressionAttributeValues={":job": {"S": "job"}},
        ScanIndexForward=False,
        Limit=51,
    )
    return (time.perf_counter() - begun) * 1000
