"""Alerts in the database."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import String, select

from toros.clock import REAL
from toros.database import schema
from toros.database.alert_tables import AlertEvent, AlertNotice
from toros.database.alerts import Alerts, NewLists, NewNotice
from toros.database.session import Database


def test_no_text_of_a_notice_is_longer_than_its_column(tmp_path: Path) -> None:
    """SQLite does not mind, PostgreSQL refuses the whole notice, each time."""
    database = Database(f"sqlite:///{tmp_path / 'toros.db'}")
    schema.prepare(database)
    long = NewNotice(
        "i" * 32, "s" * 300, "file", "e" * 130, mission="m" * 200, kind="k" * 256, order="o" * 100
    )
    made = Alerts(database, REAL).advance(long, NewLists("active", {}, "", {}), None)
    assert made is not None
    with database.reading() as session:
        for table in (AlertEvent, AlertNotice):
            row = session.scalars(select(table)).one()
            for column in table.__table__.columns:
                if isinstance(column.type, String) and column.type.length is not None:
                    value = getattr(row, column.key)
                    assert len(value or "") <= column.type.length, column


@pytest.mark.parametrize("answered", [True, False])
def test_who_was_told_before_is_decided_where_it_is_recorded(
    tmp_path: Path, answered: bool
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'toros.db'}")
    schema.prepare(database)
    alerts, told = Alerts(database, REAL), []
    lists = NewLists("active", {}, "", {})

    def tell(_session: object, revision: int) -> None:
        told.append(revision)

    alerts.advance(NewNotice("1", "s", "f", "E", order="1"), lists, tell if answered else None)
    made = alerts.advance(NewNotice("2", "s", "f", "E", order="2"), lists, tell, "it is quiet")
    assert made is not None
    assert made[0] == ("answered" if answered else "recorded")
    assert len(told) == (2 if answered else 0)
    assert alerts.tell("E")["notices"][1]["message"] == ("" if answered else "it is quiet")
