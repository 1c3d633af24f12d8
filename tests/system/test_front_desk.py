"""The front desk of a real daemon, asked as its clients ask."""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import urllib.request
import xmlrpc.client
import zipfile
from contextlib import closing

import argon2
import pytest

from tests.conftest import missing_part
from tests.system.conftest import small_night
from tests.system.daemons import BIN
from toros.client import FrontDesk
from toros.errors import (
    AuthenticationFailed,
    FileBatchNotFound,
    InvalidField,
    NotMine,
    OrderConflict,
    OrderNotFound,
    PermissionDenied,
    ServiceUnreachable,
    SourceForbidden,
    UnknownRequest,
)

TELESCOPE_EXAMPLE = {
    "id": "1",
    "request": "observation",
    "priority": None,
    "datetime": "2019-03-05T14:34:54.234",
    "ra": 132.23356,
    "dec": 34.254534,
    "user": "Main Module",
}


@pytest.fixture
def archive_server(tmp_path):
    """Serve a night as a zip at /get?allfiles, as the documents' example order wants it."""
    small_night(tmp_path / "night")
    path = tmp_path / "night.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((tmp_path / "night").iterdir()):
            archive.write(file, file.name)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/get?allfiles"
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            self.wfile.write(path.read_bytes())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/get?allfiles"
        server.shutdown()


def reachable(make_preprocessor):
    return make_preprocessor(
        changes={"Preprocessor": {"Sources": {"Private Addresses": True}}}
    ).start()


def test_the_standard_librarys_client_sends_the_documents_orders(make_preprocessor, archive_server):
    daemon = reachable(make_preprocessor)
    proxy = xmlrpc.client.ServerProxy(daemon.url, allow_none=True)
    order = {
        "id": "1",
        "request": "calibrate_file_batch",
        "url": archive_server,
        "datetime": "2019-03-05T14:34:54.234",
        "user": "Main Module",
    }
    receipt = proxy.front_desk(order)
    assert receipt["id"] == "1"
    assert (receipt["request"], receipt["status"]) == ("calibrate_file_batch", "queued")
    assert proxy.front_desk(order) == receipt
    done = daemon.desk.wait("1", 60)
    assert done["result"]["made"] == {
        "bias_stack": 1, "calibrated_light": 2, "dark_stack": 2, "flat_stack": 1
    }  # fmt: skip
    with pytest.raises(xmlrpc.client.Fault) as refused:
        proxy.front_desk(TELESCOPE_EXAMPLE)
    assert refused.value.faultCode == NotMine.code
    assert "telescope" in refused.value.faultString


PERL = r"""
use strict; use RPC::XML; use RPC::XML::Client;
$RPC::XML::ALLOW_NIL = 1;
my ($url, $archive) = @ARGV;
my $client = RPC::XML::Client->new($url);
sub text { RPC::XML::string->new($_[0]) }
my $got = $client->send_request('front_desk', RPC::XML::struct->new(
    id => text('1'), request => text('calibrate_file_batch'), url => text($archive),
    datetime => text('2019-03-05T14:34:54.234'), user => text('Main Module')));
print ref $got ? $got->value->{status} : $got, "\n";
$got = $client->send_request('front_desk', RPC::XML::struct->new(
    id => text('1'), request => text('observation'), priority => RPC::XML::nil->new(),
    datetime => text('2019-03-05T14:34:54.234'), ra => RPC::XML::double->new(132.23356),
    dec => RPC::XML::double->new(34.254534), user => text('Main Module')));
print $got->code, " ", $got->string, "\n";
"""


def test_a_client_in_perl_sends_the_documents_orders(make_preprocessor, archive_server):
    check = ["perl", "-MRPC::XML::Client", "-e", "1"]
    if not shutil.which("perl") or subprocess.run(check, capture_output=True).returncode:
        missing_part("Perl's RPC::XML", "apt-get install librpc-xml-perl")
    daemon = reachable(make_preprocessor)
    command = ["perl", "-e", PERL, f"{daemon.url}/RPC2", archive_server]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == "queued"
    assert said[1].startswith(f"{NotMine.code} ")
    assert "telescope" in said[1]
    assert daemon.desk.wait("1", 60)["result"]["made"]["calibrated_light"] == 2


