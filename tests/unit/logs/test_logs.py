"""The log of a process as a whole: levels, orders, hooks, mail, pools."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from email import message_from_bytes, policy
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import astropy
import pytest
from aiosmtpd.controller import Controller

from toros import config, logs
from toros.errors import ConfigurationError
from toros.notify.mail import mail_settings

log = logging.getLogger("toros.test")


@pytest.fixture
def settings(tmp_path: Path) -> logs.LogSettings:
    return logs.LogSettings(file=tmp_path / "toros-preprocessor.log")


@pytest.fixture
def handle(settings: logs.LogSettings) -> Iterator[logs.LogHandle]:
    started = logs.start("preprocessor", settings)
    yield started
    started.close()


def lines(settings: logs.LogSettings) -> list[str]:
    return settings.file.read_text().splitlines()


def test_lines_go_to_the_file_and_to_stderr(tmp_path: Path) -> None:
    script = (
        "import logging, sys; from pathlib import Path; from toros import logs\n"
        "h = logs.start('dome', logs.LogSettings(Path(sys.argv[1])))\n"
        "logging.getLogger('toros.x').info('heard'); h.close()"
    )
    file = tmp_path / "dome.log"
    done = subprocess.run(
        [sys.executable, "-c", script, file], capture_output=True, text=True, check=True
    )
    assert done.stderr == file.read_text()
    assert done.stderr.endswith("Z INFO dome [-] toros.x: heard\n")


@pytest.mark.usefixtures("handle")
def test_the_order_is_on_every_line_of_its_thread(settings: logs.LogSettings) -> None:
    def work(identity: str) -> None:
        with logs.order(identity):
            barrier.wait(30)
            log.info("in %s", identity)
            with logs.order("inner"):
                log.info("nested")
        log.info("outside")

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=(name,)) for name in ("a-1", "b-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = settings.file.read_text()
    assert "[a-1] toros.test: in a-1" in text
    assert "[b-2] toros.test: in b-2" in text
    assert text.count("[inner] toros.test: nested") == 2
    assert text.count("[-] toros.test: outside") == 2
    assert logs.current_order() is None


def test_other_libraries_are_not_heard_below_info(tmp_path: Path) -> None:
    settings = logs.LogSettings(tmp_path / "x.log", level="DEBUG")
    handle = logs.start("preprocessor", settings)
    log.debug("ours")
    logging.getLogger("sqlalchemy.engine").debug("theirs")
    logging.getLogger("alembic").info("theirs, worth knowing")
    logging.getLogger("astropy").info("chatter")
    logging.getLogger("astropy").warning("a fact")
    handle.close()
    assert [line.rpartition(": ")[2] for line in lines(settings)] == [
        "ours",
        "theirs, worth knowing",
        "a fact",
    ]


@pytest.mark.usefixtures("handle")
def test_warnings_are_logged_in_one_line(settings: logs.LogSettings) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs_show = warnings.showwarning
        logs_show(RuntimeWarning("mean of\nempty slice"), RuntimeWarning, "step.py", 12)
    (line,) = lines(settings)
    assert line.endswith(
        "WARNING preprocessor [-] py.warnings: step.py:12: RuntimeWarning: mean of\\nempty slice"
    )


@pytest.mark.usefixtures("handle")
def test_the_end_of_a_thread_by_a_defect_is_logged(settings: logs.LogSettings) -> None:
    def fail() -> None:
        raise ZeroDivisionError("oh")

    thread = threading.Thread(target=fail, name="watcher")
    hook = threading.excepthook  # pytest's own is put back by the fixture's close
    assert hook is not threading.__excepthook__
    thread.start()
    thread.join()
    text = settings.file.read_text()
    assert "CRITICAL preprocessor [-] toros.logs: the thread watcher ended by a defect" in text
    assert "ZeroDivisionError: oh" in text


def test_closing_puts_everything_back(settings: logs.LogSettings) -> None:
    def state() -> tuple[object, ...]:
        root, ours, theirs = map(logging.getLogger, ("", "toros", astropy.__name__))
        hooks = (warnings.showwarning, threading.excepthook, sys.excepthook)
        levels = (root.level, ours.level, theirs.level)
        return (*hooks, *levels, list(root.handlers), list(theirs.handlers))

    before = state()
    handle = logs.start("preprocessor", settings)
    assert state() != before
    handle.close()
    handle.close()
    assert state() == before


def test_an_unwritable_file_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = list(logging.getLogger().handlers)
    with pytest.raises(ConfigurationError, match=r"Logging / File: .*file/toros\.log|.*/file: "):
        logs.start("preprocessor", logs.LogSettings(tmp_path / "file" / "toros.log"))
    assert list(logging.getLogger().handlers) == before


def in_pool(identity: str) -> None:
    """Log from a process of a pool."""
    with logs.order(identity):
        logging.getLogger("toros.pool").info("from the pool")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_writes_to_the_same_file(
    settings: logs.LogSettings, handle: logs.LogHandle, method: str
) -> None:
    initializer, initargs = handle.worker_initializer
    with ProcessPoolExecutor(
        2, mp_context=get_context(method), initializer=initializer, initargs=initargs
    ) as pool:
        list(pool.map(in_pool, [f"o{number}" for number in range(6)]))
    log.info("done")
    *pooled, last = lines(settings)
    assert last.endswith("[-] toros.test: done")
    assert sorted(line.partition(" INFO ")[2] for line in pooled) == [
        f"preprocessor [o{number}] toros.pool: from the pool" for number in range(6)
    ]


def test_a_process_that_ends_by_a_defect_says_so_in_the_log(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from toros import logs\n"
        "logs.start('dome', logs.LogSettings(Path(sys.argv[1]), stderr=False)); 1/0"
    )
    file = tmp_path / "dome.log"
    done = subprocess.run(
        [sys.executable, "-c", script, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "CRITICAL dome [-] toros.logs: the process ends by a defect" in file.read_text()


def test_a_terminal_that_went_away_costs_nothing(tmp_path: Path) -> None:
    script = (
        "import logging, os, sys; from pathlib import Path; from toros import logs\n"
        "r, w = os.pipe(); os.dup2(w, 2); os.close(w); os.close(r)\n"
        "h = logs.start('dome', logs.LogSettings(Path(sys.argv[1])))\n"
        "for n in range(3): logging.getLogger('toros.x').info('line %d', n)\n"
        "h.close(); os._exit(0)"
    )
    file = tmp_path / "dome.log"
    subprocess.run([sys.executable, "-c", script, file], check=True)
    assert len(file.read_text().splitlines()) == 3


class Inbox:
    """Takes every mail."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.contents.append(envelope.content)
        return "250 OK"


