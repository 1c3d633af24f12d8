from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toros.errors import SourceForbidden
from toros.preprocessor.sources import SourceRules, canonical, check, shown
from toros.preprocessor.sources.addresses import forbidden_address
from toros.preprocessor.sources.places import HttpUrl, parse

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "::1", "10.1.2.3", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "100.64.0.1", "169.254.1.1", "fe80::1", "fd12:3456::1", "fc00::1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "fd00:ec2::254", "192.0.0.1", "192.0.2.1",
    "198.18.0.1", "198.51.100.7", "203.0.113.9", "192.88.99.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255", "::", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1",
    "ff02::1", "100::1", "fec0::1", "5f00::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2a00:1450::1", "2606:4700::1111"]


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_need_the_setting(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert forbidden_address(address, private_addresses=False)
    assert forbidden_address(address, private_addresses=True) is None


@pytest.mark.parametrize("text", NEVER)
def test_other_special_addresses_are_never_reached(text: str) -> None:
    assert forbidden_address(ipaddress.ip_address(text), private_addresses=True)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_reached(text: str) -> None:
    assert forbidden_address(ipaddress.ip_address(text), private_addresses=False) is None


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
@example(ipaddress.ip_address("192.168.0.1"))
def test_what_python_calls_not_global_is_refused(address: ipaddress.IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert forbidden_address(address, private_addresses=False)


@pytest.mark.parametrize(
    "url",
    [
        "", "night", "./night", "~/night", "ftp://host/x", "gopher://host", "data:,x",
        "file://elsewhere/data", "file:///data?x", "file:///data#x", "file:data", "file:///a%00b",
        "http://", "http:///path", "http://ho st/", "http://[::1/", "http://[zz]/", "http://h:99999/",
        "http://h:x/", "http://a\\@b/", "http://h/\r\nX: y", "http://" + "a" * 300 + "/",
        "/data/\0", "/data/\n", "/" + "a" * 9000, "http://h/\ud800", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_a_url_of_no_allowed_form_is_refused_plainly(url: str) -> None:
    with pytest.raises(SourceForbidden) as caught:
        parse(url)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 800


def test_a_url_is_taken_apart() -> None:
    url = parse("HTTPS://me:se%2Fcret@Höst.example.:8443/my night/Ü.fits?x=1#part")
    assert url == HttpUrl(
        "https", "xn--hst-sna.example", 8443, "/my%20night/%C3%9C.fits?x=1", "me", "se/cret"
    )
    assert str(parse("http://[2606:4700::1111]/a%20b")) == "http://[2606:4700::1111]/a%20b"


@pytest.mark.parametrize(
    "url",
    ["http://me:secret@host/a?token=secret", "HTTP:me:secret@host", "https:/me:secret@host/x",
     "http://me:sec/secret@host:1/x", "http://me:[secret@host/x", "ftp://me:secret@host/x"],
)  # fmt: skip
def test_no_message_shows_credentials(url: str) -> None:
    try:
        assert "secret" not in parse(url).shown  # type: ignore[union-attr]
        assert "secret" not in canonical("http://me:secret@host/a")
    except SourceForbidden as error:
        assert "secret" not in error.message
    assert shown("http://me:secret@host/a?token=secret") == "http://***@host/a?…"


def test_credentials_go_to_their_own_origin_only() -> None:
    url = parse("https://me:pw@host/list/")
    assert isinstance(url, HttpUrl)
    assert url.follow("a.fits").user == "me"
    assert url.follow("https://other/a.fits").user is None
    assert url.follow("https://host:8443/a.fits").user is None
    assert url.follow("https://you:x@other/").user is None
    for bad in ("http://host/a", "file:///etc/passwd", "ftp://host/a"):
        with pytest.raises(SourceForbidden):
            url.follow(bad)


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://h/", "file://", "/"]))
def test_any_text_is_a_place_or_refused(text: str, start: str) -> None:
    try:
        parse(start + text)
    except SourceForbidden as error:
        assert error.message.isprintable()


def test_a_host_outside_the_list_is_refused_before_anything_is_asked() -> None:
    rules = SourceRules(folders=(), hosts=("Archive.example.org",))
    assert check("http://archive.EXAMPLE.org/a", rules) == "http://archive.example.org/a"
    with pytest.raises(SourceForbidden, match=r"archive\.example\.org"):
        check("http://example.org/a", rules)
