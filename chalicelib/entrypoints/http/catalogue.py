"""Collections and sessions, and what a client has to know of the service."""

from chalice.app import Request, Response

from chalicelib.entrypoints.http.access import may_administer, may_read, may_submit, see_collection, seen_session
from chalicelib.entrypoints.http.answers import answered, body_of, found_or_404, object_id_in
from chalicelib.hooks import validated
from chalicelib.hooks.session import SessionParameters
from chalicelib.ports import CollectionFacts, SessionFacts
from chalicelib.steps.control import recreate_session
from chalicelib.wiring import System


def health(_request: Request, _system: System) -> Response:
    return answered({"status": "ok"})


def client_settings(request: Request, system: System) -> Response:
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


def show_collection(request: Request, system: System, collection: str) -> Response:
    caller = may_read(request, system, limited=True)
    collection = object_id_in(collection, "collection")

    def look() -> CollectionFacts:
        see_collection(caller, collection)
        return system.archive.collection(collection)

    return answered(_collection(found_or_404(look)))


def show_session(request: Request, system: System, session: str) -> Response:
    caller = may_read(request, system, limited=True)
    session = object_id_in(session, "session")
    facts = found_or_404(lambda: seen_session(caller, system, session))
    return answered({**_session(facts), "views": list(facts.views)})


def make_session(request: Request, system: System, collection: str) -> Response:
    caller = may_submit(request, system, limited=True)
    label = validated(SessionParameters, body_of(request)).label
    collection = object_id_in(collection, "collection")

    def make() -> tuple[SessionFacts, bool]:
        see_collection(caller, collection)
        return system.archive.make_session(collection, label)

    facts, made = found_or_404(make)
    return answered(_session(facts), status=201 if made else 200)


def recreate(request: Request, system: System, session: str) -> Response:
    caller = may_administer(request, system, limited=True)
    session = object_id_in(session, "session")
    found_or_404(lambda: seen_session(caller, system, session))
    removed = found_or_404(
        lambda: recreate_session(session, jobs=system.jobs, archive=system.archive, clock=system.clock)
    )
    return answered({**_session(system.archive.session(session)), "views_removed": removed})


def _session(facts: SessionFacts) -> dict[str, object]:
    return {"id": facts.id, "label": facts.label, "collection": facts.collection}


def _collection(facts: CollectionFacts) -> dict[str, object]:
    return {
        "id": facts.id,
        "label": facts.label,
        "image_store": facts.image_store,
        "sessions": [{"id": each.id, "label": each.label, "views": len(each.views)} for each in facts.sessions],
    }