@pytest.fixture
def mail_server() -> Iterator[tuple[Inbox, int]]:
    inbox = Inbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield inbox, port
    controller.stop()


def configured(folder: Path, port: int) -> config.Settings:
    file = folder / "toros.conf.yaml"
    file.write_text(f"""
Observatory: {{Name: Test, Longitude (deg): 0, Latitude (deg): 0, Height (m): 0}}
State Folder: {folder}/state
Logging: {{File: {folder}/log/toros.log, Log Level: WARNING}}
Admin Emails: [admin@example.org, second@example.org]
Email Configuration:
  Server: 127.0.0.1
  Port: {port}
  Security: none
  From: toros@example.org
  Bundle (s): 3600
""")
    return config.load(file, "preprocessor")


def test_errors_of_an_order_reach_the_admins_as_configured(
    tmp_path: Path, mail_server: tuple[Inbox, int], capfd: pytest.CaptureFixture[str]
) -> None:
    inbox, port = mail_server
    settings = configured(tmp_path, port)
    handle = logs.configure("preprocessor", settings, foreground=False)
    with logs.order("night-7"):
        log.info("not wanted")
        try:
            raise OSError("no frames\nBcc: thief@example.org")  # noqa: TRY301
        except OSError:
            log.exception("step failed: %s", "x\r\nBcc: thief@example.org")
    handle.close()
    (content,) = inbox.contents
    mail = message_from_bytes(content, policy=policy.default)
    body = mail.get_content()
    assert mail["To"] == "admin@example.org, second@example.org"
    assert "Bcc" not in mail
    assert f"preprocessor on {socket.gethostname()}: 1 error: step failed: x" in mail["Subject"]
    assert "ERROR preprocessor [night-7] toros.test: step failed: x\\r\\nBcc" in body
    assert "OSError: no frames" in body
    written = (tmp_path / "log" / "toros-preprocessor.log").read_text()
    assert "not wanted" not in written
    assert body.replace("\r\n", "\n").rstrip().endswith(written.rstrip())
    assert capfd.readouterr().err == ""


def test_no_mail_server_no_mail(tmp_path: Path) -> None:
    settings = configured(tmp_path, 25)
    without = settings.model_copy(update={"admin_emails": ()})
    assert mail_settings(without) is None
    made = mail_settings(settings)
    assert made is not None
    assert made.recipients == ("admin@example.org", "second@example.org")
