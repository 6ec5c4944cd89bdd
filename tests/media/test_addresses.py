from __future__ import annotations

from ipaddress import ip_address

import pytest

from headless.media.addresses import parse_address, why_refused

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.8.8.8
168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1
198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::1 2002:a9fe:a9fe:: 2001::1 2001:2::1 2001:db8::1 3fff::1 fc00::1
fd00:ec2::254 fe80::1 fec0::1 ff02::1 100::1 5f00::1 4000::1
"""

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 169.253.1.1
172.15.255.255 172.32.0.1 192.167.1.1 192.169.1.1 198.17.1.1 198.20.0.1 223.255.255.255
2606:4700::1 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1 2001:4860:4860::8888
"""

SPELLINGS = {
    "2130706433": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "0177.0.0.01": "127.0.0.1",
    "0x7f.1": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "0X7F.0.0.0X1": "127.0.0.1",
    "127.1": "127.0.0.1",
    "127.0.1": "127.0.0.1",
    "1": "0.0.0.1",
    "0x2": "0.0.0.2",
    "010": "0.0.0.8",
    "10.65535": "10.0.255.255",
    "4294967295": "255.255.255.255",
    "8.8.8.8": "8.8.8.8",
    "::1": "::1",
    "::ffff:7f00:1": "::ffff:127.0.0.1",
}


@pytest.mark.parametrize("address", REFUSED.split())
def test_addresses_off_the_public_internet_are_refused(address: str) -> None:
    assert why_refused(ip_address(address)) is not None


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_addresses_are_reachable(address: str) -> None:
    assert why_refused(ip_address(address)) is None


def test_the_reason_says_what_kind_of_address_it_is() -> None:
    assert why_refused(ip_address("::ffff:169.254.169.254")) == "a link-local address"
    assert why_refused(ip_address("2002:7f00:1::")) == "a loopback address"


@pytest.mark.parametrize(("spelling", "address"), SPELLINGS.items())
def test_every_spelling_of_an_address_is_that_address(spelling: str, address: str) -> None:
    assert parse_address(spelling) == ip_address(address)


@pytest.mark.parametrize(
    "host", ["example.com", "1e100.net", "a.0x7g", "10.0.0.1.nip.io", "xn--bcher-kva.de"]
)
def test_a_name_is_no_address(host: str) -> None:
    assert parse_address(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "256.1.1.1",
        "1.2.3.4.5",
        "4294967296",
        "127.0.0.08",
        "a.127",
        "1..1",
        "1.2.65536",
        "fe80::1%eth0",
        "1:2",
    ],
)
def test_what_only_looks_like_an_address_is_an_error(host: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(host)


@pytest.mark.parametrize("zero", ["0", "00", "0x", "0x0"])
def test_every_spelling_of_zero_is_the_unspecified_address(zero: str) -> None:
    address = parse_address(zero)
    assert address is not None
    assert address.is_unspecified
