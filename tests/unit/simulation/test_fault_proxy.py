"""The fault proxy on real sockets, against a small Alpaca server that keeps account."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.conftest import PROJECT, free_port
from toros.errors import ConfigurationError, ServiceUnreachable
from toros.simulation.device_faults import KINDS, parse_faults
from toros.simulation.fault_proxy import FaultProxy, split_address

IMAGE = bytes(range(256)) * 8192  # 2 MB
SHUTTER, PUT_CLOSE = "dome/0/shutterstatus", "PUT dome/*/closeshutter"


class Device(BaseHTTPRequestHandler):
    """A dome with a shutter that is open, and a camera with an image."""

    protocol_version = "HTTP/1.1"
    server: Account

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(("GET", path, dict(self.headers)))
        if path.endswith("imagearray"):
            self._image(path)
        elif path.endswith("until-the-end"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Own: yes\r\n\r\n" + IMAGE)
            self.close_connection = True
        elif path.endswith("dies"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            self.close_connection = True
        else:
            self._answer({"Value": self.server.shutter, "ErrorNumber": 0, "ErrorMessage": ""})

    def do_PUT(self) -> None:
        length = int(self.headers["Content-Length"])
        body = dict(parse_qsl(self.rfile.read(length).decode()))
        path = urlsplit(self.path).path
        self.server.asked.append(("PUT", path, body))
        if path.endswith("closeshutter"):
            self.server.shutter = 1
        self._answer({"ErrorNumber": 0, "ErrorMessage": ""})

    def _answer(self, value: dict[str, Any]) -> None:
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _image(self, path: str) -> None:
        chunked = path.startswith("/api/v1/camera/1")
        self.send_response(200)
        self.send_header("Content-Type", "application/imagebytes")
        if not chunked:
            times = 32 if path.startswith("/api/v1/camera/2") else 1
            self.send_header("Content-Length", str(times * len(IMAGE)))
            self.end_headers()
            for _ in range(times):
                self.wfile.write(IMAGE)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(IMAGE), 100_000):
            piece = IMAGE[start : start + 100_000]
            self.wfile.write(f"{len(piece):x};name=value\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\nTrailer: yes\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


class Account(ThreadingHTTPServer):
    """What the device was asked, and what its shutter says."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Device)
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.shutter = 0

    def handle_error(self, *_: object) -> None:
        pass  # clients that leave are what the tests are about

    def puts(self) -> list[str]:
        return [path.rpartition("/")[2] for verb, path, _ in self.asked if verb == "PUT"]


@pytest.fixture
def device() -> Iterator[Account]:
    with Account() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def proxy(device: Account) -> Iterator[FaultProxy]:
    with FaultProxy(f"127.0.0.1:{device.server_port}") as running:
        yield running


class Client:
    """A plain client on one connection."""

    def __init__(self, address: str, timeout_s: float = 10.0) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(
        self, verb: str, path: str, headers: dict[str, str] | None = None, **parameters: object
    ) -> tuple[int, bytes]:
        if not path.startswith("/"):
            path = f"/api/v1/{path}"
        form = urlencode(parameters)
        given = dict(headers or {})
        if verb == "PUT":
            given["Content-Type"] = "application/x-www-form-urlencoded"
            self.connection.request(verb, path, form, given)
        else:
            self.connection.request(verb, f"{path}?{form}" if form else path, headers=given)
        reply = self.connection.getresponse()
        return reply.status, reply.read()

    def value(self, path: str) -> Any:
        status, body = self.ask("GET", path)
        assert status == 200
        answer = json.loads(body)
        assert answer["ErrorNumber"] == 0
        return answer["Value"]


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Client]:
    with Client(proxy.address) as made:
        yield made


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def control(proxy: FaultProxy, verb: str, path: str, body: Any = None, **headers: str) -> Any:
    connection = http.client.HTTPConnection(proxy.address, timeout=10)
    connection.request(verb, path, None if body is None else json.dumps(body), headers)
    reply = connection.getresponse()
    answer = json.loads(reply.read())
    connection.close()
    return reply.status, answer


