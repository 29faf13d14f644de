"""Every route, queue consumer and timer of Slidehook. No logic here."""

import logging
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate, Request, Response, SQSEvent

from chalicelib.adapters.request_context import write_json
from chalicelib.config import read_settings
from chalicelib.entrypoints import consumers, methods, pages
from chalicelib.services import Services

READ = ["GET", "HEAD"]

app = Chalice(app_name="slidehook")
app.log.setLevel(logging.INFO)
system = Services(read_settings())
write_json(app.log, worker=system.settings.worker)


def answer(handler: str, *arguments: str) -> Response:
    # Imported by the first request: queue consumers do not need it and start sooner without it.
    from chalicelib.entrypoints.http import responses

    return responses.answer(app.current_request, system, responses.handler(handler), *arguments)


@app.middleware("http")
def guard(request: Request, get_response: Callable[[Request], Response]) -> Response:
    from chalicelib.entrypoints.http.security_headers import guarded

    return guarded(request, system, get_response)


@app.middleware("http")
def refuse(request: Request, get_response: Callable[[Request], Response]) -> Response:
    from chalicelib.entrypoints.http.error_handlers import as_problem

    return as_problem(get_response(request))


# -- routes ----------------------------------------------------------------------------------------------------------


@app.route("/")
def index() -> Response:
    return pages.page(app.current_request, system, "index.html")


@app.route("/pages/{name}")
def page(name: str) -> Response:
    return pages.page(app.current_request, system, f"{name}.html")


@app.route("/static/{name}")
def static(name: str) -> Response:
    return pages.page(app.current_request, system, name)


@app.route("/static/vendor/{name}")
def vendor(name: str) -> Response:
    return pages.page(app.current_request, system, f"vendor/{name}")


@app.route("/health")
def health() -> Response:
    return answer("catalogue.health")


@app.route("/ready")
def ready() -> Response:
    return answer("ready.show_readiness")


@app.route("/openapi.json")
def openapi() -> Response:
    return answer("openapi.show_document")


@app.route("/sign-in")
def who() -> Response:
    return answer("sessions.who")


@app.route("/sign-in", methods=["POST"])
def sign_in() -> Response:
    return answer("sessions.sign_in")


@app.route("/sign-in/links", methods=["POST"])
def make_link() -> Response:
    return answer("sessions.make_link")


@app.route("/sign-in/links/{code}")
def open_link(code: str) -> Response:
    return answer("sessions.open_link", code)


@app.route("/sign-out", methods=["POST"])
def sign_out() -> Response:
    return answer("sessions.sign_out")


@app.route("/hooks/{name}", methods=["POST"])
def hook(name: str) -> Response:
    return answer("hooks.call_hook", name)


@app.route("/jobs")
def list_jobs() -> Response:
    return answer("jobs.list_jobs")


@app.route("/jobs/counts")
def count_jobs() -> Response:
    return answer("jobs.count_jobs")


@app.route("/jobs/{job_id}")
def show_job(job_id: str) -> Response:
    return answer("jobs.show_job", job_id)


@app.route("/jobs/{job_id}/events")
def show_events(job_id: str) -> Response:
    return answer("jobs.show_events", job_id)


@app.route("/jobs/{job_id}/map")
def show_map(job_id: str) -> Response:
    return answer("progress_map.show_map", job_id)


@app.route("/jobs/{job_id}/tiles/{name}")
def show_staged_tile(job_id: str, name: str) -> Response:
    return answer("progress_map.show_staged_tile", job_id, name)


@app.route("/jobs/{job_id}/cancel", methods=["POST"])
def cancel_job(job_id: str) -> Response:
    return answer("jobs.cancel_job", job_id)


@app.route("/jobs/{job_id}/retry", methods=["POST"])
def retry_job(job_id: str) -> Response:
    return answer("jobs.retry_job", job_id)


@app.route("/jobs/{job_id}/deliveries")
def list_deliveries(job_id: str) -> Response:
    return answer("deliveries.list_deliveries", job_id)


@app.route("/jobs/{job_id}/deliveries/{delivery}/replay", methods=["POST"])
def replay_delivery(job_id: str, delivery: str) -> Response:
    return answer("deliveries.replay_delivery", job_id, delivery)


@app.route("/uploads", methods=["POST"])
def begin_upload() -> Response:
    return answer("uploads.begin_upload")


