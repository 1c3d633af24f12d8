from __future__ import annotations

import contextlib
import gzip
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing_part
from tests.unit.preprocessor.sources.source_site import (
    FITS,
    Site,
    body,
    contents,
    in_turn,
    raw,
    redirect,
    rules_for,
    serving,
    small_disk,
)
from tests.unit.preprocessor.sources.test_source_archives import NIGHT, make
from toros.errors import (
    DiskFull,
    NoUsableFrames,
    SourceForbidden,
    SourceIncomplete,
    SourceUnreachable,
    Stopping,
    TorosError,
    UnsafeArchive,
)
from toros.preprocessor.sources import Fetched, fetch
from toros.preprocessor.sources.addresses import Endpoint, resolve

__all__ = ["small_disk"]
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        yield running


def bring(url: str, target: Path, **changes: object) -> Fetched:
    try:
        return fetch(url, rules_for(**changes), target)
    except TorosError as error:
        assert list(target.iterdir()) == []
        assert error.message.isprintable()
        raise


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_archive_is_downloaded_and_unpacked(site: Site, tmp_path: Path, kind: str) -> None:
    site.pages["/data?night=1"] = body(make(kind, NIGHT), Content_Encoding="x-gzip")
    fetched = bring(site.url + "/data?night=1", tmp_path / "s")
    assert contents(tmp_path / "s") == NIGHT
    assert not fetched.in_place
    assert site.asked[0][1]["accept-encoding"] == "identity"


def test_a_single_frame_is_a_batch_of_one(site: Site, tmp_path: Path) -> None:
    site.pages["/my%20a.fits"] = body(FITS)
    site.pages["/get"] = body(gzip.compress(FITS))
    assert bring(site.url + "/my a.fits", tmp_path / "s").files[0].name == "my a.fits"
    assert bring(site.url + "/get", tmp_path / "t").files[0].name == "get"


