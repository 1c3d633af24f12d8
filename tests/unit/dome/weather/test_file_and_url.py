"""Stations in files and behind addresses: real files, a real HTTP server, a mute socket."""

import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import free_port
from tests.unit.dome.weather.parts import HandClock, send, station
from toros.clock import REAL
from toros.config.enclosure import WeatherSource
from toros.devices.protocols import Reading
from toros.dome.weather.sources.fetch import MAX_REDIRECTS, fetch
from toros.dome.weather.sources.file import FileSource
from toros.dome.weather.sources.station import MAX_BYTES
from toros.dome.weather.sources.url import UrlSource
from toros.errors import DeviceNonsense, DeviceTimeout, DeviceUnreachable

GOOD = b'{"wind_speed": 3.5, "safe": true}'


def file_source(path: Path, **fields: str) -> FileSource:
    return FileSource(WeatherSource(name="station", kind="file", path=path, fields=fields), REAL)


def url_source(url: str, timeout_s: float = 2.0) -> UrlSource:
    settings = WeatherSource(name="station", kind="url", url=url, timeout_s=timeout_s)
    return UrlSource(settings, REAL)


class TestFile:
    def test_without_a_time_that_of_writing_counts(self, tmp_path: Path) -> None:
        path = tmp_path / "weather.json"
        path.write_bytes(GOOD)
        then = time.time() - 40
        os.utime(path, (then, then))
        told = file_source(path).read()
        assert told.values["wind_speed"].value == 3.5
        assert told.values["safe"].age_s == pytest.approx(40, abs=1)

    def test_its_own_time_counts_before_that_of_writing(self, tmp_path: Path) -> None:
        path = tmp_path / "weather.json"
        path.write_text(f'{{"wind_speed": 1, "t": {time.time() - 30}}}')
        told = file_source(path, time="t").read()
        assert told.values["wind_speed"].age_s == pytest.approx(30, abs=1)

    def test_in_a_rehearsal_the_time_of_writing_is_real(self, tmp_path: Path) -> None:
        path = tmp_path / "weather.json"
        path.write_bytes(GOOD)
        clock = HandClock()  # of another day
        source = FileSource(WeatherSource(name="s", kind="file", path=path), clock)
        assert source.read().values["safe"].age_s < 1

    def test_a_file_from_the_future_is_nonsense(self, tmp_path: Path) -> None:
        path = tmp_path / "weather.json"
        path.write_bytes(GOOD)
        then = time.time() + 3600
        os.utime(path, (then, then))
        with pytest.raises(DeviceNonsense, match="in the future"):
            file_source(path).read()

    def test_no_file_is_no_answer(self, tmp_path: Path) -> None:
        with pytest.raises(DeviceUnreachable, match=r"weather\.json: No such file"):
            file_source(tmp_path / "weather.json").read()

    def test_a_pipe_does_not_hold_it_up(self, tmp_path: Path) -> None:
        path = tmp_path / "weather.json"
        os.mkfifo(path)
        with pytest.raises(DeviceNonsense, match="no regular file"):
            file_source(path).read()

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises((DeviceNonsense, DeviceUnreachable)):
            file_source(tmp_path).read()

    def test_too_long_a_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "weather.json"
        path.write_bytes(GOOD + b" " * MAX_BYTES)
        with pytest.raises(DeviceNonsense, match="longer than"):
            file_source(path).read()

    def test_half_a_file_is_nonsense(self, tmp_path: Path) -> None:
        path = tmp_path / "weather.json"
        path.write_bytes(GOOD[:10])
        with pytest.raises(DeviceNonsense, match="no JSON"):
            file_source(path).read()


