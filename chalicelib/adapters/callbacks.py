"""HTTP calls to URLs that others name: to public addresses only, without redirects, bounded in time and size.

Written on sockets because no client library connects to an address that was looked at before, while certificate and
`Host` are those of the name. Only the head of an answer is read.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING

from chalicelib.core.jobs.deliveries import Answer
from chalicelib.core.web.callback_url import ParsedCallbackUrl, parse_callback_url, why_refused

if TYPE_CHECKING:
    from chalicelib.ports.callbacks import Callbacks

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 15.0
# Who let a call wait to its end is left alone for so long: many deliveries to one dead receiver would keep a worker
# from planning and finishing slides. The schedule tries again.
PAUSE_SECONDS = 60.0
MAX_HEAD_BYTES = 64 * 1024
READ_BYTES = 4096
# A name with many addresses is not tried at all of them: the next try of the schedule asks again.
MOST_ADDRESSES = 3
INFORMATIONAL = range(100, 200)

Resolver = Callable[[str, int], Sequence[str]]
Connect = Callable[[tuple[str, int], float], socket.socket]


class _RefusedError(Exception):
    """Why a call came to nothing, in a sentence that names neither URL nor address."""


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses that a name leads to now."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _connect(address: tuple[str, int], seconds: float) -> socket.socket:
    return socket.create_connection(address, timeout=seconds)


@dataclass(slots=True)
class _Deadline:
    at: float

    def left(self) -> float:
        """Return the seconds that are left. Raises TimeoutError if there are none."""
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class HttpCallbacks:
    """ports.Callbacks. With `loopback`, receivers on this very machine may be called too."""

    def __init__(
        self,
        *,
        loopback: bool = False,
        resolver: Resolver = resolve,
        connect: Connect = _connect,
        tls: ssl.SSLContext | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        whole_seconds: float = WHOLE_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._loopback = loopback
        self._resolver, self._connect, self._tls = resolver, connect, tls
        self._connect_seconds, self._whole_seconds = connect_seconds, whole_seconds
        self._pause_seconds = pause_seconds
        # By host and port: until when it is left alone.
        self._paused: dict[tuple[str, int], float] = {}

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        deadline = _Deadline(time.monotonic() + self._whole_seconds)
        try:
            endpoint = self._endpoint(url)
        except _RefusedError as refused:
            return Answer(error=str(refused))
        place, begun = (endpoint.host, endpoint.port), time.monotonic()
        if begun < self._paused.get(place, 0.0):
            return Answer(error="not called: it let an earlier call wait in vain just now")
        answer = self._answer(endpoint, headers, body, deadline)
        ended = time.monotonic()
        if answer.error is not None and ended - begun >= min(self._connect_seconds, self._whole_seconds):
            still = {each: until for each, until in self._paused.items() if until > ended}
            self._paused = {**still, place: ended + self._pause_seconds}
        return answer

    def _answer(
        self, endpoint: ParsedCallbackUrl, headers: Mapping[str, str], body: bytes, deadline: _Deadline
    ) -> Answer:
        try:
            with self._connected(endpoint, deadline) as connection:
                _send(connection, _request(endpoint, headers, body), deadline)
                return _answer(connection, deadline)
        except _RefusedError as refused:
            return Answer(error=str(refused))
        except TimeoutError:
            return Answer(error=f"no answer within {self._whole_seconds:g} s")
        except ssl.SSLError as error:
            return Answer(error=f"no secure connection: {_reason(error)}")
        except OSError as error:
            return Answer(error=f"no connection: {error.strerror or type(error).__name__}")

    def _endpoint(self, url: str) -> ParsedCallbackUrl:
        try:
            return parse_callback_url(url, loopback=self._loopback)
        except ValueError as error:
            raise _RefusedError(f"the URL {error}") from None

    @contextlib.contextmanager
    def _connected(self, endpoint: ParsedCallbackUrl, deadline: _Deadline) -> Iterator[socket.socket]:
        """Connect to one of the addresses that the name leads to now, after a look at all of them."""
        addresses = self._addresses(endpoint)
        why = why_refused(addresses, scheme=endpoint.scheme, loopback=self._loopback)
        if why is not None:
            raise _RefusedError(why)
        plain = self._first_that_answers(addresses[:MOST_ADDRESSES], endpoint.port, deadline)
        with contextlib.closing(plain):
            if endpoint.scheme == "http":
                yield plain
                return
            # The certificate must match the host name, not the address.
            plain.settimeout(deadline.left())
            tls = self._tls or ssl.create_default_context()
            with contextlib.closing(tls.wrap_socket(plain, server_hostname=endpoint.host)) as secure:
                yield secure

    def _addresses(self, endpoint: ParsedCallbackUrl) -> Sequence[str]:
        try:
            return self._resolver(endpoint.host, endpoint.port)
        except (OSError, UnicodeError):
            raise _RefusedError("its name leads nowhere") from None

    def _first_that_answers(self, addresses: Sequence[str], port: int, deadline: _Deadline) -> socket.socket:
        until = _Deadline(min(deadline.at, time.monotonic() + self._connect_seconds))
        failure: OSError = TimeoutError()
        for address in addresses:
            try:
                return self._connect((address, port), until.left())
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise _RefusedError(f"no connection within {self._connect_seconds:g} s")
        raise failure


def _request(endpoint: ParsedCallbackUrl, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {endpoint.target} HTTP/1.1",
        f"host: {endpoint.host_header}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"content-length: {len(body)}",
        "accept: */*",
        "connection: close",
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def _send(connection: socket.socket, data: bytes, deadline: _Deadline) -> None:
    waiting = memoryview(data)
    while waiting:
        connection.settimeout(deadline.left())
        waiting = waiting[connection.send(waiting) :]


def _answer(connection: socket.socket, deadline: _Deadline) -> Answer:
    """Read heads until one is of an answer (100 and its like are none); leave the body where it is."""
    received = bytearray()
    read = 0
    while True:
        head, end, rest = received.partition(b"\r\n\r\n")
        if end:
            status, retry_after = _parse(bytes(head))
            if status not in INFORMATIONAL:
                return Answer(status=status, retry_after=retry_after)
            received = rest
            continue
        if read >= MAX_HEAD_BYTES:
            raise _RefusedError("the head of the answer is too long")
        # One read with a timeout lasts no longer in all, also where a TLS record takes many pieces.
        connection.settimeout(deadline.left())
        piece = connection.recv(READ_BYTES)
        if not piece:
            raise _RefusedError("the connection ended before an answer")
        read += len(piece)
        received += piece


def _parse(head: bytes) -> tuple[int, str | None]:
    line, _, fields = head.partition(b"\r\n")
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not (version.startswith(b"HTTP/1.") and len(code) == 3 and code.isdigit() and rest[3:4] in (b"", b" ")):
        raise _RefusedError("the answer is not HTTP")
    retry_after = BytesHeaderParser().parsebytes(fields)["retry-after"]
    return int(code), None if retry_after is None else str(retry_after).strip()[:100]


def _reason(error: ssl.SSLError) -> str:
    return str(getattr(error, "verify_message", "") or error.reason or "the handshake failed")


if TYPE_CHECKING:
    _PORT: Callbacks = HttpCallbacks()
