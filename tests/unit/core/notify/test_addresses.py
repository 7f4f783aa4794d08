"""Where messages may go: public addresses by https, and nowhere else."""

from ipaddress import ip_address

import pytest

from sluice.core.notify.addresses import (
    ForbiddenError,
    Place,
    choose_addresses,
    read_loopback,
    read_place,
    why_forbidden,
)

PUBLIC = ["1.1.1.1", "54.187.205.235", "2606:4700::1111", "2a05:d018::1"]
FORBIDDEN = {
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd00:ec2::254"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local": ["169.254.169.254", "169.254.170.2", "fe80::1"],
    "this network": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104
    "shared": ["100.64.0.1", "100.100.100.200"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": [
        "240.0.0.1",
        "255.255.255.255",
        "192.0.0.192",
        "198.18.0.1",
        "203.0.113.9",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "fec0::1",
    ],
    "mapped": ["::ffff:169.254.169.254", "::ffff:1.1.1.1", "::ffff:7f00:1"],
    "compatible": ["::127.0.0.1", "::1.1.1.1"],
    "translated": ["64:ff9b::169.254.169.254", "64:ff9b::1.1.1.1", "64:ff9b:1::a00:1"],
    "tunnelled": ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:4136:e378::1", "192.88.99.1"],
    "metadata": ["168.63.129.16"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_let_through(address: str) -> None:
    assert why_forbidden(ip_address(address)) == ""


@pytest.mark.parametrize("address", [each for listed in FORBIDDEN.values() for each in listed])
def test_any_other_address_is_refused_with_its_reason(address: str) -> None:
    with pytest.raises(ForbiddenError, match=r"^hooks\.example is at .*: .+"):
        choose_addresses("hooks.example", [address])


def test_a_name_with_a_private_address_among_public_ones_is_refused() -> None:
    with pytest.raises(ForbiddenError, match=r"10\.0\.0\.1: a private"):
        choose_addresses("hooks.example", ["1.1.1.1", "10.0.0.1"])


def test_ipv4_goes_first_and_each_address_once() -> None:
    assert choose_addresses("hooks.example", ["2606:4700::1111", "1.1.1.1", "1.1.1.1"]) == (
        "1.1.1.1",
        "2606:4700::1111",
    )


def test_a_zone_hides_no_address() -> None:
    with pytest.raises(ForbiddenError, match="link-local"):
        choose_addresses("hooks.example", ["fe80::1%eth0"])


def test_an_address_reads() -> None:
    assert read_place("https://hooks.slack.com/services/T/B/x?y=1", frozenset()) == Place(
        "hooks.slack.com", 443, "/services/T/B/x?y=1"
    )
    assert read_place("https://example.com:8443", frozenset()).authority == "example.com:8443"
    assert read_place("https://bücher.example/a", frozenset()).host == "xn--bcher-kva.example"
    assert read_place("https://[2606:4700::1111]/a", frozenset()).authority == "[2606:4700::1111]"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "http://hooks.example/secret",
        "http://127.0.0.1:8080/secret",
        "ftp://hooks.example/secret",
        "file:///etc/passwd",
        "https://",
        "https:///secret",
        "https://user:secret@hooks.example/",
        "https://user@hooks.example/",
        "https://hooks.example:99999/",
        "https://hooks.example/a b/secret",
        "https://hooks.example/secret\r\nx-evil: 1",
        "https://[::1/secret",
        "https://" + "ü" * 80 + ".example/",
    ],
)
def test_what_is_no_https_address_is_refused_and_its_path_is_not_told(url: str) -> None:
    with pytest.raises(ForbiddenError) as raised:
        read_place(url, frozenset())
    assert "secret" not in str(raised.value).replace("the secret's url", "")


def test_only_a_named_server_on_this_machine_is_let_through() -> None:
    named = read_loopback("127.0.0.1:8080,127.0.0.1:9090")

    assert read_place("http://127.0.0.1:9090/slack/a", named) == Place("127.0.0.1", 9090, "/slack/a", encrypted=False)
    for other in ("http://127.0.0.1:8081/a", "http://localhost:8080/a", "http://127.0.0.2:8080/a"):
        with pytest.raises(ForbiddenError):
            read_place(other, named)
    assert read_loopback("none") == frozenset()


@pytest.mark.parametrize(
    "text", ["", "169.254.169.254:80", "10.0.0.1:80", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:80,*"]
)
def test_the_setting_can_name_no_other_address(text: str) -> None:
    with pytest.raises(ValueError, match="no server on this machine"):
        read_loopback(text)