@app.route("/uploads/parts", methods=["POST"])
def list_parts() -> Response:
    return answer("uploads.list_parts")


@app.route("/uploads/complete", methods=["POST"])
def complete_upload() -> Response:
    return answer("uploads.complete_upload")


@app.route("/uploads/abort", methods=["POST"])
def abort_upload() -> Response:
    return answer("uploads.abort_upload")


@app.route("/redrive", methods=["POST"])
def redrive_jobs() -> Response:
    return answer("jobs.redrive_jobs")


@app.route("/orphans")
def show_orphans() -> Response:
    return answer("jobs.show_orphans")


@app.route("/orphans", methods=["DELETE"])
def drop_orphans() -> Response:
    return answer("jobs.drop_orphans")


@app.route("/syncs")
def list_syncs() -> Response:
    return answer("syncs.list_syncs")


@app.route("/syncs/{sync_id}")
def show_sync(sync_id: str) -> Response:
    return answer("syncs.show_sync", sync_id)


@app.route("/tile", methods=READ)
def tile_by_query() -> Response:
    return answer("tiles.show_tile_by_query")


@app.route("/tile/{image_store}/{image}/{name}", methods=READ)
def tile(image_store: str, image: str, name: str) -> Response:
    return answer("tiles.show_tile", image_store, image, name)


@app.route("/thumb", methods=READ)
def thumbnail() -> Response:
    return answer("tiles.show_thumbnail")


@app.route("/beside/{image_store}/{image}/{name}")
def beside(image_store: str, image: str, name: str) -> Response:
    return answer("tiles.show_beside", image_store, image, name)


@app.route("/slides/{slide}", methods=READ)
def slide(slide: str) -> Response:
    return answer("slides.show_slide", slide)


@app.route("/slides/{slide}/{level}/{tile}", methods=READ)
def slide_tile(slide: str, level: str, tile: str) -> Response:
    return answer("slides.show_slide_tile", slide, level, tile)


@app.route("/iiif/{slide}", methods=READ)
def iiif(slide: str) -> Response:
    return answer("slides.redirect_to_info", slide)


@app.route("/iiif/{slide}/info.json", methods=READ)
def iiif_info(slide: str) -> Response:
    return answer("slides.show_info", slide)


@app.route("/iiif/{slide}/{region}/{size}/{rotation}/{picture}", methods=READ)
def iiif_region(slide: str, region: str, size: str, rotation: str, picture: str) -> Response:
    return answer("slides.show_region", slide, region, size, rotation, picture)


@app.route("/client")
def client_settings() -> Response:
    return answer("catalogue.client_settings")


@app.route("/collections")
def list_collections() -> Response:
    return answer("catalogue.list_collections")


@app.route("/collections/{collection}")
def show_collection(collection: str) -> Response:
    return answer("catalogue.show_collection", collection)


@app.route("/collections/{collection}/sessions", methods=["POST"])
def make_session(collection: str) -> Response:
    return answer("catalogue.make_session", collection)


@app.route("/sessions/{session}")
def show_session(session: str) -> Response:
    return answer("catalogue.show_session", session)


@app.route("/sessions/{session}/slides")
def show_slides(session: str) -> Response:
    return answer("catalogue.show_slides", session)


@app.route("/sessions/{session}/recreate", methods=["POST"])
def recreate_session(session: str) -> Response:
    return answer("catalogue.recreate", session)


methods.complete(app)


# -- queues and timer (infra/resources.yaml names the queues and how they are read) ------------------------------------


@app.on_sqs_message(queue="slidehook-arrivals", batch_size=10)
def arrivals(event: SQSEvent) -> Any:
    return consumers.on_arrivals(event.to_dict(), system)


@app.on_sqs_message(queue="slidehook-jobs", batch_size=1)
def jobs(event: SQSEvent) -> Any:
    return consumers.on_work(event.to_dict(), event.context, system)


@app.on_sqs_message(queue="slidehook-chunks", batch_size=1)
def chunks(event: SQSEvent) -> Any:
    return consumers.on_work(event.to_dict(), event.context, system)


@app.on_sqs_message(queue="slidehook-dead-letters", batch_size=10)
def dead_letters(event: SQSEvent) -> Any:
    return consumers.on_dead_letters(event.to_dict(), system)


@app.schedule(Rate(1, unit=Rate.MINUTES))
def minute(event: CloudWatchEvent) -> None:
    consumers.on_minute(system, event.context)
