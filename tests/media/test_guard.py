from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headless.errors import BadInput, InputUnavailable, TaskError, Unsafe, UsageError
from headless.media.guard import FetchPolicy, parse_url, redact_url, resolve, system_resolver

PUBLIC = "93.184.215.14"


def guard(url: str, *addresses: str, policy: FetchPolicy | None = None) -> tuple[str, ...]:
    """The addresses that a download of `url` would connect to, where DNS answers with `addresses`."""

    def resolver(host: str, port: int) -> Sequence[str]:
        return addresses or (PUBLIC,)

    return resolve(parse_url(url, "start_image"), policy or FetchPolicy(), resolver, "start_image").addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "http://[fd00:ec2::254]/",
        "http://127.0.0.1:5432/",
        "http://127.0.0.1/",
        "http://localhost:8000",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://app.localhost/",
        "http://0/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1%25eth0]/",
        "http://127.0.0.1./",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://postgres/",
        "http://redis.local/",
        "http://nas.lan/",
        "http://999.1.1.1/",
        "https://example.com:22/",
        "https://example.com:25/",
        "http://example.com:6379/",
        "file:///proc/self/environ",
        "FILE:///proc/self/environ",
        "ftp://example.com/a.png",
        "data:image/png;base64," + "A" * 10_000_000,
        "jar:http://example.com/a!/b",
        "s3://bucket/key",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http://user:password@example.com/a.png",
        "http://user@example.com/a.png",
        "http://example.com\\@127.0.0.1/",
        "http://127.0.0.1\\.example.com/",
        "http://example.com/\r\nHost: evil",
        "http://exa\tmple.com/",
        "http://example.com/\x00",
    ],
)
def test_unsafe_urls_are_refused_whatever_dns_says(url: str) -> None:
    with pytest.raises(Unsafe, match=r"^start_image: "):
        guard(url)


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.1",),
        (PUBLIC, "10.0.0.1"),
        (PUBLIC, "::1"),
        ("169.254.169.254",),
        ("fe80::1%eth0",),
    ],
)
def test_a_name_with_any_private_address_is_refused(addresses: tuple[str, ...]) -> None:
    with pytest.raises(
        Unsafe, match=r"10\.0\.0\.1\.nip\.io resolves to .* address; an operator can permit it"
    ):
        guard("http://10.0.0.1.nip.io/", *addresses)


@pytest.mark.parametrize(
    "url",
    ["", "picture.png", "//example.com/a.png", "http:", "https:/example.com", "http:///a", "http://?",
     "https://exa mple.com/", "https://example.com:99999/", "https://example.com:x/", "https://[1:2/",
     "https://a..b/", "https://-a.com/",
     "https://%31%32%37.0.0.1/", "https://example.com/" + "a" * 9000, "https://" + "a" * 64 + ".com/"],
)  # fmt: skip
def test_what_is_no_url_is_bad_input(url: str) -> None:
    with pytest.raises((BadInput, Unsafe), match=r"^start_image: "):
        guard(url)


def test_good_urls_are_pinned_to_the_addresses_that_were_checked() -> None:
    assert guard("https://example.com/a.png?token=1", PUBLIC, "2606:4700::1") == (PUBLIC, "2606:4700::1")
    assert guard("http://1.1.1.1/") == ("1.1.1.1",)
    assert guard("http://[2606:4700::1]:80/") == ("2606:4700::1",)
    assert guard("http://134744072/") == ("8.8.8.8",)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://EXAMPLE.com./A%20b.png#part", "example.com", "/A%20b.png"),
        ("https://example.com", "example.com", "/"),
        ("https://example.com?x=ü", "example.com", "/?x=%C3%BC"),
        ("https://bücher.de/grün und blau.png", "xn--bcher-kva.de", "/gr%C3%BCn%20und%20blau.png"),
        ("https://0x08.8.8.8/", "8.8.8.8", "/"),
        ("https://example.com/a?token=a%2Fb&c=[1]", "example.com", "/a?token=a%2Fb&c=[1]"),
    ],
)
def test_urls_are_normalised(url: str, host: str, target: str) -> None:
    location = parse_url(url)
    assert (location.host, location.target) == (host, target)