def test_errors_come_back_as_themselves(preprocessor):
    desk = preprocessor.desk
    with pytest.raises(NotMine, match="telescope"):
        desk.send(TELESCOPE_EXAMPLE)
    with pytest.raises(UnknownRequest, match="did you mean"):
        desk.submit("calibrate_filebatch")
    with pytest.raises(InvalidField, match="url: got 3"):
        desk.submit("calibrate_file_batch", url=3)
    with pytest.raises(OrderNotFound):
        desk.status("nothing")
    with pytest.raises(FileBatchNotFound, match="no file batch 77"):
        desk.submit("resume_file_batch", file_batch=77)
    with pytest.raises(SourceForbidden, match="/etc"):
        desk.submit("calibrate_file_batch", url="/etc")
    with pytest.raises(InvalidField, match="cannot travel"):
        desk.submit("status", order="a\x00b")
    with pytest.raises(ServiceUnreachable):
        FrontDesk("http://127.0.0.1:9", timeout_s=1).status()
    assert desk.submit("list_orders")["total"] == 0


def test_an_id_is_used_once_also_after_a_restart(preprocessor):
    url = str(preprocessor.incoming)
    small_night(preprocessor.incoming)
    order = {"request": "calibrate_file_batch", "id": "7", "url": url, "user": "me"}
    receipt = preprocessor.desk.send(order)
    preprocessor.desk.wait("7", 60)
    assert preprocessor.stop() == 0
    preprocessor.start()
    assert preprocessor.desk.send(order) == receipt
    assert preprocessor.desk.send({**order, "datetime": "2026-01-01T00:00:00"}) == receipt
    with pytest.raises(OrderConflict, match="'7'"):
        preprocessor.desk.send({**order, "url": url + "/other"})
    assert preprocessor.desk.submit("list_orders")["total"] == 1


def test_unknown_keys_are_kept_and_warned_of(preprocessor):
    receipt = preprocessor.desk.submit(
        "calibrate_file_batch", url=str(preprocessor.incoming), night=2**40, note=None
    )
    assert receipt["warnings"] == [
        "night: calibrate_file_batch does not know this key; it is kept, nothing is done with it"
    ]


def test_the_state_tells_version_uptime_queue_and_configuration(preprocessor):
    state = preprocessor.desk.status()
    assert state["service"] == "preprocessor"
    assert state["version"]
    assert state["uptime_s"] >= 0
    assert state["database"] == "ok"
    digest = subprocess.run(
        ["sha256sum", preprocessor.configuration], capture_output=True, text=True, check=True
    )
    assert state["configuration_sha256"] == digest.stdout.split()[0]


def test_describe_and_the_page_list_every_request(preprocessor):
    described = preprocessor.desk.submit("describe")
    names = [request["request"] for request in described["requests"]]
    with urllib.request.urlopen(preprocessor.url) as page:
        html = page.read().decode()
    for name in [
        "describe", "status", "list_orders", "cancel_order",
        "calibrate_file_batch", "resume_file_batch", "restart_file_batch",
    ]:  # fmt: skip
        assert name in names
        assert f"id='{name}'" in html