class TestUrl:
    def test_the_moment_of_reading_counts(self) -> None:
        with station(lambda h: send(h, GOOD)) as (url, seen):
            told = url_source(f"{url}/now").read()
        assert told.values["wind_speed"] == Reading(3.5, 0.0)
        assert seen[0].path == "/now"
        assert seen[0].headers["Cache-Control"] == "no-cache"

    def test_its_own_time_counts(self) -> None:
        body = f'{{"wind_speed": 1, "time": {time.time() - 30}}}'.encode()
        with station(lambda h: send(h, body)) as (url, _):
            told = url_source(url).read()
        assert told.values["wind_speed"].age_s == pytest.approx(30, abs=1)

    @pytest.mark.parametrize("status", [204, 401, 404, 500, 503])
    def test_another_status_is_no_answer(self, status: int) -> None:
        with (
            station(lambda h: send(h, b"", status)) as (url, _),
            pytest.raises(DeviceUnreachable, match=f"answers HTTP {status}"),
        ):
            url_source(url).read()

    def test_nobody_there_is_no_answer(self) -> None:
        with pytest.raises(DeviceUnreachable, match="refused"):
            url_source(f"http://127.0.0.1:{free_port()}/").read()

    def test_chunks_and_a_body_without_a_length_are_read(self) -> None:
        def chunked(handler: BaseHTTPRequestHandler) -> None:
            handler.protocol_version = "HTTP/1.1"
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD))

        def endless(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(GOOD)

        for reply in (chunked, endless):
            with station(reply) as (url, _):
                assert fetch(url, 2.0, 1000) == GOOD

    def test_too_long_a_body_is_refused(self) -> None:
        with (
            station(lambda h: send(h, b" " * (MAX_BYTES + 1))) as (url, _),
            pytest.raises(DeviceNonsense, match="more than"),
        ):
            url_source(url).read()

    def test_killed_in_the_middle_of_the_reply_is_no_answer(self) -> None:
        def broken(handler: BaseHTTPRequestHandler) -> None:
            send(handler, GOOD[:10], Content_Length=str(len(GOOD)))
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)

        with station(broken) as (url, _), pytest.raises(DeviceUnreachable):
            url_source(url).read()

    def test_a_socket_that_never_answers_costs_the_time_limit_and_no_more(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"http://127.0.0.1:{mute.getsockname()[1]}/"
            began = time.monotonic()
            with pytest.raises(DeviceTimeout, match=r"no full answer within 0\.3 s"):
                url_source(url, 0.3).read()
        assert time.monotonic() - began < 2

    @pytest.mark.parametrize("head", [b"", b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n"])
    def test_a_sender_that_drips_does_not_stretch_the_time_limit(self, head: bytes) -> None:
        over = threading.Event()

        def drip(server: socket.socket) -> None:
            with server.accept()[0] as peer:
                peer.sendall(head)
                while not over.wait(0.05):
                    try:
                        peer.sendall(b"X")
                    except OSError:
                        return

        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=drip, args=(server,))
            thread.start()
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            began = time.monotonic()
            with pytest.raises(DeviceTimeout):
                fetch(url, 0.4, 10_000)
            took = time.monotonic() - began
            over.set()
            thread.join(5)
        assert took < 2

    def test_redirects_are_followed_a_few_times(self) -> None:
        def reply(handler: BaseHTTPRequestHandler) -> None:
            if handler.path == "/2":
                send(handler, GOOD)
            elif handler.path == "/round":
                send(handler, b"", 302, Location="/round")
            else:
                send(handler, b"", 302, Location="/2" if handler.path == "/1" else "/1")

        with station(reply) as (url, seen):
            assert fetch(f"{url}/0", 2.0, 1000) == GOOD
            del seen[:]
            with pytest.raises(DeviceNonsense, match="redirects more than 3 times"):
                fetch(f"{url}/round", 2.0, 1000)
            assert len(seen) == MAX_REDIRECTS + 1

    @pytest.mark.parametrize(
        "location", ["", "file:///etc/passwd", "ftp://127.0.0.1/", "http://[", "//:0/"]
    )
    def test_a_redirect_to_no_web_address_is_refused(self, location: str) -> None:
        with (
            station(lambda h: send(h, b"", 301, Location=location)) as (url, _),
            pytest.raises(DeviceNonsense, match="redirects to where"),
        ):
            fetch(url, 2.0, 1000)

    def test_a_password_goes_to_its_host_only_and_into_no_message(self) -> None:
        with station(lambda h: send(h, b"", 404)) as (other, strangers):
            location = f"{other}/x"
            with station(lambda h: send(h, b"", 302, Location=location)) as (url, seen):
                secret = f"http://me:pa%40ss@{urlsplit(url).netloc}/?key=hidden"
                with pytest.raises(DeviceUnreachable) as caught:
                    fetch(secret, 2.0, 1000)
                with pytest.raises(DeviceUnreachable) as closed:
                    fetch(f"http://me:secret@127.0.0.1:{free_port()}/?key=hidden", 2.0, 1000)
        assert seen[0].headers["Authorization"] == "Basic bWU6cGFAc3M="
        assert seen[0].path == "/?key=hidden"
        assert strangers[0].headers["Authorization"] is None
        for message in (caught.value.message, closed.value.message):
            assert "ss@" not in message
            assert "secret" not in message
            assert "hidden" not in message
