"""Collections and sessions, and what a client has to know of the service."""

from chalice.app import Request, Response

from chalicelib.entrypoints.http.auth import may_administer, may_read, may_submit, see_collection, seen_session
from chalicelib.entrypoints.http.queries import SlidesQuery, asked
from chalicelib.entrypoints.http.responses import answered, body_of, found_or_404, object_id_in
from chalicelib.hooks import validated
from chalicelib.hooks.session import SessionParameters
from chalicelib.ports.archive import CollectionFacts, SessionFacts, ShownSlide, SlidePage
from chalicelib.services import Services
from chalicelib.steps.control import recreate_session


def health(_request: Request, _system: Services) -> Response:
    return answered({"status": "ok"})


def client_settings(request: Request, system: Services) -> Response:
    """What a command line must know to bring a slide to the incoming bucket."""
    may_submit(request, system, limited=True)
    settings = system.settings
    return answered(
        {
            "incoming_bucket": settings.incoming_bucket,
            "region": settings.region,
            "aws_endpoint": settings.aws_endpoint,
        }
    )


def list_collections(request: Request, system: Services) -> Response:
    caller = may_read(request, system, limited=True)
    found = [_collection(each) for each in system.archive.collections() if caller.sees(each.id)]
    return answered({"collections": found}, headers={"Cache-Control": "no-store"})


def show_collection(request: Request, system: Services, collection: str) -> Response:
    caller = may_read(request, system, limited=True)
    collection = object_id_in(collection, "collection")

    def look() -> CollectionFacts:
        see_collection(caller, collection)
        return system.archive.collection(collection)

    return answered(_collection(found_or_404(look)))


def show_session(request: Request, system: Services, session: str) -> Response:
    caller = may_read(request, system, limited=True)
    session = object_id_in(session, "session")
    facts = found_or_404(lambda: seen_session(caller, system, session))
    return answered({**_session(facts), "views": list(facts.views)})


def show_slides(request: Request, system: Services, session: str) -> Response:
    """A page of a session's slides, the newest first."""
    caller = may_read(request, system, limited=True)
    query = asked(SlidesQuery, request)
    session = object_id_in(session, "session")

    def look() -> SlidePage:
        seen_session(caller, system, session)
        return system.archive.slides(session, cursor=query.cursor, limit=query.limit)

    page: SlidePage = found_or_404(look)
    return answered(
        {"slides": [_shown(each) for each in page.slides], "next": page.cursor}, headers={"Cache-Control": "no-store"}
    )


def make_session(request: Request, system: Services, collection: str) -> Response:
    caller = may_submit(request, system, limited=True)
    label = validated(SessionParameters, body_of(request)).label
    collection = object_id_in(collection, "collection")

    def make() -> tuple[SessionFacts, bool]:
        see_collection(caller, collection)
        return system.archive.make_session(collection, label)

    facts, made = found_or_404(make)
    return answered(_session(facts), status=201 if made else 200)


def recreate(request: Request, system: Services, session: str) -> Response:
    caller = may_administer(request, system, limited=True)
    session = object_id_in(session, "session")
    found_or_404(lambda: seen_session(caller, system, session))
    removed = found_or_404(
        lambda: recreate_session(session, jobs=system.jobs, archive=system.archive, clock=system.clock)
    )
    return answered({**_session(system.archive.session(session)), "views_removed": removed})


def _shown(slide: ShownSlide) -> dict[str, object]:
    facts = slide.facts
    known = {
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "tile_size_px": facts.tile_size_px,
        "levels": facts.levels,
        "mpp_x": facts.slide.mpp_x,
        "mpp_y": facts.slide.mpp_y,
        "magnification": facts.slide.magnification,
        "vendor": facts.slide.vendor,
        "icc_profile_bytes": facts.slide.icc_profile_bytes,
        "associated": list(facts.slide.associated),
    } if facts else None  # fmt: skip
    return {
        "view": slide.view,
        "title": slide.title,
        "image_store": slide.image_store,
        "image": slide.image,
        "job": slide.job,
        "slide": known,
        "links": {
            "thumbnail": f"/thumb?img={slide.image}&db={slide.image_store}",
            **({"job": f"/jobs/{slide.job}"} if slide.job else {}),
        },
    }


def _session(facts: SessionFacts) -> dict[str, object]:
    return {"id": facts.id, "label": facts.label, "collection": facts.collection}


def _collection(facts: CollectionFacts) -> dict[str, object]:
    return {
        "id": facts.id,
        "label": facts.label,
        "image_store": facts.image_store,
        "sessions": [{"id": each.id, "label": each.label, "views": len(each.views)} for each in facts.sessions],
    }
