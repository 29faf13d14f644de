"""Calls to receivers: what ports.Callbacks promises, against real servers on loopback."""

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib.adapters.callbacks import MAX_HEAD_BYTES, HttpCallbacks, resolve
from chalicelib.adapters.memory import MemoryCallbacks
from chalicelib.core.jobs.deliveries import Answer
from chalicelib.ports.callbacks import Callbacks
from tests.timeouts import TIMEOUT_SECONDS, eventually

HEADERS = {"content-type": "application/json", "webhook-id": "msg_1"}
BODY = '{"type":"job.done","name":"ä"}'.encode()
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
NAME = "receiver.example"

Handle = Callable[[socket.socket], None]


class Receiver:
    """A server that hands each connection to `handle`, and keeps what it got."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=secret"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            self._handle(connection)

    def stop(self) -> None:
        # Wakes who waits in accept.
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def receiver() -> Iterator[Callable[[Handle | bytes], Receiver]]:
    """Starts servers that answer with these bytes, or as a function does."""
    started = []

    def start(handle: Handle | bytes) -> Receiver:
        started.append(Receiver(answering(handle) if isinstance(handle, bytes) else handle))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def request_of(connection: socket.socket) -> bytes:
    """Read a request to its end."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(4096)
    head, _, body = received.partition(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < size:
        body += connection.recv(4096)
    return head + b"\r\n\r\n" + body


def answering(answer: bytes, got: list[bytes] | None = None) -> Handle:
    def handle(connection: socket.socket) -> None:
        request = request_of(connection)
        if got is not None:
            got.append(request)
        connection.sendall(answer)

    return handle


Start = Callable[[Handle | bytes], Receiver]


@pytest.fixture(params=["memory", "http"])
def recorded(request: pytest.FixtureRequest, receiver: Start) -> Callable[[Answer], tuple[Callbacks, str, list[bytes]]]:
    """Receivers that answer so: whom to ask, where, and the bodies they got."""

    def made(answer: Answer) -> tuple[Callbacks, str, list[bytes]]:
        got: list[bytes] = []
        if request.param == "memory":
            memory = MemoryCallbacks(lambda _: answer)
            memory.received = _Bodies(got)
            return memory, "https://example.org/", got
        patience = f"retry-after: {answer.retry_after}\r\n" if answer.retry_after else ""

        def handle(connection: socket.socket) -> None:
            got.append(request_of(connection).partition(b"\r\n\r\n")[2])
            connection.sendall(f"HTTP/1.1 {answer.status} So\r\n{patience}\r\n".encode())

        return HttpCallbacks(loopback=True), receiver(handle).url, got

    return made


class _Bodies(list[Any]):
    def __init__(self, bodies: list[bytes]) -> None:
        super().__init__()
        self._bodies = bodies

    def append(self, call: Any) -> None:
        self._bodies.append(call[2])


@pytest.mark.parametrize(
    "answer",
    [Answer(status=204), Answer(status=302), Answer(status=410), Answer(status=503, retry_after="120")],
    ids=["204", "302", "410", "503"],
)
def test_whatever_a_receiver_answers_is_an_answer(recorded: Any, answer: Answer) -> None:
    callbacks, url, got = recorded(answer)
    assert callbacks.post(url, HEADERS, BODY) == answer
    assert got == [BODY]


def test_one_post_is_sent_with_its_headers_and_bytes(receiver: Start) -> None:
    got: list[bytes] = []
    started = receiver(answering(NO_CONTENT, got))
    assert HttpCallbacks(loopback=True).post(started.url, HEADERS, BODY) == Answer(status=204)
    (request,) = got
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook?key=secret HTTP/1.1"
    assert f"host: 127.0.0.1:{started.port}" in lines
    assert {"content-type: application/json", "webhook-id: msg_1", f"content-length: {len(BODY)}"} <= set(lines)
    assert body == BODY


def test_a_redirect_is_not_followed(receiver: Start) -> None:
    inside = receiver(NO_CONTENT)
    for status in (301, 302, 303, 307, 308):
        started = receiver(f"HTTP/1.1 {status} Elsewhere\r\nlocation: {inside.url}\r\n\r\n".encode())
        assert HttpCallbacks(loopback=True).post(started.url, HEADERS, BODY) == Answer(status=status)
    assert inside.connections == 0


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.0 200 OK\r\n\r\n",
            Answer(status=200),
        ),
        (b"HTTP/1.1 204\r\n\r\n", Answer(status=204)),
        (b"HTTP/1.1 429 Slow\r\nRETRY-AFTER:  7 \r\n\r\n", Answer(status=429, retry_after="7")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n", Answer(status=200)),
        (b"", Answer(error="the connection was closed before a response")),
        (b"HTTP/1.1 200 OK\r\n", Answer(error="the connection was closed before a response")),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Answer(error="the response is not HTTP")),
        (b"HTTP/1.1 20x OK\r\n\r\n", Answer(error="the response is not HTTP")),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Answer(error="the response is not HTTP")),
        (b"HTTP/1.1 \xb2\xb2\xb2\r\n\r\n", Answer(error="the response is not HTTP")),
    ],
)
def test_of_an_answer_the_head_is_read(receiver: Start, answer: bytes, found: Answer) -> None:
    assert HttpCallbacks(loopback=True).post(receiver(answer).url, HEADERS, BODY) == found


