"""HTTP requests to callback URLs: to public addresses only, without redirects, limited in time and size.

The client resolves a name once, checks all addresses, and connects to a checked address, with the name in the
certificate check and in the `Host` header. It uses sockets, because HTTP libraries resolve the name again. It reads the
head of a response, not the body.
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
TOTAL_SECONDS = 15.0
# A receiver is not called for this time after a timeout. Many deliveries to one dead receiver would keep a worker from
# planning and finishing slides. The retry schedule calls it again.
PAUSE_SECONDS = 60.0
MAX_HEAD_BYTES = 64 * 1024
READ_BYTES = 4096
# Addresses of a name that one request tries. The retry schedule resolves the name again.
MAX_ADDRESSES = 3
INFORMATIONAL = range(100, 200)

Resolver = Callable[[str, int], Sequence[str]]
Connect = Callable[[tuple[str, int], float], socket.socket]


class _RequestFailedError(Exception):
    """The request failed. The message does not contain the URL or an address."""


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the IP addresses of a host name. Raises OSError if it cannot be resolved."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _connect(address: tuple[str, int], seconds: float) -> socket.socket:
    return socket.create_connection(address, timeout=seconds)


@dataclass(slots=True)
class _Deadline:
    at: float

    def remaining(self) -> float:
        """Return the remaining time in seconds. Raises TimeoutError if the deadline has passed."""
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class HttpCallbacks:
    """ports.Callbacks over HTTP. `loopback` allows receivers on loopback addresses."""

    def __init__(
        self,
        *,
        loopback: bool = False,
        resolver: Resolver = resolve,
        connect: Connect = _connect,
        tls: ssl.SSLContext | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._loopback = loopback
        self._resolver, self._connect, self._tls = resolver, connect, tls
        self._connect_seconds, self._total_seconds = connect_seconds, total_seconds
        self._pause_seconds = pause_seconds
        # (host, port) -> end of the pause after a timeout.
        self._paused: dict[tuple[str, int], float] = {}

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        deadline = _Deadline(time.monotonic() + self._total_seconds)
        try:
            parsed = self._parsed(url)
        except _RequestFailedError as error:
            return Answer(error=str(error))
        receiver, started_at = (parsed.host, parsed.port), time.monotonic()
        if started_at < self._paused.get(receiver, 0.0):
            return Answer(error="not called: a recent request to this receiver timed out")
        answer = self._send_request(parsed, headers, body, deadline)
        ended_at = time.monotonic()
        if answer.error is not None and ended_at - started_at >= min(self._connect_seconds, self._total_seconds):
            unexpired = {each: until for each, until in self._paused.items() if until > ended_at}
            self._paused = {**unexpired, receiver: ended_at + self._pause_seconds}
        return answer

    def _send_request(
        self, url: ParsedCallbackUrl, headers: Mapping[str, str], body: bytes, deadline: _Deadline
    ) -> Answer:
        try:
            with self._connected(url, deadline) as connection:
                _send(connection, _request(url, headers, body), deadline)
                return _receive(connection, deadline)
        except _RequestFailedError as error:
            return Answer(error=str(error))
        except TimeoutError:
            return Answer(error=f"no response within {self._total_seconds:g} s")
        except ssl.SSLError as error:
            return Answer(error=f"no secure connection: {_reason(error)}")
        except OSError as error:
            return Answer(error=f"no connection: {error.strerror or type(error).__name__}")

    def _parsed(self, url: str) -> ParsedCallbackUrl:
        try:
            return parse_callback_url(url, loopback=self._loopback)
        except ValueError as error:
            raise _RequestFailedError(f"the URL {error}") from None

    @contextlib.contextmanager
    def _connected(self, url: ParsedCallbackUrl, deadline: _Deadline) -> Iterator[socket.socket]:
        """Check all addresses of the host name, and connect to one of them."""
        addresses = self._addresses(url)
        reason = why_refused(addresses, scheme=url.scheme, loopback=self._loopback)
        if reason is not None:
            raise _RequestFailedError(reason)
        plain = self._connect_to_first(addresses[:MAX_ADDRESSES], url.port, deadline)
        with contextlib.closing(plain):
            if url.scheme == "http":
                yield plain
                return
            # The certificate must match the host name, not the address.
            plain.settimeout(deadline.remaining())
            tls = self._tls or ssl.create_default_context()
            with contextlib.closing(tls.wrap_socket(plain, server_hostname=url.host)) as secure:
                yield secure

    def _addresses(self, url: ParsedCallbackUrl) -> Sequence[str]:
        try:
            return self._resolver(url.host, url.port)
        except (OSError, UnicodeError):
            raise _RequestFailedError("the host name cannot be resolved") from None

    def _connect_to_first(self, addresses: Sequence[str], port: int, deadline: _Deadline) -> socket.socket:
        """Return a connection to the first address that accepts one."""
        until = _Deadline(min(deadline.at, time.monotonic() + self._connect_seconds))
        failure: OSError = TimeoutError()
        for address in addresses:
            try:
                return self._connect((address, port), until.remaining())
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise _RequestFailedError(f"no connection within {self._connect_seconds:g} s")
        raise failure


def _request(url: ParsedCallbackUrl, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {url.target} HTTP/1.1",
        f"host: {url.host_header}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"content-length: {len(body)}",
        "accept: */*",
        "connection: close",
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def _send(connection: socket.socket, data: bytes, deadline: _Deadline) -> None:
    waiting = memoryview(data)
    while waiting:
        connection.settimeout(deadline.remaining())
        waiting = waiting[connection.send(waiting) :]


def _receive(connection: socket.socket, deadline: _Deadline) -> Answer:
    """Read the head of the response. Informational responses (1xx) are skipped."""
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
            raise _RequestFailedError("the head of the response is too long")
        # The timeout limits the whole read, also if a TLS record consists of many packets.
        connection.settimeout(deadline.remaining())
        data = connection.recv(READ_BYTES)
        if not data:
            raise _RequestFailedError("the connection was closed before a response")
        read += len(data)
        received += data


def _parse(head: bytes) -> tuple[int, str | None]:
    line, _, fields = head.partition(b"\r\n")
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not (version.startswith(b"HTTP/1.") and len(code) == 3 and code.isdigit() and rest[3:4] in (b"", b" ")):
        raise _RequestFailedError("the response is not HTTP")
    retry_after = BytesHeaderParser().parsebytes(fields)["retry-after"]
    return int(code), None if retry_after is None else str(retry_after).strip()[:100]


def _reason(error: ssl.SSLError) -> str:
    return str(getattr(error, "verify_message", "") or error.reason or "the handshake failed")


if TYPE_CHECKING:
    _PORT: Callbacks = HttpCallbacks()
