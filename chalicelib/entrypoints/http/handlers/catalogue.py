"""Collections and sessions."""

from chalice.app import Response

from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.queries import SlidesQuery
from chalicelib.entrypoints.http.responses import found_or_404, json_response, object_id_in
from chalicelib.entrypoints.http.schemas.catalogue import SessionParameters, collection_document, session_document
from chalicelib.entrypoints.http.schemas.slides import shown_slide
from chalicelib.ports.archive import CollectionFacts, SessionFacts, SlidePage
from chalicelib.steps.control import recreate_session
from chalicelib.steps.visibility import require_collection, require_session

NO_STORE = {"Cache-Control": "no-store"}


def list_collections(call: Call) -> Response:
    collections = [each for each in call.services.archive.collections() if call.caller.sees(each.id)]
    return json_response({"collections": [collection_document(each) for each in collections]}, headers=NO_STORE)


def show_collection(call: Call, collection: str) -> Response:
    collection = object_id_in(collection, "collection")

    def look() -> CollectionFacts:
        require_collection(call.caller, collection)
        return call.services.archive.collection(collection)

    return json_response(collection_document(found_or_404(look)))


def show_session(call: Call, session: str) -> Response:
    facts = _visible_session(call, session)
    return json_response({**session_document(facts), "views": list(facts.views)})


def show_slides(call: Call, session: str, *, query: SlidesQuery) -> Response:
    session = object_id_in(session, "session")

    def look() -> SlidePage:
        require_session(call.caller, session, archive=call.services.archive)
        return call.services.archive.slides(session, cursor=query.cursor, limit=query.limit)

    page: SlidePage = found_or_404(look)
    return json_response({"slides": [shown_slide(each) for each in page.slides], "next": page.cursor}, headers=NO_STORE)


def create_session(call: Call, collection: str, *, body: SessionParameters) -> Response:
    collection = object_id_in(collection, "collection")

    def create() -> tuple[SessionFacts, bool]:
        require_collection(call.caller, collection)
        return call.services.archive.make_session(collection, body.label)

    facts, is_new = found_or_404(create)
    return json_response(session_document(facts), status=201 if is_new else 200)


def recreate(call: Call, session: str) -> Response:
    session = _visible_session(call, session).id
    removed = found_or_404(lambda: call.bind(recreate_session)(session))
    facts = call.services.archive.session(session)
    return json_response({**session_document(facts), "views_removed": removed})


def _visible_session(call: Call, session: str) -> SessionFacts:
    session = object_id_in(session, "session")
    facts: SessionFacts = found_or_404(lambda: require_session(call.caller, session, archive=call.services.archive))
    return facts