APACHE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><head><title>Index of /night</title></head><body><h1>Index of /night</h1>
<table><tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="/">Parent</a>
<tr><td><a href="a%20%26%20b.fits">a &amp; b.fits</a></td><td align="right">2.9K</td></tr>
<tr><td><A HREF='c.fits'>c.fits</A></td></tr><tr><td><a href="flats/">flats/</a></td></tr>
<tr><td><a class=x href=/night/d.fits>d</a></td></tr><tr><td><a href="c.fits#x">c</a></td></tr>
<tr><td><a href="http://elsewhere.example/x.fits">x</a><a href="mailto:me@x.org">mail</a>
<a href="../up.fits">up</a><a href=".hidden">h</a><a href="c.fits~">old</a></td></tr>"""
NGINX = """<html>\r\n<head><title>Index of /night/</title></head>\r\n<body>\r\n<h1>Index</h1><pre>
<a href="../">../</a>\r\n<a href="c.fits">c.fits</a>   05-Mar-2019 14:34   2880\r\n</pre></body>"""


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        (APACHE, ["a & b.fits", "c.fits", "d.fits"]),
        (NGINX, ["c.fits"]),
        ("#\n\nc.fits\n{url}/night/d.fits\n/other/c.fits\n", ["c-2.fits", "c.fits", "d.fits"]),
        ('["c.fits", {"url": "d.fits"}]', ["c.fits", "d.fits"]),
        ('[{"name": "flats", "type": "directory"}, {"name": "a & b.fits", "type": "file"}]',
         ["a & b.fits"]),
    ],
)  # fmt: skip
def test_the_files_of_a_listing_are_downloaded(
    site: Site, tmp_path: Path, listing: str, names: list[str]
) -> None:
    site.pages["/night/"] = body(listing.replace("{url}", site.url).encode())
    site.pages["/night"] = redirect("/night/", 301)
    for name in (
        "/night/a%20%26%20b.fits",
        "/night/a%20&%20b.fits",
        "/night/c.fits",
        "/night/d.fits",
        "/other/c.fits",
    ):
        site.pages[name] = body(FITS + name.encode())
    told: list[str] = []
    fetched = fetch(
        site.url + "/night", rules_for(), tmp_path / "s",
        progress=lambda fraction, text: told.append(text),
    )  # fmt: skip
    assert [file.name for file in fetched.files] == names
    assert contents(tmp_path / "s").keys() == set(names)
    assert any(f"({len(names)} of" in text for text in told)
    if listing is APACHE:
        assert dict(fetched.left_out).keys() == {".hidden", "c.fits~"}
    if "c-2.fits" in names:
        assert (tmp_path / "s" / "c-2.fits").read_bytes().endswith(b"/other/c.fits")


@pytest.mark.parametrize(
    "content",
    [b"Down for maintenance, sorry.", b"{}", b"[1]", b"[" * 100_000, b"\0\1\2", b'[{"x":1}]',
     gzip.compress(b"no fits", mtime=0), b'["c.fits"', b"a\x1b.fits"],
)  # fmt: skip
def test_what_is_no_listing_is_said(site: Site, tmp_path: Path, content: bytes) -> None:
    site.pages["/"] = body(content)
    with pytest.raises(NoUsableFrames):
        bring(site.url, tmp_path / "s")


def test_a_listing_names_no_more_files_than_allowed(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = body("\n".join(f"{n}.fits" for n in range(11)).encode())
    with pytest.raises(SourceForbidden, match="Members Limit"):
        bring(site.url, tmp_path / "s", members_limit=10)
    assert site.paths == ["/"]


def test_a_hostile_page_is_read_in_linear_time(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = body(b"<" + b"<a href href" * 300_000 + b"<a " + b"x" * 3_000_000)
    assert bring(site.url, tmp_path / "s").files == ()


@pytest.mark.parametrize("line", ["file:///etc/passwd", "ftp://x/y", "http://169.254.169.254/x"])
def test_a_listing_leads_nowhere_forbidden(site: Site, tmp_path: Path, line: str) -> None:
    site.pages["/"] = body(b"a.fits\n" + line.encode())
    site.pages["/a.fits"] = body(FITS)
    with pytest.raises(SourceForbidden):
        bring(site.url, tmp_path / "s")


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fevil", "%2e%2e", "..%5cevil", "%00evil", "a%2Fb", "%FF"]
)
def test_no_name_in_a_listing_leads_outside(site: Site, tmp_path: Path, name: str) -> None:
    site.pages["/night/"] = body(f"http://x/{name}".replace("http://x", site.url).encode())
    site.pages["/" + name] = body(FITS)
    fetched = bring(site.url + "/night/", tmp_path / "s")
    assert all(f.path.parent == tmp_path / "s" for f in fetched.files)
    assert list(tmp_path.iterdir()) == [tmp_path / "s"]
    assert len(fetched.files) + len(fetched.left_out) == 1


BROKEN = {
    "short": raw(OK + b"Content-Length: 9999\r\n\r\n" + FITS),
    "chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nb40\r\n" + FITS[:2000]),
    "no last chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nb40\r\n" + FITS + b"\r\n"),
    "bad chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + FITS),
    "negative chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + FITS),
    "no length": raw(OK + b"\r\n" + FITS),
    "bad length": raw(OK + b"Content-Length: -7\r\n\r\n" + FITS),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_body_that_breaks_off_is_incomplete(site: Site, tmp_path: Path, how: str) -> None:
    site.pages["/a.fits"] = BROKEN[how]
    with pytest.raises(SourceIncomplete):
        bring(site.url + "/a.fits", tmp_path / "s")
    assert len(site.asked) == (1 if "length" in how else 3)


def test_chunks_are_put_together(site: Site, tmp_path: Path) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in FITS) + b"0\r\nTrailer: x\r\n\r\n"
    site.pages["/a.fits"] = raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    bring(site.url + "/a.fits", tmp_path / "s")
    assert contents(tmp_path / "s") == {"a.fits": FITS}


def test_more_bytes_than_stated_are_not_taken(site: Site, tmp_path: Path) -> None:
    site.pages["/a.fits"] = raw(OK + b"Content-Length: 2880\r\n\r\n" + FITS + b"more")
    bring(site.url + "/a.fits", tmp_path / "s")
    assert contents(tmp_path / "s") == {"a.fits": FITS}


@pytest.mark.parametrize(
    "first", [body(b"", 503), body(b"", 429), raw(b""), raw(b"garbage\r\n\r\n"), BROKEN["short"]]
)
def test_a_passing_trouble_is_tried_again(site: Site, tmp_path: Path, first: object) -> None:
    site.pages["/"] = body(b"a.fits")
    site.pages["/a.fits"] = in_turn(first, body(FITS))  # type: ignore[arg-type]
    bring(site.url, tmp_path / "s")
    assert contents(tmp_path / "s") == {"a.fits": FITS}
    assert site.paths == ["/", "/a.fits", "/a.fits"]


@pytest.mark.parametrize(
    ("status", "error", "attempts"),
    [(404, SourceUnreachable, 1), (503, SourceUnreachable, 3), (403, SourceForbidden, 1),
     (401, SourceForbidden, 1), (204, SourceUnreachable, 1), (206, SourceUnreachable, 1)],
)  # fmt: skip
def test_one_missing_file_and_nothing_stays(
    site: Site, tmp_path: Path, status: int, error: type[TorosError], attempts: int
) -> None:
    site.pages["/"] = body(b"a.fits\nb.fits")
    site.pages["/a.fits"] = body(FITS)
    site.pages["/b.fits"] = body(b"", status)
    with pytest.raises(error, match=f"b.fits answers HTTP {status}"):
        bring(site.url, tmp_path / "s")
    assert site.paths.count("/b.fits") == attempts


FORBIDDEN_REDIRECTS = [
    "http://169.254.169.254/latest", "http://0.0.0.0:1/", "http://[::ffff:127.0.0.1]:1/",
    "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "file:///etc/passwd", "ftp://x/",
    "http://224.0.0.1/", "http://0/", "javascript:1", "http://[::]/", "http://a b/",
]  # fmt: skip


@pytest.mark.parametrize("location", FORBIDDEN_REDIRECTS)
def test_a_redirect_is_checked_like_the_first(site: Site, tmp_path: Path, location: str) -> None:
    site.pages["/"] = redirect(location)
    with pytest.raises(SourceForbidden):
        bring(site.url, tmp_path / "s")


def test_redirects_are_bounded_and_to_allowed_hosts_only(site: Site, tmp_path: Path) -> None:
    site.pages |= {f"/{n}": redirect(f"/{n + 1}") for n in range(10)} | {"/5": body(b"")}
    bring(site.url + "/0", tmp_path / "s")
    site.pages["/5"] = redirect("/6")
    with pytest.raises(SourceForbidden, match="more than 5 redirects"):
        bring(site.url + "/0", tmp_path / "t")
    site.pages["/x"] = redirect(site.url.replace("127.0.0.1", "localhost") + "/y")
    with pytest.raises(SourceForbidden, match="Sources / Hosts"):
        bring(site.url + "/x", tmp_path / "u", hosts=("127.0.0.1",))


def test_credentials_are_sent_to_their_host_only(site: Site, tmp_path: Path) -> None:
    with serving() as other:
        site.pages["/"] = body(f"a.fits\n{other.url}/b.fits".encode())
        site.pages["/a.fits"] = redirect(f"{other.url}/a.fits")
        other.pages = {"/a.fits": body(FITS), "/b.fits": body(FITS)}
        bring(site.url.replace("//", "//me:pw@"), tmp_path / "s")
        assert [h.get("authorization") for _, h in site.asked] == ["Basic bWU6cHc="] * 2
        assert [h.get("authorization") for _, h in other.asked] == [None, None]


def test_loopback_is_refused_by_default_and_nothing_is_asked(site: Site, tmp_path: Path) -> None:
    port = site.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "127.0.0.1."):
        with pytest.raises(SourceForbidden, match="Private Addresses"):
            bring(f"http://{host}:{port}/", tmp_path / "s", private_addresses=False)
    assert site.asked == []


def test_a_name_is_resolved_once_and_every_address_counts(site: Site, tmp_path: Path) -> None:
    site.pages["/a.fits"] = body(FITS)
    port = int(site.url.rpartition(":")[2])
    asked: list[str] = []
    answers = [["127.0.0.1"], ["169.254.169.254"]]  # what a rebinding server would say

    def rebinding(host: str, port: int) -> list[Endpoint]:
        asked.append(host)
        return [Endpoint(socket.AF_INET, (text, port)) for text in answers[len(asked) - 1]]

    url = f"http://rebind.example:{port}/a.fits"
    fetch(url, rules_for(), tmp_path / "s", resolver=rebinding)
    assert asked == ["rebind.example"]
    assert site.asked[0][1]["host"] == f"rebind.example:{port}"

    def mixed(host: str, port: int) -> list[Endpoint]:
        return [
            Endpoint(socket.AF_INET, ("127.0.0.1", port)),
            Endpoint(socket.AF_INET, ("240.0.0.1", port)),
        ]

    with pytest.raises(SourceForbidden, match=r"240\.0\.0\.1"):
        fetch(url, rules_for(), tmp_path / "t", resolver=mixed)
    assert len(site.asked) == 1


def test_proxies_of_the_environment_are_ignored(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    site.pages["/a.fits"] = body(FITS)
    bring(site.url + "/a.fits", tmp_path / "s")


ENDLESS = [b"x" * 65536] * 10_000
SLOW = {
    "no answer": raw(b"", b"", pause=threading.Event(), pause_s=3),
    "headers": raw(OK, *[b"A: b\r\n"] * 50, pause=threading.Event(), pause_s=0.1),
    "continue": raw(*[b"HTTP/1.1 100 Go\r\n\r\n"] * 60, pause=threading.Event(), pause_s=0.05),
    "body": raw(
        OK + b"Content-Length: 2880\r\n\r\n", *[b"x"] * 50, pause=threading.Event(), pause_s=0.1
    ),
    "trailers": raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", *[b"A: b\r\n"] * 60,
        pause=threading.Event(), pause_s=0.05,
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", SLOW)
def test_a_sender_that_drips_is_given_up(site: Site, tmp_path: Path, how: str) -> None:
    site.pages["/"] = SLOW[how]
    with pytest.raises(SourceUnreachable, match="Timeout"):
        bring(site.url, tmp_path / "s", timeout_s=0.6, pauses_s=())


def test_endless_headers_are_given_up(site: Site, tmp_path: Path) -> None:
    site.pages["/many"] = raw(OK, *[b"A: b\r\n"] * 1000)
    site.pages["/long"] = raw(OK + b"A: ", *ENDLESS)
    for path in ("/many", "/long"):
        with pytest.raises(SourceUnreachable, match="no HTTP answer"):
            bring(site.url + path, tmp_path / path[1:], pauses_s=())


@pytest.mark.parametrize("chunked", [True, False])
def test_an_endless_body_ends_at_the_limit(site: Site, tmp_path: Path, chunked: bool) -> None:
    if chunked:
        pieces = [b"10000\r\n" + block + b"\r\n" for block in ENDLESS]
        site.pages["/"] = raw(
            OK + b"Transfer-Encoding: chunked\r\n\r\n5a0\r\n" + FITS[:1440] + b"\r\n", *pieces
        )
    else:
        site.pages["/"] = raw(OK + b"Content-Length: 99999999999999999\r\n\r\n" + FITS, *ENDLESS)
    with pytest.raises(SourceForbidden, match="Download Limit"):
        bring(site.url, tmp_path / "s", download_limit_bytes=2_000_000)
    with pytest.raises(SourceForbidden if chunked else (SourceForbidden, DiskFull)):
        bring(site.url, tmp_path / "t", download_limit_bytes=30_000_000)


def test_the_limit_counts_all_files_of_a_listing(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = body(b"a.fits\nb.fits\nc.fits")
    for name in "abc":
        site.pages[f"/{name}.fits"] = body(FITS)
    with pytest.raises(SourceForbidden, match="Download Limit"):
        bring(site.url, tmp_path / "s", download_limit_bytes=8000)


def test_a_text_that_is_too_long_is_no_listing(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = body(b"a\n" * 8_500_000)
    with pytest.raises(SourceForbidden, match="no listing"):
        bring(site.url, tmp_path / "s")


def test_a_hostile_archive_from_afar_leaves_nothing(site: Site, tmp_path: Path) -> None:
    site.pages["/"] = body(make("tar.gz", {"a.fits": FITS, "../evil": FITS}))
    with pytest.raises(UnsafeArchive, match=r"127\.0\.0\.1"):
        bring(site.url, tmp_path / "s")
    site.pages["/"] = body(b"Rar!\x1a\x07\x01\0" + bytes(100))
    with pytest.raises(UnsafeArchive, match="rar"):
        bring(site.url, tmp_path / "s")


@pytest.mark.parametrize("where", ["connect", "answer", "body", "pause", "resolve"])
def test_stopping_is_heeded_within_a_second(site: Site, tmp_path: Path, where: str) -> None:
    stop, release = threading.Event(), threading.Event()
    stalled = {
        "answer": raw(b"", b"", pause=release, pause_s=20),
        "body": raw(OK + b"Content-Length: 9\r\n\r\nx", b"", pause=release, pause_s=20),
        "pause": body(b"", 503),
    }
    site.pages["/"] = stalled.get(where, body(b""))
    url = site.url
    with contextlib.ExitStack() as stack:
        if where == "connect":  # a listener whose queue is full never answers
            full = stack.enter_context(socket.socket())
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}/"

        def slow(host: str, port: int) -> list[Endpoint]:
            if where == "resolve":
                release.wait(20)
            return resolve(host, port)

        timer = threading.Timer(0.3, stop.set)
        timer.start()
        begin = time.monotonic()
        with pytest.raises(Stopping):
            fetch(
                url, rules_for(timeout_s=30.0, pauses_s=(30.0,)), tmp_path / "s",
                should_stop=stop.is_set, resolver=slow,
            )  # fmt: skip
        assert time.monotonic() - begin < 5  # far from the 20 s and 30 s that it would else take
        release.set()
        timer.join()
    assert list((tmp_path / "s").iterdir()) == []


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnreachable, match="no connection"):
            bring(f"http://127.0.0.1:{unused.getsockname()[1]}/", tmp_path / "s")

    def unknown(host: str, port: int) -> list[Endpoint]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(SourceUnreachable, match="not found"):
        fetch("http://x.example/", rules_for(), tmp_path / "t", resolver=unknown)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", "key", "-out", "cert", "-subj", "/CN=localhost", "-days", "9",
             "-addext", "subjectAltName=DNS:localhost"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
    except OSError:
        missing_part("openssl", "apt-get install openssl")
    return folder / "cert", folder / "key"


def test_tls_is_verified_and_not_given_up(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with serving(tls=context, scheme="https") as secure, serving() as plain:
        url = secure.url.replace("127.0.0.1", "localhost")
        secure.pages["/a.fits"] = body(FITS)
        secure.pages["/down"] = redirect(plain.url)
        with pytest.raises(SourceUnreachable, match="certificate is not trusted"):
            bring(url + "/a.fits", tmp_path / "s")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        bring(url + "/a.fits", tmp_path / "t")
        assert contents(tmp_path / "t") == {"a.fits": FITS}
        with pytest.raises(SourceUnreachable, match="certificate is not trusted"):
            bring(secure.url + "/a.fits", tmp_path / "u")  # the name is another
        with pytest.raises(SourceForbidden, match="from https to http"):
            bring(url + "/down", tmp_path / "v")
        assert plain.asked == []
        with pytest.raises(SourceUnreachable, match="TLS"):
            bring(plain.url.replace("http:", "https:"), tmp_path / "w")


def test_a_full_disk_in_a_download(site: Site, tmp_path: Path, small_disk: Path) -> None:
    big = FITS + bytes(3_000_000)
    site.pages["/"] = body(big)
    chunked = b"%x\r\n" % len(big) + big + b"\r\n0\r\n\r\n"
    site.pages["/chunked"] = raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked)
    for path in ("/", "/chunked"):
        with pytest.raises(DiskFull):
            bring(site.url + path, small_disk / "s")
    assert len(site.asked) == 2


PUBLIC_SCRIPT = """
import json, subprocess, sys
from pathlib import Path
from tests.unit.preprocessor.sources.source_site import FITS, body, redirect, serving
from toros.errors import TorosError
from toros.preprocessor.sources import SourceRules, fetch
for command in ("link set lo up", "addr add 51.15.42.42/32 dev lo"):
    subprocess.run(["ip", *command.split()], check=True)