def test_an_endless_body_is_not_read(receiver: Start) -> None:
    sent = []

    def endless(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while len(sent) < 100_000:
            connection.sendall(bytes(1024 * 1024))
            sent.append(1)

    started = receiver(endless)
    assert HttpCallbacks(loopback=True).post(started.url, HEADERS, BODY) == Answer(status=200)
    assert len(sent) < 100


def test_an_endless_head_is_cut_off(receiver: Start) -> None:
    def endless(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"x-more: " + b"x" * 1000 + b"\r\n")

    answer = HttpCallbacks(loopback=True).post(receiver(endless).url, HEADERS, BODY)
    assert answer == Answer(error="the head of the response is too long")
    many = b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 20)
    assert HttpCallbacks(loopback=True).post(receiver(many).url, HEADERS, BODY) == answer


def test_a_receiver_that_drips_does_not_hold_a_worker_up(receiver: Start) -> None:
    def drip(connection: socket.socket) -> None:
        request_of(connection)
        for letter in b"HTTP/1.1 200 OK\r\n" * 100:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)

    # It would be at it for 85 s, and then there would be another error.
    callbacks = HttpCallbacks(loopback=True, total_seconds=0.5)
    assert callbacks.post(receiver(drip).url, HEADERS, BODY) == Answer(error="no response within 0.5 s")


@pytest.mark.parametrize(("pause_seconds", "calls"), [(3600.0, 1), (0.0, 3)], ids=["for a while", "not for ever"])
def test_one_that_never_answers_is_left_alone(receiver: Start, pause_seconds: float, calls: int) -> None:
    called: list[bytes] = []
    wait = threading.Event()

    def silent(connection: socket.socket) -> None:
        called.append(request_of(connection))
        wait.wait(TIMEOUT_SECONDS)

    started = receiver(silent)
    callbacks = HttpCallbacks(loopback=True, total_seconds=0.3, pause_seconds=pause_seconds)
    recorded = [callbacks.post(started.url, HEADERS, BODY).error for _ in range(3)]
    wait.set()
    assert recorded[0] == "no response within 0.3 s"
    assert (recorded[1] == recorded[2] == "not called: a recent request to this receiver timed out") is (calls == 1)
    # What was sent is read in the end, however late a thread of the receiver runs.
    eventually(lambda: len(called) == calls, what="all calls at the receiver")


def test_one_that_takes_nothing_does_not_hold_a_worker_up(receiver: Start) -> None:
    wait = threading.Event()
    started = receiver(lambda _: wait.wait(TIMEOUT_SECONDS) and None)
    answer = HttpCallbacks(loopback=True, total_seconds=0.3).post(started.url, HEADERS, bytes(50_000_000))
    wait.set()
    assert answer == Answer(error="no response within 0.3 s")


def test_where_nobody_listens_there_is_no_connection() -> None:
    with socket.socket() as taken:  # nobody else gets the port, and nobody listens on it
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = HttpCallbacks(loopback=True).post(f"http://127.0.0.1:{port}/key", HEADERS, BODY)
    assert answer == Answer(error="no connection: Connection refused")


def test_a_connection_that_is_not_made_in_time_is_given_up() -> None:
    allowed: list[float] = []

    def never(_address: tuple[str, int], seconds: float) -> socket.socket:
        allowed.append(seconds)
        raise TimeoutError

    callbacks = HttpCallbacks(loopback=True, connect=never, connect_seconds=0.2)
    assert callbacks.post("http://127.0.0.1:9999/", HEADERS, BODY) == Answer(error="no connection within 0.2 s")
    assert 0 < allowed[0] <= 0.2


# -- addresses ---------------------------------------------------------------------------------------------------------