def test_users_passwords_and_permitted_requests(make_preprocessor):
    hashed = subprocess.run(
        [BIN / "toros", "config", "hash-password", "--password", "secret"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    users = [
        {"Name": "all", "Password Hash": hashed, "Requests": "all"},
        {"Name": "looker", "Password Hash": hashed, "Requests": ["status"]},
    ]
    daemon = make_preprocessor(changes={"Front Desk": {"Users": users}})
    daemon.desk = FrontDesk(daemon.url, "all", "secret")
    daemon.start()
    for wrong in [FrontDesk(daemon.url), FrontDesk(daemon.url, "all", "wrong")]:
        with pytest.raises(AuthenticationFailed):
            wrong.status()
    looker = FrontDesk(daemon.url, "looker", "secret")
    assert looker.status()["service"] == "preprocessor"
    with pytest.raises(PermissionDenied, match="looker"):
        looker.submit("list_orders")
    in_url = daemon.url.replace("//", "//all:secret@")
    proxy = xmlrpc.client.ServerProxy(in_url, allow_none=True)
    assert proxy.front_desk({"request": "list_orders"})["total"] == 0


def test_two_instances_on_one_configuration_are_refused(preprocessor):
    command = [BIN / "toros-preprocessor", "--config", str(preprocessor.configuration)]
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 1
    assert str(preprocessor.process.pid) in second.stderr
    assert preprocessor.desk.status()["service"] == "preprocessor"


def test_an_instance_with_a_pid_file_of_its_own_leaves_the_others_orders_alone(preprocessor):
    small_night(preprocessor.incoming)
    order = preprocessor.desk.submit("calibrate_file_batch", url=str(preprocessor.incoming))["id"]
    while (told := preprocessor.desk.status(order))["status"] == "queued":
        threading.Event().wait(0.02)
    assert told["status"] == "running"
    threading.Event().wait(0.3)  # its claim is committed
    preprocessor.process.send_signal(signal.SIGSTOP)
    command = [
        BIN / "toros-preprocessor", "--config", str(preprocessor.configuration),
        "--pid-file", str(preprocessor.folder / "second.pid"),
    ]  # fmt: skip
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    preprocessor.process.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert str(preprocessor.process.pid) in second.stderr
    assert preprocessor.desk.wait(order, timeout_s=60.0)["attempts"] == 1


def detached(daemon, *options):
    command = [BIN / "toros-preprocessor", "--config", str(daemon.configuration), "--detach"]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, timeout=60
    )


def test_detached_with_a_pid_file(make_preprocessor):
    daemon = make_preprocessor()
    pid_file = daemon.folder / "run" / "toros.pid"
    done = detached(daemon, "--pid-file", str(pid_file))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = daemon.desk.status()["pid"]  # it answers as soon as the command has ended
    assert pid_file.read_text() == f"{pid}\n"
    subprocess.run(["kill", str(pid)], check=True)
    for _ in range(200):
        if not pid_file.exists():
            break
        threading.Event().wait(0.1)
    assert not pid_file.exists()


def test_what_keeps_a_detached_daemon_from_its_port_is_told_and_logged(make_preprocessor):
    daemon = make_preprocessor()
    with socket.create_server(("127.0.0.1", daemon.port)):
        done = detached(daemon)
    assert done.returncode == 1
    assert str(daemon.port) in done.stderr
    assert "Traceback" not in done.stderr
    assert str(daemon.port) in daemon.log.read_text("utf-8")
    assert not (daemon.state / "toros-preprocessor.pid").exists()


def test_a_detached_daemon_that_never_can_run_says_so_by_its_exit_code(make_preprocessor):
    daemon = make_preprocessor()
    daemon.state.mkdir()
    with closing(sqlite3.connect(daemon.state / "toros.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('of another world')")
        database.commit()
    done = detached(daemon)
    assert done.returncode == 2
    assert "schema" in done.stderr
    assert "schema" in daemon.log.read_text("utf-8")


def submit(daemon, *arguments):
    command = [BIN / "toros-submit", "--config", str(daemon.configuration), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_toros_submit(preprocessor, tmp_path):
    small_night(preprocessor.incoming)
    url = f"url={preprocessor.incoming}"
    done = submit(
        preprocessor, "preprocessor", "calibrate_file_batch", url, "id=1", "--wait", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "done"
    again = submit(preprocessor, "preprocessor", "calibrate_file_batch", "url=/elsewhere", "id=1")
    assert again.returncode == 1
    assert "OrderConflict (205)" in again.stderr
    (tmp_path / "order.yaml").write_text("request: list_orders\ndatetime: 2019-03-05T14:34:54\n")
    listed = submit(preprocessor, "preprocessor", "--file", str(tmp_path / "order.yaml"), "--json")
    assert json.loads(listed.stdout)["total"] == 1
    assert submit(preprocessor, "preprocessor").returncode == 2
    assert submit(preprocessor, "preprocessor", "status", "oops").returncode == 2
    assert submit(preprocessor, "dome", "status").returncode == 3
    failed = submit(
        preprocessor, "preprocessor", "calibrate_file_batch",
        f"url={preprocessor.incoming}/nothing", "--wait",
    )  # fmt: skip
    assert failed.returncode == 1
    assert "SourceUnreachable (101)" in failed.stderr


def test_toros_status(preprocessor):
    command = [BIN / "toros", "status", "--config", str(preprocessor.configuration)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0
    assert "preprocessor" in told.stdout
    assert "running" in told.stdout
    told = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert json.loads(told.stdout)["preprocessor"]["version"]
    assert "error" in json.loads(told.stdout)["dome"]
    assert subprocess.run([*command, "dome"], capture_output=True, check=False).returncode == 3


HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b0dWQ"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Preprocessor": {"Steps": [{"Step": "stack_bais"}]}}, "'stack_bais'"),
        ({"Preprocessor": {"Steps": [{"Step": "stack_bias", "X": 1}]}}, "X"),
        (
            {"Front Desk": {"Users": [
                {"Name": "a", "Password Hash": HASH, "Requests": ["calibrate"]}
            ]}},
            "'calibrate'",
        ),
    ],
)  # fmt: skip
def test_config_check_and_the_daemon_find_the_same(make_preprocessor, changes, said):
    daemon = make_preprocessor(changes=changes)
    for command, code in (("toros", 1), ("toros-preprocessor", 2)):
        arguments = ["config", "check"] if command == "toros" else ["--config"]
        done = subprocess.run(
            [BIN / command, *arguments, str(daemon.configuration)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code
        assert said in done.stderr
        assert f"{daemon.configuration}:" in done.stderr


def test_a_wrong_configuration_refuses_the_start(make_preprocessor):
    daemon = make_preprocessor(changes={"Preprocessor": {"Procesess": 3}})
    command = [BIN / "toros-preprocessor", "--config", str(daemon.configuration)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 2
    assert "Procesess" in said.stderr
    assert "Processes" in said.stderr
    assert f"{daemon.configuration}:" in said.stderr


def argon2_hash(password):
    """Make a cheap hash."""
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def test_a_limited_user_cancels_only_orders_of_their_own(make_preprocessor):
    users = [
        {"Name": "chief", "Password Hash": argon2_hash("secret"), "Requests": "all"},
        {
            "Name": "guest",
            "Password Hash": argon2_hash("secret"),
            "Requests": ["calibrate_file_batch", "cancel_order", "status"],
        },
    ]
    daemon = make_preprocessor(changes={"Front Desk": {"Users": users}})
    daemon.desk = chief = FrontDesk(daemon.url, "chief", "secret")
    daemon.start()
    guest = FrontDesk(daemon.url, "guest", "secret")
    for desk in (chief, guest):
        desk.submit("calibrate_file_batch", url=str(daemon.incoming), id="same")
    chief.submit("calibrate_file_batch", url=str(daemon.incoming), id="chiefs")
    assert guest.status("same")["user"] == "guest"  # of two of that id, the asker's own
    with pytest.raises(PermissionDenied, match="chiefs"):
        guest.cancel("chiefs")
    log = daemon.log.read_text("utf-8")
    said = (
        f"[same] toros.frontdesk.desk: calibrate_file_batch {{'url': '{daemon.incoming}'}} received"
    )
    assert f"{said} from user 'guest'" in log


def test_two_daemons_on_one_state_folder_are_refused(preprocessor, make_preprocessor):
    changes = {"State Folder": str(preprocessor.state)}
    other = make_preprocessor(changes=changes)
    command = [BIN / "toros-preprocessor", "--config", str(other.configuration)]
    command += ["--pid-file", str(other.folder / "other.pid")]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 1
    assert str(preprocessor.process.pid) in said.stderr