said = []
with serving("51.15.42.42") as public, serving("127.0.0.1") as secret:
    secret.pages["/a.fits"] = public.pages["/a.fits"] = body(FITS)
    public.pages["/r"] = redirect(secret.url + "/a.fits")
    public.pages["/l"] = body((secret.url + "/a.fits").encode())
    for number, path in enumerate(("/a.fits", "/r", "/l")):
        try:
            rules = SourceRules(folders=(), timeout_s=5.0, pauses_s=())
            fetched = fetch(public.url + path, rules, Path(sys.argv[1]) / str(number))
            said.append([file.name for file in fetched.files])
        except TorosError as error:
            said.append(type(error).__name__)
    print(json.dumps([said, len(secret.asked)]))
"""


def test_a_public_place_does_not_lead_to_a_private_one(tmp_path: Path) -> None:
    """In a network of its own, where a public address can be had."""
    assert ipaddress.ip_address("51.15.42.42").is_global
    try:
        done = subprocess.run(
            ["unshare", "--net", sys.executable, "-c", PUBLIC_SCRIPT, str(tmp_path)],
            capture_output=True, text=True, cwd=Path(__file__).parents[4], timeout=60, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        missing_part("unshare", "apt-get install util-linux")
    if "Operation not permitted" in done.stderr or "No such file" in done.stderr:
        missing_part(
            "the right to make a network namespace, or ip", "run as root; apt-get install iproute2"
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[["a.fits"], "SourceForbidden", "SourceForbidden"], 0]
