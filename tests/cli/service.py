"""A service that behaves as the API does, as far as the command line can tell: over HTTP, on loopback, in memory."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

COLLECTION = "0000000000000000000c0001"
OTHER_COLLECTION = "0000000000000000000c0002"
SESSION = "0000000000000000000e0001"
FOREIGN_SESSION = "0000000000000000000e0002"
IMAGE = "0000000000000000000a0001"
TOKEN = "a-token-of-the-tests"

Answer = tuple[int, dict[str, str], bytes]


def problem(status: int, code: str, detail: str, hint: str = "Do it otherwise.", **more: Any) -> Answer:
    body = {"type": f"urn:slidehook:problem:{code}", "status": status, "code": code, "detail": detail, "hint": hint}
    return status, {"Content-Type": "application/problem+json"}, json.dumps(body | more).encode()


def answer(body: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


@dataclass
class Service:
    """`calls` are the requests that came. `next_answers` go out first, whatever is asked. `endings` say how the job of
    a source (by the end of its key) ends: a state, or an error; `endless` jobs stay in the state `tiling`."""

    bucket: str
    aws_endpoint: str
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    next_answers: list[Answer] = field(default_factory=list)
    endings: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, Answer] = field(default_factory=dict)
    endless: bool = False
    followed: Event = field(default_factory=Event)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    url: str = ""

    def __post_init__(self) -> None:
        self.sessions = {
            SESSION: {"id": SESSION, "label": "First", "collection": COLLECTION},
            FOREIGN_SESSION: {"id": FOREIGN_SESSION, "label": "Foreign", "collection": OTHER_COLLECTION},
        }

    def writes(self) -> list[tuple[str, Any]]:
        """Return (path, body) of every request that would change something."""
        return [(path, body) for method, path, body in self.calls if method != "GET"]

    def submitted(self) -> list[Any]:
        return [body for path, body in self.writes() if path == "/hooks/upload"]

    def respond(self, method: str, path: str, body: Any, token: str) -> Answer:
        with self.lock:
            self.calls.append((method, path, body))
            self.tokens.append(token)
            if self.next_answers:
                return self.next_answers.pop(0)
            if token != f"Bearer {TOKEN}":
                return problem(401, "unauthorized", "this needs a token")
            doors = {
                r"GET /client": self._client,
                r"GET /collections/(\w+)": self._collection,
                r"POST /collections/(\w+)/sessions": self._make_session,
                r"GET /sessions/(\w+)": self._session,
                r"POST /sessions/(\w+)/recreate": self._recreate,
                r"POST /hooks/upload": self._submit,
                r"GET /jobs/(\w+)": self._job,
            }
            for pattern, door in doors.items():
                if match := re.fullmatch(pattern, f"{method} {path}"):
                    return door(body, *match.groups())
            return answer({"message": "Missing Authentication Token"}, 403)

    def _client(self, _body: Any) -> Answer:
        settings = {"incoming_bucket": self.bucket, "region": "us-east-1", "aws_endpoint": self.aws_endpoint}
        return answer(settings)

    def _collection(self, _body: Any, collection: str) -> Answer:
        if collection not in (COLLECTION, OTHER_COLLECTION):
            return problem(404, "not_found", f"collection {collection} does not exist")
        sessions = [each | {"views": 0} for each in self.sessions.values() if each["collection"] == collection]
        return answer({"id": collection, "label": "Slides", "image_store": "d" * 24, "sessions": sessions})

    def _session(self, _body: Any, session: str) -> Answer:
        if session not in self.sessions:
            return problem(404, "not_found", f"session {session} does not exist")
        return answer(self.sessions[session] | {"views": []})

    def _make_session(self, body: Any, collection: str) -> Answer:
        made = {"id": f"{len(self.sessions):024x}", "label": body["label"], "collection": collection}
        self.sessions[made["id"]] = made
        return answer(made, 201)

    def _recreate(self, _body: Any, session: str) -> Answer:
        return answer(self.sessions[session] | {"views_removed": 3})

    def _submit(self, body: Any) -> Answer:
        for end, refusal in self.refused.items():
            if body["source"].endswith(end):
                return refusal
        bucket, key = body["source"].removeprefix("s3://").split("/", 1)
        job = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
        tiles = {"done": 0, "total": 0}
        self.jobs[job] = {
            "id": job, "state": "queued", "source": {"bucket": bucket, "key": key}, "tiles": tiles, "error": None,
            "result": None, "bad_tiles": {"count": 0, "items": []},
        }  # fmt: skip
        return answer(self.jobs[job], 202)

    def _job(self, _body: Any, job: str) -> Answer:
        if job not in self.jobs:
            return problem(404, "not_found", f"there is no job {job}")
        found = self.jobs[job]
        self.followed.set()
        if self.endless or found["state"] == "queued":
            found |= {"state": "tiling", "tiles": {"done": 3, "total": 5}}
            return answer(found)
        done = {"image": IMAGE, "image_store": "d" * 24, "thumbnail": f"/thumb?img={IMAGE}&db={'d' * 24}"}
        found |= {"state": "done", "tiles": {"done": 5, "total": 5}, "result": done}
        for end, ending in self.endings.items():
            if found["source"]["key"].endswith(end):
                found |= {"result": None} | ending
        return answer(found)


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: the client's kernel delays its thanks for the first by 40 ms
    service: Service

    def _any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else None
        status, headers, data = self.service.respond(
            self.command, self.path, body, self.headers.get("Authorization", "")
        )
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Running:
    """The service on a port of its own, in a thread."""

    def __init__(self, service: Service) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"service": service}))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        service.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