class TestForwarding:
    def test_many_calls_over_one_connection_arrive_with_their_parameters(
        self, device: Account, client: Client
    ) -> None:
        assert client.value(SHUTTER) == 0
        client.ask("PUT", "dome/0/closeshutter", ClientID=7, ClientTransactionID=9)
        first = client.connection.sock
        assert client.value(SHUTTER) == 1
        assert client.connection.sock is first
        assert device.asked[1] == (
            "PUT",
            "/api/v1/dome/0/closeshutter",
            {"ClientID": "7", "ClientTransactionID": "9"},
        )
        assert device.asked[0][2]["Host"] == f"127.0.0.1:{device.server_port}"

    @pytest.mark.parametrize("camera", [0, 1], ids=["stated length", "chunked"])
    def test_an_image_arrives_whole_and_the_connection_lives_on(
        self, client: Client, camera: int
    ) -> None:
        assert client.ask("GET", f"camera/{camera}/imagearray") == (200, IMAGE)
        assert client.value(SHUTTER) == 0

    def test_a_body_that_ends_with_the_connection_does_so_for_the_client(
        self, client: Client
    ) -> None:
        assert client.ask("GET", "/until-the-end") == (200, IMAGE)

    def test_a_server_that_dies_within_an_answer_is_felt(self, client: Client) -> None:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            client.ask("GET", "/dies")

    def test_a_server_that_is_away_is_felt_as_a_broken_connection(self) -> None:
        nobody = f"127.0.0.1:{free_port()}"
        with FaultProxy(nobody) as proxy, Client(proxy.address) as client, pytest.raises(OSError):
            client.ask("GET", SHUTTER)

    def test_a_server_that_never_answers_is_given_up_with_the_client(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as frozen:
            address = f"127.0.0.1:{frozen.getsockname()[1]}"
            with FaultProxy(address) as proxy:
                with Client(proxy.address, timeout_s=0.2) as impatient:
                    with pytest.raises(TimeoutError):
                        impatient.ask("GET", SHUTTER)
                    assert proxy.calls()[0]["ended_s"] is None
                wait_for(lambda: proxy.calls()[0]["ended_s"], "the proxy gives up")
                assert "client left" in proxy.calls()[0]["outcome"]

    def test_an_image_is_not_gathered_in_memory(self, proxy: FaultProxy) -> None:
        """A client that does not read stops the server's sending, too."""
        with socket.create_connection(split_address(proxy.address), 10) as lazy:
            lazy.sendall(b"GET /api/v1/camera/2/imagearray HTTP/1.1\r\nHost: x\r\n\r\n")
            assert lazy.recv(100)
            time.sleep(0.5)
            assert proxy.calls()[0]["sent_bytes"] < 32 * len(IMAGE) / 2

    def test_calls_one_after_another_in_one_packet_are_answered_in_order(
        self, proxy: FaultProxy
    ) -> None:
        with socket.create_connection(split_address(proxy.address), 10) as raw:
            one = b"GET /api/v1/dome/0/shutterstatus HTTP/1.1\r\nHost: x\r\n\r\n"
            last = b"PUT /api/v1/dome/0/closeshutter HTTP/1.1\r\nConnection: close\r\n"
            raw.sendall(one + one + last + b"Content-Length: 10\r\n\r\nClientID=1")
            received = b""
            while piece := raw.recv(65536):
                received += piece
        assert received.count(b"HTTP/1.1 200") == 3

    @pytest.mark.parametrize(
        "request_",
        [
            b"\x16\x03\x01 hello\r\n\r\n",
            b"GET http://[ HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"PUT /api/v1/dome/0/park HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"PUT /api/v1/dome/0/park HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        ],
    )
    def test_what_is_no_http_is_refused_and_harms_nobody(
        self, proxy: FaultProxy, client: Client, request_: bytes
    ) -> None:
        with socket.create_connection(split_address(proxy.address), 10) as raw:
            raw.sendall(request_)
            with contextlib.suppress(ConnectionResetError):  # there may be more than was read
                assert raw.recv(100).startswith(b"HTTP/1.1 400")
        assert client.value(SHUTTER) == 0


class TestFaults:
    def test_hang(self, device: Account, proxy: FaultProxy) -> None:
        proxy.fault("hang", PUT_CLOSE)
        with Client(proxy.address, timeout_s=0.3) as impatient, pytest.raises(TimeoutError):
            impatient.ask("PUT", "dome/0/closeshutter")
        assert device.puts() == []
        wait_for(lambda: proxy.calls()[0]["ended_s"], "the proxy sees that the client left")

    def test_what_hangs_is_let_go_when_the_fault_is_cleared(
        self, proxy: FaultProxy, client: Client
    ) -> None:
        number = proxy.fault("hang", "dome")
        threading.Timer(0.2, proxy.clear, (number,)).start()
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            client.ask("GET", SHUTTER)
        assert client.value(SHUTTER) == 0

    def test_late_reply(self, device: Account, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("late_reply", PUT_CLOSE, delay_s=0.4)
        began = time.monotonic()
        client.ask("PUT", "dome/0/closeshutter")
        assert time.monotonic() - began >= 0.4
        call = proxy.calls(PUT_CLOSE)[0]
        assert call["forwarded_s"] - call["arrived_s"] < 0.3
        assert device.shutter == 1

    def test_late_call_is_carried_out_though_the_client_has_left(
        self, device: Account, proxy: FaultProxy
    ) -> None:
        proxy.fault("late_call", PUT_CLOSE, delay_s=0.4)
        with Client(proxy.address, timeout_s=0.1) as impatient, pytest.raises(TimeoutError):
            impatient.ask("PUT", "dome/0/closeshutter")
        assert device.shutter == 0
        wait_for(lambda: device.shutter == 1, "the call arrives late")

    def test_lost_reply(self, device: Account, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("lost_reply", PUT_CLOSE)
        with pytest.raises(http.client.RemoteDisconnected):
            client.ask("PUT", "dome/0/closeshutter")
        assert device.puts() == ["closeshutter"]

    def test_reset(self, device: Account, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("reset", PUT_CLOSE)
        with pytest.raises(ConnectionResetError) as caught:
            client.ask("PUT", "dome/0/closeshutter")
        assert not isinstance(caught.value, http.client.RemoteDisconnected)
        assert device.puts() == []

    @pytest.mark.parametrize("executed", [False, True])
    def test_http_status(
        self, device: Account, proxy: FaultProxy, client: Client, executed: bool
    ) -> None:
        proxy.fault("http_status", PUT_CLOSE, status=503, executed=executed)
        assert client.ask("PUT", "dome/0/closeshutter")[0] == 503
        assert device.puts() == ["closeshutter"] * executed

    @pytest.mark.parametrize("executed", [False, True])
    @pytest.mark.parametrize("number", [0x400, 0x407, 0x500, 0xFFF, -2147220480])
    def test_error(
        self, device: Account, proxy: FaultProxy, client: Client, number: int, executed: bool
    ) -> None:
        proxy.fault("error", PUT_CLOSE, number=number, message="stöhnt", executed=executed)
        status, body = client.ask("PUT", "dome/0/closeshutter", ClientTransactionID=77)
        answer = json.loads(body)
        assert status == 200
        assert (answer["ErrorNumber"], answer["ErrorMessage"]) == (number, "stöhnt")
        assert answer["ClientTransactionID"] == 77
        assert answer["ServerTransactionID"] > 0
        assert "Value" not in answer
        assert device.puts() == ["closeshutter"] * executed
        assert proxy.calls()[0]["error_number"] == number

    def test_error_of_an_image_is_in_image_bytes(self, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("error", "camera/*/imagearray", number=0x501, message="no light")
        accept = {"Accept": "application/imagebytes"}
        _, body = client.ask("GET", "camera/0/imagearray", accept)
        numbers = [int.from_bytes(body[i : i + 4], "little") for i in (0, 4, 16)]
        assert numbers == [1, 0x501, 44]
        assert body[44:] == b"no light"

    def test_garbage(self, device: Account, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("garbage", "dome")
        with pytest.raises(ValueError):
            client.value(SHUTTER)
        assert len(device.asked) == 1

    @pytest.mark.parametrize("camera", [0, 1], ids=["stated length", "chunked"])
    def test_truncated(self, proxy: FaultProxy, client: Client, camera: int) -> None:
        proxy.fault("truncated", "camera", bytes=1_000_000)
        with pytest.raises(http.client.IncompleteRead):
            client.ask("GET", f"camera/{camera}/imagearray")
        assert proxy.calls()[0]["sent_bytes"] == 1_000_000

    def test_truncated_keeps_the_last_byte_of_whatever_is_short(
        self, proxy: FaultProxy, client: Client
    ) -> None:
        proxy.fault("truncated", "dome", bytes=100_000)
        with pytest.raises(http.client.IncompleteRead) as caught:
            client.ask("GET", SHUTTER)
        assert caught.value.expected == 1

    @pytest.mark.parametrize("camera", [0, 1], ids=["stated length", "chunked"])
    def test_stalled(self, proxy: FaultProxy, camera: int) -> None:
        proxy.fault("stalled", "camera", bytes=500_000)
        with Client(proxy.address, timeout_s=0.4) as impatient, pytest.raises(TimeoutError):
            impatient.ask("GET", f"camera/{camera}/imagearray")
        assert proxy.calls()[0]["sent_bytes"] == 500_000

    def test_slow(self, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("slow", "camera", bytes_per_s=len(IMAGE) / 0.5)
        began = time.monotonic()
        assert client.ask("GET", "camera/0/imagearray") == (200, IMAGE)
        assert time.monotonic() - began >= 0.4

    @pytest.mark.parametrize("value", [400.0, -1, None, "open", True, [1, 2]])
    def test_value(self, device: Account, proxy: FaultProxy, client: Client, value: Any) -> None:
        proxy.fault("value", SHUTTER, value=value)
        assert client.value(SHUTTER) == value
        assert device.asked == []

    def test_value_not_a_number(self, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("value", "dome", value=math.nan)
        assert math.isnan(client.value("dome/0/azimuth"))
        client.ask("PUT", "dome/0/closeshutter")
        assert proxy.calls()[1]["fault"] is None

    def test_shutter_stuck(self, device: Account, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("shutter_stuck", "dome")
        assert json.loads(client.ask("PUT", "dome/0/closeshutter")[1])["ErrorNumber"] == 0
        assert client.value(SHUTTER) == 0
        assert device.puts() == []

    def test_shutter_stuck_in_motion(
        self, device: Account, proxy: FaultProxy, client: Client
    ) -> None:
        number = proxy.fault("shutter_stuck", "dome/0", moving=True)
        assert client.value(SHUTTER) == 0
        client.ask("PUT", "dome/0/closeshutter")
        assert (client.value(SHUTTER), client.value("dome/0/slewing")) == (3, True)
        client.ask("PUT", "dome/0/openshutter")
        assert client.value(SHUTTER) == 2
        assert client.value("dome/1/shutterstatus") == 0
        proxy.clear(number)
        assert client.value(SHUTTER) == 0
        assert device.puts() == []

    def test_shutter_error(self, device: Account, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("shutter_error", "dome")
        client.ask("PUT", "dome/0/closeshutter")
        assert client.value(SHUTTER) == 4
        assert device.shutter == 1

    def test_false_park(self, device: Account, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("false_park", "telescope")
        assert client.value("telescope/0/atpark") == 0
        client.ask("PUT", "telescope/0/park")
        assert client.value("telescope/0/atpark") is True
        assert device.puts() == []
        client.ask("PUT", "telescope/0/unpark")
        assert client.value("telescope/0/atpark") == 0
        assert device.puts() == ["unpark"]


class TestChoosing:
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*", 3),
            ("dome", 2),
            ("dome/0", 1),
            ("PUT *", 1),
            ("GET dome/*/shutterstatus", 1),
            ("put", None),
            ("Camera/0/ImageArray", 1),
            ("telescope", 0),
        ],
    )
    def test_pattern(
        self, proxy: FaultProxy, client: Client, pattern: str, expected: int | None
    ) -> None:
        client.ask("GET", SHUTTER)
        client.ask("PUT", "dome/1/closeshutter")
        client.ask("GET", "camera/0/imagearray")
        assert len(proxy.calls(pattern)) == (expected or 0)

    def test_skip_and_count(self, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("http_status", "dome", skip=1, count=2)
        assert [client.ask("GET", SHUTTER)[0] for _ in range(5)] == [200, 500, 500, 200, 200]
        assert [(f["seen"], f["hits"]) for f in proxy.faults()] == [(5, 2)]

    def test_one_in_is_that_often_and_the_same_with_the_same_seed(
        self, proxy: FaultProxy, client: Client
    ) -> None:
        def strikes(seed: int) -> list[int]:
            proxy.clear()
            proxy.fault("http_status", "dome", one_in=5, seed=seed)
            return [client.ask("GET", SHUTTER)[0] for _ in range(300)]

        first = strikes(3)
        assert first == strikes(3)
        assert first != strikes(4)
        assert 35 < first.count(500) < 90  # 60 +- 7

    def test_the_first_fault_that_fits_strikes(self, proxy: FaultProxy, client: Client) -> None:
        proxy.fault("http_status", "dome", status=501, count=1)
        proxy.fault("http_status", "*", status=502)
        assert [client.ask("GET", SHUTTER)[0] for _ in range(2)] == [501, 502]

    def test_faults_in_one_device_leave_the_others_alone(
        self, proxy: FaultProxy, client: Client
    ) -> None:
        proxy.fault("hang", "camera")
        waiting = [Client(proxy.address, 0.5) for _ in range(20)]
        for one in waiting:
            one.connection.request("GET", "/api/v1/camera/0/imagearray")
        began = time.monotonic()
        assert client.value(SHUTTER) == 0
        assert time.monotonic() - began < 5
        for one in waiting:
            one.connection.close()


class TestControl:
    def test_faults_over_http(self, proxy: FaultProxy, client: Client) -> None:
        fault = {"fault": "error", "calls": "dome", "number": 1280}
        assert control(proxy, "POST", "/faults", fault) == (200, {"id": 1})
        listed = control(proxy, "GET", "/faults")[1][0]
        assert {**listed, **fault, "id": 1, "seen": 0, "hits": 0} == listed
        assert json.loads(client.ask("GET", SHUTTER)[1])["ErrorNumber"] == 1280
        assert control(proxy, "PUT", "/faults", [{"fault": "reset", "calls": "camera"}])[0] == 200
        assert client.value(SHUTTER) == 0
        assert control(proxy, "DELETE", "/faults/2") == (200, {"cleared": 1})
        assert control(proxy, "DELETE", "/faults") == (200, {"cleared": 0})

    def test_calls_over_http(self, proxy: FaultProxy, client: Client) -> None:
        before = time.monotonic()
        client.ask("PUT", "dome/0/closeshutter", ClientID=5)
        client.ask("GET", SHUTTER)
        wait_for(lambda: len(proxy.calls()) == 2 and proxy.calls()[1]["ended_s"], "both ended")
        (call,) = control(proxy, "GET", "/calls?calls=PUT+dome/*/closeshutter")[1]
        times = [call[key] for key in ("arrived_s", "forwarded_s", "ended_s")]
        times = [before, *times, time.monotonic()]
        assert times == sorted(times)
        assert call["path"] == "dome/0/closeshutter"
        assert call["parameters"] == {"ClientID": "5"}
        assert (call["status"], call["error_number"], call["fault"]) == (200, 0, None)
        control(proxy, "DELETE", "/calls")
        assert control(proxy, "GET", "/calls")[1] == []

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ({"fault": "explode", "calls": "dome"}, "fault is one of hang, late_reply"),
            ({"calls": "dome"}, "fault is one of"),
            (["hang"], "fault is one of"),
            ({"fault": "hang"}, "calls: Field required"),
            ({"fault": "late_reply", "calls": "*"}, "delay_s: Field required"),
            ({"fault": "hang", "calls": "POST dome"}, "'PUT dome/*/closeshutter'"),
            ({"fault": "hang", "calls": "dome", "often": 3}, "often"),
            ({"fault": "hang", "calls": "dome", "one_in": 0.5}, "one_in"),
            ({"fault": "error", "calls": "dome", "number": 0}, "no error"),
        ],
    )
    def test_a_wrong_fault_is_refused_with_the_reason(
        self, proxy: FaultProxy, fault: Any, said: str
    ) -> None:
        status, answer = control(proxy, "POST", "/faults", fault)
        assert status == 400
        assert said in answer["error"]
        assert proxy.faults() == []

    def test_a_list_with_a_wrong_fault_changes_nothing(self, proxy: FaultProxy) -> None:
        proxy.fault("hang", "dome")
        wrong = [{"fault": "reset", "calls": "*"}, {"fault": "no", "calls": "*"}]
        assert control(proxy, "PUT", "/faults", wrong)[0] == 400
        assert [fault["fault"] for fault in proxy.faults()] == ["hang"]

    @pytest.mark.parametrize(
        ("verb", "path"),
        [("POST", "/calls"), ("GET", "/faults/1"), ("DELETE", "/faults/x"), ("POST", "/faults")],
    )
    def test_what_cannot_be_done_is_refused(self, proxy: FaultProxy, verb: str, path: str) -> None:
        assert control(proxy, verb, path)[0] == 400

    def test_web_pages_are_refused(self, proxy: FaultProxy) -> None:
        fault = {"fault": "hang", "calls": "dome"}
        assert control(proxy, "POST", "/faults", fault, Origin="http://evil.example")[0] == 400
        assert proxy.faults() == []

    def test_wrong_options_from_python(self, proxy: FaultProxy) -> None:
        with pytest.raises(ConfigurationError, match="delay_s"):
            proxy.fault("late_reply", "dome", delay_s=-1)


class TestEnding:
    def test_it_ends_at_once_whatever_it_holds(self, device: Account) -> None:
        proxy = FaultProxy(f"127.0.0.1:{device.server_port}").start()
        proxy.fault("hang", "dome/0")
        proxy.fault("late_call", "dome/1", delay_s=1000)
        proxy.fault("stalled", "camera/0")
        proxy.fault("slow", "camera/1", bytes_per_s=1)
        clients = [Client(proxy.address) for _ in range(5)]
        paths = (SHUTTER, "dome/1/slewing", "camera/0/imagearray", "camera/1/imagearray")
        for client, path in zip(clients, paths, strict=False):
            client.connection.request("GET", f"/api/v1/{path}")
        clients[4].value("telescope/0/atpark")
        wait_for(lambda: len(proxy.calls()) == 5, "all calls have arrived")
        began = time.monotonic()
        proxy.stop()
        proxy.stop()
        assert time.monotonic() - began < 5
        with Client(proxy.address) as late, pytest.raises(OSError):
            late.ask("GET", SHUTTER)
        for client in clients:
            client.connection.close()

    def test_an_address_in_use_is_named(self, proxy: FaultProxy) -> None:
        with pytest.raises(ServiceUnreachable, match=proxy.address):
            FaultProxy("127.0.0.1:1", listen=proxy.address).start()

    @pytest.mark.parametrize("address", ["", "dome", "127.0.0.1:", ":11111", "a:b", "a:70000"])
    def test_an_address_that_is_none_is_refused(self, address: str) -> None:
        with pytest.raises(ConfigurationError, match="no host and port"):
            FaultProxy(address)

    def test_an_observer_that_fails_stops_nothing(self, device: Account) -> None:
        def fail(_: object) -> None:
            raise RuntimeError("no")

        address = f"127.0.0.1:{device.server_port}"
        with FaultProxy(address, observe=fail) as proxy, Client(proxy.address) as client:
            assert client.value(SHUTTER) == 0


class TestDocumentation:
    PAGE = (PROJECT / "docs" / "how-to" / "rehearse-device-faults.md").read_text("utf-8")

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_fault_has_its_line_with_every_option(self, kind: str) -> None:
        lines = [line for line in self.PAGE.splitlines() if line.startswith(f"| `{kind}`")]
        assert len(lines) == 1, f"{kind} has no line of its own in the table of faults"
        common = {"fault", "calls", "count", "skip", "one_in", "seed"}
        for option in set(KINDS[kind].model_fields) - common:
            assert f"`{option}`" in lines[0], f"{kind}: {option} is not described"

    def test_no_fault_is_described_that_is_not_there(self) -> None:
        table = self.PAGE.split("## The faults")[1].split("\n## ")[0]
        described = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
        assert sorted(described) == sorted(KINDS)

    @pytest.mark.parametrize("option", ["count", "skip", "one_in", "seed"])
    def test_the_options_that_all_have_are_described(self, option: str) -> None:
        assert f"- `{option}`" in self.PAGE

    def test_the_examples_are_right(self) -> None:
        import yaml

        blocks = [block.split("```")[0] for block in self.PAGE.split("```{code-block} yaml\n")[1:]]
        assert blocks
        for block in blocks:
            assert parse_faults(yaml.safe_load(block))