class Network:
    """Names that lead somewhere else each time, and connections that are not made."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.connected: list[tuple[str, int]] = []

    def resolve(self, _host: str, _port: int) -> Sequence[str]:
        return self.answers.pop(0)

    def connect(self, address: tuple[str, int], _seconds: float) -> socket.socket:
        self.connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    def callbacks(self, **options: Any) -> HttpCallbacks:
        return HttpCallbacks(resolver=self.resolve, connect=self.connect, **options)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"], ["10.0.0.7"], ["169.254.169.254"], ["fd00:ec2::254"], ["::1"], ["::ffff:10.0.0.7"],
        ["64:ff9b::a9fe:a9fe"], ["2002:a9fe:a9fe::1"], ["fe80::1%eth0"], ["8.8.8.8", "10.0.0.7"], ["0.0.0.0"],
    ],
)  # fmt: skip
def test_a_name_that_leads_inside_is_not_called(addresses: list[str]) -> None:
    network = Network(addresses)
    answer = network.callbacks().post(f"https://{NAME}/key", HEADERS, BODY)
    assert answer == Answer(error="its name leads to an address that is not public")
    assert network.connected == []


def test_a_name_that_is_bound_anew_between_two_calls_is_looked_at_each_time() -> None:
    network = Network(["8.8.8.8"], ["127.0.0.1"])
    callbacks = network.callbacks()
    assert callbacks.post(f"https://{NAME}/", HEADERS, BODY).error == "no connection: Connection refused"
    assert callbacks.post(f"https://{NAME}/", HEADERS, BODY).error == "its name leads to an address that is not public"
    assert network.connected == [("8.8.8.8", 443)]


def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to() -> None:
    network = Network(["8.8.8.8", "1.1.1.1", "2606:4700::1111", "9.9.9.9"])
    network.callbacks().post(f"https://{NAME}:8443/", HEADERS, BODY)
    assert network.connected == [("8.8.8.8", 8443), ("1.1.1.1", 8443), ("2606:4700::1111", 8443)]
    assert network.answers == []  # the name was asked for once


def test_a_name_that_leads_nowhere_is_told() -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    answer = HttpCallbacks(resolver=unknown).post(f"https://{NAME}/", HEADERS, BODY)
    assert answer == Network([]).callbacks().post(f"https://{NAME}/", HEADERS, BODY)
    assert answer == Answer(error="the host name cannot be resolved")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", f"http://{NAME}/", "https://10.0.0.1/", "nonsense"])
def test_a_url_that_is_never_called_is_not_called(url: str) -> None:
    network = Network(["8.8.8.8"])
    answer = network.callbacks().post(url, HEADERS, BODY)
    assert (answer.error or "").startswith("the URL must")
    assert network.connected == []


def test_this_machine_is_not_called_unless_that_is_allowed(receiver: Start) -> None:
    started = receiver(NO_CONTENT)
    assert HttpCallbacks().post(started.url, HEADERS, BODY).error == "the URL must begin with https://"
    assert started.connections == 0


def test_a_name_is_asked_for_as_the_system_does() -> None:
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]
    assert set(resolve("localhost", 80)) <= {"127.0.0.1", "::1"}


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of the receiver's name, with its key, that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def secure(certificate: Path, handle: Handle, names: list[str | None]) -> Handle:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def answer(connection: socket.socket) -> None:
        with suppress(ssl.SSLError), closing(context.wrap_socket(connection, server_side=True)) as encrypted:
            handle(encrypted)

    return answer


def trusting(certificate: Path, **options: Any) -> HttpCallbacks:
    return HttpCallbacks(
        loopback=True,
        resolver=lambda _host, _port: ["127.0.0.1"],
        tls=ssl.create_default_context(cafile=str(certificate)),
        **options,
    )


def test_the_certificate_is_that_of_the_name_whatever_address_is_connected_to(
    receiver: Start, certificate: Path
) -> None:
    names: list[str | None] = []
    got: list[bytes] = []
    started = receiver(secure(certificate, answering(NO_CONTENT, got), names))
    callbacks = trusting(certificate)
    assert callbacks.post(f"https://{NAME}:{started.port}/x", HEADERS, BODY) == Answer(status=204)
    assert names == [NAME]
    assert f"host: {NAME}:{started.port}".encode() in got[0]
    other = callbacks.post(f"https://other.example:{started.port}/x", HEADERS, BODY)
    assert (other.error or "").startswith("no secure connection: Hostname mismatch")
    assert len(got) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(receiver: Start, certificate: Path) -> None:
    got: list[bytes] = []
    started = receiver(secure(certificate, answering(NO_CONTENT, got), []))
    callbacks = HttpCallbacks(loopback=True, resolver=lambda _host, _port: ["127.0.0.1"])
    answer = callbacks.post(f"https://{NAME}:{started.port}/x", HEADERS, BODY)
    assert (answer.error or "").startswith("no secure connection: self-signed certificate")
    assert got == []


def test_who_does_not_speak_tls_is_told_so(receiver: Start, certificate: Path) -> None:
    started = receiver(lambda connection: connection.sendall(NO_CONTENT))
    answer = trusting(certificate).post(f"https://{NAME}:{started.port}/x", HEADERS, BODY)
    assert (answer.error or "").startswith("no secure connection")


def test_a_handshake_that_does_not_come_is_given_up(receiver: Start, certificate: Path) -> None:
    wait = threading.Event()
    started = receiver(lambda _: wait.wait(TIMEOUT_SECONDS) and None)
    answer = trusting(certificate, total_seconds=0.3).post(f"https://{NAME}:{started.port}/x", HEADERS, BODY)
    wait.set()
    assert answer == Answer(error="no response within 0.3 s")