def test_the_authority_names_the_port_only_where_it_is_unusual() -> None:
    assert parse_url("https://example.com:443/").authority == "example.com"
    assert parse_url("http://example.com:443/").authority == "example.com:443"
    assert parse_url("http://[2606:4700::1]:8080/").authority == "[2606:4700::1]:8080"


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("127.0.0.1:54321", "http://127.0.0.1:54321/a"),
        ("127.0.0.1", "http://127.0.0.1:54321/a"),
        ("127.0.0.1", "http://2130706433/a"),
        ("storage.internal", "http://STORAGE.internal.:9000/a"),
        ("Storage.Internal.", "http://storage.internal/a"),
        ("[::1]:8000", "http://[::1]:8000/a"),
        ("::1", "http://[::1]:8000/a"),
        ("bücher.internal", "http://xn--bcher-kva.internal/a"),
        (" minio:9000 ", "http://minio:9000/a"),
    ],
)
def test_an_allowed_host_is_exempt_from_the_rules_on_addresses_and_ports(entry: str, url: str) -> None:
    assert guard(url, "10.1.2.3", policy=FetchPolicy(allowed_hosts=(entry,)))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:54322/",
        "http://localhost:54321/",
        "http://xn--stoage-q9d.internal/",
        "http://127.0.0.1.example.com:54321/",
        "http://storage.internal.example.com:81/",
        "http://storage.internal@evil.example.com/",
    ],
)
def test_allowing_one_host_allows_no_other(url: str) -> None:
    policy = FetchPolicy(allowed_hosts=("127.0.0.1:54321", "storage.internal"))
    with pytest.raises(Unsafe):
        guard(url, "127.0.0.1", policy=policy)


@pytest.mark.parametrize(
    "entry", ["", "*", "*.example.com", "http://storage", "a/b", "a:b", "a:70000", "u@h", "1.2.3.4.5", "a?b"]
)
def test_a_malformed_allowed_host_is_a_usage_error(entry: str) -> None:
    with pytest.raises(UsageError, match=r"--allow-hosts: .* write host or host:port"):
        FetchPolicy(allowed_hosts=(entry,))


def test_refusals_say_how_to_allow_the_host() -> None:
    with pytest.raises(
        Unsafe, match=r"127\.0\.0\.1 is a loopback address; .* --allow-hosts 127\.0\.0\.1:80$"
    ):
        guard("http://127.0.0.1/")
    with pytest.raises(
        Unsafe, match=r"port 6379 of example\.com is not allowed \(legal: 80 and 443\); .*:6379$"
    ):
        guard("http://example.com:6379/")


def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    def nothing(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    location = parse_url("https://example.com/")
    with pytest.raises(InputUnavailable, match=r"example\.com does not resolve"):
        resolve(location, FetchPolicy(), nothing)
    with pytest.raises(InputUnavailable, match="has no address"):
        resolve(location, FetchPolicy(), lambda host, port: [])


def test_the_system_resolver_lists_each_address_once() -> None:
    assert system_resolver("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.co/a.png?token=SECRET&b=1", "https://x.co/a.png…"),
        ("https://x.co/a.png#SECRET", "https://x.co/a.png…"),
        ("https://user:SECRET@x.co/@me/a.png", "https://x.co/@me/a.png…"),
        ("user:SECRET@x.co", "x.co…"),
        ("data:image/png;base64,SECRET", "data:…"),
        ("https://x.co/a.png", "https://x.co/a.png"),
        ("storage://inputs/local/a.png", "storage://inputs/local/a.png"),
        ("https://x.co/\n\x1b[31m", "https://x.co/��[31m"),
        ("", ""),
    ],
)
def test_redacted_urls_hold_no_secret(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_a_redacted_url_is_short() -> None:
    assert len(redact_url("https://x.co/" + "a" * 10_000)) == 201


def test_a_location_does_not_show_its_query() -> None:
    assert "SECRET" not in repr(parse_url("https://x.co/a?token=SECRET"))


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for url in (text, "https://" + text, "http://x.co/" + text):
        redact_url(url)
        try:
            location = parse_url(url)
        except TaskError:
            continue
        assert location.host.isascii()
        assert location.target.isascii()
        assert not any(letter.isspace() for letter in location.target + location.host)
