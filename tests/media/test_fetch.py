from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from headless.errors import BadInput, Cancelled, DiskFull, InputUnavailable, Unsafe
from headless.media.fetch import Fetched, FetchLimits, fetch_url
from headless.media.guard import FetchPolicy, Resolver
from headless.media.http_answers import parse_retry_after
from headless.media.whole_file import no_room_is_disk_full, whole_file
from headless.ports import Clock
from tests.media.certificates import Authority
from tests.media.own_process import run_program
from tests.media.web_server import Connection, Request, WebServer

BODY = os.urandom(200_000)
LIMITS = FetchLimits(
    max_bytes=1_000_000, total_seconds=30, connect_seconds=5, read_seconds=5, backoff_seconds=0
)


@dataclass
class FakeClock:
    """A clock that only its sleeps move."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def do_nothing() -> None:
    return


def serve_body(connection: Connection, request: Request) -> None:
    connection.answer("200 OK", BODY, Content_Type="Image/PNG; charset=x")


def fetch(
    server: WebServer,
    folder: Path,
    target: str = "/picture.png",
    *,
    url: str | None = None,
    limits: FetchLimits = LIMITS,
    policy: FetchPolicy | None = None,
    check: Callable[[], None] = do_nothing,
    resolver: Resolver | None = None,
    clock: Clock | None = None,
) -> Fetched:
    return fetch_url(
        url or server.url(target),
        folder / "input",
        policy=policy or FetchPolicy(allowed_hosts=(server.host,)),
        limits=limits,
        check=check,
        field="start_image",
        resolver=resolver or loopback,
        clock=clock,
    )


def loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inputs"


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_a_file_arrives_whole_with_its_hash(folder: Path) -> None:
    with WebServer(serve_body) as server:
        fetched = fetch(server, folder, "/a.png?token=1#x")
    assert fetched.path.read_bytes() == BODY
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (fetched.size, fetched.content_type) == (len(BODY), "image/png")
    assert left_behind(folder) == ["input"]
    (request,) = server.requests
    assert request.target == "/a.png?token=1"
    assert request.headers["host"] == server.host
    assert request.headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer"} & set(request.headers)


def test_proxies_of_the_environment_are_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with WebServer(serve_body) as server:
        assert fetch(server, folder).size == len(BODY)


def test_a_chunked_body_arrives_whole(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    with WebServer(script) as server:
        assert fetch(server, folder).path.read_bytes() == b"abcde"


def test_a_local_server_is_refused_unless_allowed(folder: Path) -> None:
    with WebServer(serve_body) as server, pytest.raises(Unsafe, match=r"^start_image: .*--allow-hosts"):
        fetch(server, folder, policy=FetchPolicy())
    assert server.connections == 0


def test_the_connection_goes_to_the_checked_address_and_dns_is_asked_once(folder: Path) -> None:
    """Rebinding: a second look-up would give an address that nobody checked."""
    answers = iter([["127.0.0.1"], ["203.0.113.7"]])
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    with WebServer(serve_body) as server:
        policy = FetchPolicy(allowed_hosts=(f"pictures.example:{server.port}",))
        url = f"http://Pictures.Example.:{server.port}/a.png"
        fetch(server, folder, url=url, policy=policy, resolver=rebinding)
    assert asked == ["pictures.example"]
    assert server.requests[0].headers["host"] == f"pictures.example:{server.port}"


def test_the_next_address_is_tried_where_one_does_not_answer(folder: Path) -> None:
    with WebServer(serve_body) as server:
        policy = FetchPolicy(allowed_hosts=("pictures.example",))
        url = f"http://pictures.example:{server.port}/"
        fetched = fetch(
            server, folder, url=url, policy=policy, resolver=lambda host, port: ["127.0.0.2", "127.0.0.1"]
        )
    assert fetched.size == len(BODY)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Moved", "308 Moved"])
def test_redirects_are_followed(status: str, folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        if request.target == "/a/first.png":
            connection.answer(status, Location="../b/zweite%20ü.png?x=1")
        else:
            serve_body(connection, request)

    with WebServer(script) as server:
        assert fetch(server, folder, "/a/first.png").size == len(BODY)
    assert server.requests[1].target == "/b/zweite%20%C3%BC.png?x=1"


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "//127.0.0.1:1/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http://user:pw@example.com/",
        "http://localhost/",
    ],
)
def test_every_hop_of_a_redirect_is_checked(location: str, folder: Path) -> None:
    with (
        WebServer(lambda connection, request: connection.answer("302 Found", Location=location)) as server,
        pytest.raises(Unsafe, match=r"^start_image: "),
    ):
        fetch(server, folder)
    assert len(server.requests) == 1


@pytest.mark.parametrize("target", ["/loop", "/0"])
def test_endless_redirects_are_refused(target: str, folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        further = "/loop" if target == "/loop" else f"/{int(request.target[1:]) + 1}"
        connection.answer("307 Temporary Redirect", Location=further)

    with WebServer(script) as server, pytest.raises(Unsafe, match="more than 5 redirects"):
        fetch(server, folder, target)
    assert len(server.requests) == 6


def test_five_redirects_are_legal(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        if request.number < 5:
            connection.answer("302 Found", Location="/again")
        else:
            serve_body(connection, request)

    with WebServer(script) as server:
        assert fetch(server, folder).size == len(BODY)


def test_no_redirect_leads_from_https_to_http(folder: Path, authority: Authority) -> None:
    with WebServer(serve_body) as plain:

        def script(connection: Connection, request: Request) -> None:
            connection.answer("302 Found", Location=plain.url())

        with WebServer(script, authority.server("127.0.0.1")) as server:
            policy = FetchPolicy(allowed_hosts=(server.host, plain.host), ca_file=authority.ca_file)
            with pytest.raises(Unsafe, match="from https to http"):
                fetch(server, folder, policy=policy)
    assert plain.requests == []


def test_https_is_verified_against_the_name_and_not_the_address(folder: Path, authority: Authority) -> None:
    with WebServer(serve_body, authority.server("pictures.example")) as server:
        policy = FetchPolicy(allowed_hosts=("pictures.example", "127.0.0.1"), ca_file=authority.ca_file)
        url = f"https://pictures.example:{server.port}/a.png"
        assert fetch(server, folder, url=url, policy=policy).size == len(BODY)
        with pytest.raises(Unsafe, match=r"certificate of 127\.0\.0\.1 is not valid"):
            fetch(server, folder, policy=policy)


@pytest.mark.parametrize("days", [1, -1])
def test_unknown_and_expired_certificates_are_refused(days: int, folder: Path, authority: Authority) -> None:
    """One day left: the authority is not trusted. One day over: it is, and the certificate has expired."""
    ca_file = authority.ca_file if days < 0 else None
    with WebServer(serve_body, authority.server("127.0.0.1", days=days)) as server:
        policy = FetchPolicy(allowed_hosts=(server.host,), ca_file=ca_file)
        with pytest.raises(Unsafe, match=r"is not valid: .*certificate verify failed"):
            fetch(server, folder, policy=policy)
    assert server.requests == []
    assert left_behind(folder) == []


@pytest.mark.parametrize(
    "status", ["404 Not Found", "410 Gone", "400 Bad Request", "418 Teapot", "204 Empty"]
)
def test_a_file_that_is_not_there_is_bad_input_without_a_retry(status: str, folder: Path) -> None:
    with (
        WebServer(lambda connection, request: connection.answer(status)) as server,
        pytest.raises(BadInput, match=status[:3]),
    ):
        fetch(server, folder)
    assert len(server.requests) == 1
    assert left_behind(folder) == []


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_an_expired_link_says_so_and_shows_no_token(status: str, folder: Path) -> None:
    with (
        WebServer(lambda connection, request: connection.answer(status)) as server,
        pytest.raises(InputUnavailable, match="a signed link may have expired") as caught,
    ):
        fetch(server, folder, "/a.png?token=SECRET")
    assert "SECRET" not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"statusCode":"404","error":"not_found","message":"Object not found"}', BadInput),
        (b'{"statusCode":"400","error":"InvalidJWT","message":"exp"}', InputUnavailable),
        (b'{"statusCode":"403","error":"Unauthorized"}', InputUnavailable),
        (b'{"statusCode":"99999"}', BadInput),
        (b"[" * 5000, BadInput),
        (b"[]", BadInput),
        (b"not json", BadInput),
    ],
)
def test_supabase_puts_the_status_into_the_body(body: bytes, expected: type[Exception], folder: Path) -> None:
    with (
        WebServer(lambda connection, request: connection.answer("400 Bad Request", body)) as server,
        pytest.raises(expected),
    ):
        fetch(server, folder)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Error", "502 Bad", "503 Busy", "408 Late"])
def test_a_passing_failure_is_retried_to_a_limit(status: str, folder: Path) -> None:
    with (
        WebServer(lambda connection, request: connection.answer(status)) as server,
        pytest.raises(InputUnavailable, match=rf"^start_image: .*{status[:3]}, 4 attempts"),
    ):
        fetch(server, folder)
    assert len(server.requests) == 4
    assert left_behind(folder) == []


def test_a_retry_that_succeeds_gives_the_bytes_of_that_attempt(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        if request.number == 0:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nOLD")
        else:
            connection.answer("200 OK", b"NEW BYTES!")

    with WebServer(script) as server:
        fetched = fetch(server, folder)
    assert fetched.path.read_bytes() == b"NEW BYTES!"
    assert fetched.sha256 == hashlib.sha256(b"NEW BYTES!").hexdigest()


def test_retry_after_is_honoured(folder: Path) -> None:
    clock = FakeClock()

    def script(connection: Connection, request: Request) -> None:
        if request.number == 0:
            connection.answer("429 Too Many Requests", Retry_After="7")
        else:
            serve_body(connection, request)

    with WebServer(script) as server:
        fetch(server, folder, clock=clock)
    assert clock.now == pytest.approx(7)
    assert max(clock.slept) <= 0.5


def test_a_long_retry_after_is_not_waited_for(folder: Path) -> None:
    clock = FakeClock()
    with (
        WebServer(lambda connection, request: connection.answer("503 Busy", Retry_After="3600")) as server,
        pytest.raises(InputUnavailable, match="asks to wait 3600 s, longer than the 30 s"),
    ):
        fetch(server, folder, clock=clock)
    assert clock.slept == []


def test_a_pause_never_outlasts_the_budget(folder: Path) -> None:
    clock = FakeClock()
    with (
        WebServer(lambda connection, request: connection.answer("503 Busy", Retry_After="20")) as server,
        pytest.raises(InputUnavailable, match="would exceed the limit of 30 s"),
    ):
        fetch(server, folder, clock=clock)
    assert clock.now == pytest.approx(20)


def test_an_interruption_is_heard_while_waiting_to_retry(folder: Path) -> None:
    clock = FakeClock()

    def check() -> None:
        if clock.now >= 3:
            raise Cancelled("cancelled")

    with (
        WebServer(lambda connection, request: connection.answer("503 Busy", Retry_After="20")) as server,
        pytest.raises(Cancelled),
    ):
        fetch(server, folder, clock=clock, check=check)
    assert clock.now < 4


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("0", 0.0), ("120", 120.0), ("-5", None), ("soon", None), ("9" * 5000, 999999999.0)],
)
def test_retry_after_is_read_strictly(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize("offset", [timedelta(seconds=60), timedelta(seconds=-60)])
def test_retry_after_may_be_a_date(offset: timedelta) -> None:
    moment = datetime.now(UTC) + offset
    for value in (format_datetime(moment, usegmt=True), moment.strftime("%a, %d %b %Y %H:%M:%S -0000")):
        seconds = parse_retry_after(value)
        assert seconds is not None
        assert max(0.0, offset.total_seconds()) - 5 <= seconds <= max(0.0, offset.total_seconds())


def test_a_short_body_is_never_accepted(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 990)

    with WebServer(script) as server, pytest.raises(InputUnavailable, match=r"connection to .* failed"):
        fetch(server, folder)
    assert len(server.requests) == 4
    assert left_behind(folder) == []


def test_a_chunked_body_that_breaks_off_is_never_accepted(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

    with WebServer(script) as server, pytest.raises(InputUnavailable):
        fetch(server, folder)
    assert left_behind(folder) == []


def test_a_reset_at_the_end_is_retried(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        if request.number < 2:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY[:-1])
            connection.reset()
        else:
            serve_body(connection, request)

    with WebServer(script) as server:
        assert fetch(server, folder).path.read_bytes() == BODY
    assert len(server.requests) == 3


def test_nobody_listening_is_unavailable(folder: Path) -> None:
    with WebServer(serve_body) as server:
        url, host = server.url(), server.host
    with pytest.raises(InputUnavailable, match=r"connection to .* failed: .*refused"):
        fetch(server, folder, url=url, policy=FetchPolicy(allowed_hosts=(host,)))


@pytest.mark.parametrize(
    "answer",
    [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"",
     b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 300_000 + b"\r\n\r\n"],
)  # fmt: skip
def test_what_is_not_http_is_unavailable(answer: bytes, folder: Path) -> None:
    with (
        WebServer(lambda connection, request: connection.send(answer)) as server,
        pytest.raises(InputUnavailable, match="4 attempts"),
    ):
        fetch(server, folder)


def test_an_endless_stream_is_cut_at_the_cap(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.send(b"x" * 65536)

    with WebServer(script) as server, pytest.raises(BadInput, match="larger than 1000000 bytes"):
        fetch(server, folder)
    assert len(server.requests) == 1
    assert left_behind(folder) == []


def test_a_declared_size_over_the_cap_is_refused_before_the_body(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n")
        connection.stay_silent()

    with WebServer(script) as server, pytest.raises(BadInput, match="has 1000001 bytes; at most 1000000"):
        fetch(server, folder)


def test_bytes_beyond_the_declared_size_are_not_read(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + b"x" * 100_000)

    with WebServer(script) as server:
        assert fetch(server, folder).size == 5


def test_a_file_of_exactly_the_cap_is_legal(folder: Path) -> None:
    with WebServer(serve_body) as server:
        assert fetch(server, folder, limits=replace(LIMITS, max_bytes=len(BODY))).size == len(BODY)


def test_an_empty_file_is_bad_input(folder: Path) -> None:
    with (
        WebServer(lambda connection, request: connection.answer("200 OK")) as server,
        pytest.raises(BadInput, match="is empty"),
    ):
        fetch(server, folder)
    assert left_behind(folder) == []


def test_a_compressed_answer_is_refused(folder: Path) -> None:
    with (
        WebServer(
            lambda connection, request: connection.answer("200 OK", b"x", Content_Encoding="gzip")
        ) as server,
        pytest.raises(BadInput, match=r"compressed \(gzip\)"),
    ):
        fetch(server, folder)


def test_a_drip_of_bytes_ends_with_the_total_time(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not connection.stopped.wait(0.02):
            connection.send(b"x")

    with WebServer(script) as server, pytest.raises(InputUnavailable, match=r"took longer than 0\.3 s"):
        fetch(server, folder, limits=replace(LIMITS, total_seconds=0.3))
    assert left_behind(folder) == []


def test_a_drip_of_headers_ends_with_the_total_time(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nX: ")
        while not connection.stopped.wait(0.02):
            connection.send(b"x")

    with WebServer(script) as server, pytest.raises(InputUnavailable, match=r"took longer than 0\.3 s"):
        fetch(server, folder, limits=replace(LIMITS, total_seconds=0.3))


def test_a_silent_server_times_out(folder: Path) -> None:
    with (
        WebServer(lambda connection, request: connection.stay_silent()) as server,
        pytest.raises(InputUnavailable, match="did not answer in time, 2 attempts"),
    ):
        fetch(server, folder, limits=replace(LIMITS, read_seconds=0.1, attempts=2))
    assert len(server.requests) == 2


def test_an_interruption_is_heard_while_the_server_is_silent(folder: Path) -> None:
    """Heard within a slice of the wait, long before the server gives up."""
    with WebServer(lambda connection, request: connection.stay_silent()) as server:

        def check() -> None:
            if server.requests:
                raise Cancelled("cancelled")

        began = time.monotonic()
        with pytest.raises(Cancelled):
            fetch(server, folder, check=check, limits=replace(LIMITS, read_seconds=30))
        assert time.monotonic() - began < 5
    assert left_behind(folder) == []


def test_an_interruption_in_the_middle_leaves_nothing(folder: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000)
        connection.stay_silent()

    def check() -> None:
        if any(path.stat().st_size for path in folder.glob(".*")):
            raise Cancelled("cancelled")

    with WebServer(script) as server, pytest.raises(Cancelled):
        fetch(server, folder, check=check)
    assert left_behind(folder) == []


def test_two_downloads_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    def script(connection: Connection, request: Request) -> None:
        connection.answer("200 OK", request.target.encode())

    with WebServer(script) as server:
        one = fetch(server, tmp_path / "one", "/a/image.png")
        two = fetch(server, tmp_path / "two", "/b/image.png")
    assert (one.path.read_bytes(), two.path.read_bytes()) == (b"/a/image.png", b"/b/image.png")


def test_a_full_disk_releases_the_task_and_leaves_nothing(folder: Path) -> None:
    """A file size limit stands in for the full disk; it is set in a process of its own."""
    program = """
        import resource, sys
        from pathlib import Path
        from headless.errors import DiskFull
        from headless.media.fetch import FetchLimits, fetch_url
        from headless.media.guard import FetchPolicy
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        url, folder, host = sys.argv[1:]
        try:
            fetch_url(url, Path(folder) / "input", policy=FetchPolicy(allowed_hosts=(host,)),
                      limits=FetchLimits(), check=lambda: None)
        except DiskFull as error:
            print(error.message)
        """
    with WebServer(serve_body) as server:
        printed = run_program(program, server.url(), folder, server.host)
    assert printed.startswith("no room to write input in ")
    assert left_behind(folder) == []
    assert len(server.requests) == 1


def test_a_full_device_is_disk_full() -> None:
    device = Path("/dev/full")
    with pytest.raises(DiskFull, match="No space left on device; free some"), no_room_is_disk_full(device):
        device.write_bytes(b"x")


def test_other_failures_of_the_file_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "out"):
        (tmp_path / "absent").read_bytes()
    assert left_behind(tmp_path) == []


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    destination = tmp_path / "new folder" / "out"
    with whole_file(destination) as partial:
        partial.write_bytes(b"first")
    with pytest.raises(ZeroDivisionError), whole_file(destination) as partial:
        _ = partial.write_bytes(b"second") / 0
    assert destination.read_bytes() == b"first"
    assert left_behind(destination.parent) == ["out"]
