"""The reception as a whole: what is configured runs, archives and wakes."""

from __future__ import annotations

import threading

import pytest

from tests.system.brokers import RawBroker, wait_until
from toros import clock
from toros.config.alerts import Lvcgcn
from toros.lvcgcn.reception import Archive, Reception


def test_what_is_configured_runs_and_archives(tmp_path):
    (tmp_path / "watched").mkdir()
    woken = threading.Event()
    with RawBroker() as broker:
        settings = Lvcgcn.model_validate(
            {
                "VTP": [{"Name": "b", "Address": broker.address}],
                "Folders": [{"Name": "hand", "Path": str(tmp_path / "watched")}],
            }
        )
        archive = Archive(tmp_path / "alerts", clock.REAL)
        (archive.incoming / ".partial-0123-left").write_bytes(b"half")
        reception = Reception(settings, archive, clock.REAL, woken.set)
        reception.start()
        broker.accept()
        assert not list(archive.incoming.iterdir()), "what a crash left is removed"
        broker.send(b'<VOEvent ivorn="ivo://x#1"/>')
        assert woken.wait(10)
        (tmp_path / "watched" / "a.xml").write_bytes(b"<a/>")
        wait_until(lambda: len(archive.waiting()) == 2, "both are archived")
        assert [kept.source for kept in archive.waiting()] == ["vtp-b", "folder-hand"]
        assert [state["name"] for state in reception.state()] == ["VTP b", "folder hand"]
        assert all(state["connected"] for state in reception.state())
        reception.stop(5.0)
        assert broker.receive() is not None, "acknowledged"
        assert broker.receive() == b"", "and ended"


def test_nothing_configured_is_told(tmp_path, caplog):
    reception = Reception(Lvcgcn(), Archive(tmp_path, clock.REAL), clock.REAL, lambda: None)
    reception.start()
    assert reception.state() == []
    assert "no source of alerts" in caplog.text
    reception.stop()


@pytest.mark.parametrize(
    ("kafka", "count"),
    [({}, 0), ({"Client Id": "x"}, 1), ({"Servers": ["127.0.0.1:9092"]}, 1)],
)
def test_kafka_runs_where_there_is_something_to_connect_to(tmp_path, kafka, count):
    settings = Lvcgcn.model_validate({"Kafka": kafka})
    archive = Archive(tmp_path, clock.REAL)
    assert len(Reception(settings, archive, clock.REAL, lambda: None).receivers) == count
