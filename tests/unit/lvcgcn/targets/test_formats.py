"""Target lists as JSON, as CSV and for broker sites; and every field is documented."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest

from tests.conftest import PROJECT
from tests.unit.lvcgcn.targets.parts import MACON, MARCH, ranking_of, spread, whole_sky
from toros.lvcgcn.notices import Notice, Position
from toros.lvcgcn.targets import (
    ComingNight,
    LeftOut,
    Limits,
    ListedTarget,
    TargetList,
    as_assignments,
    as_csv,
    as_json,
    csv_of,
    list_from_json,
    make_list,
)
from toros.sky.site import Site

NOTICE = Notice(
    event="S190425z",
    mission="LVK",
    kind="Initial",
    identity="0" * 32,
    issued=datetime(2019, 4, 25, 14, 1, 44, 123456, tzinfo=UTC),
    format="voevent",
    serial=2,
    event_time=datetime(2019, 4, 25, 8, 18, 5, 17147, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> TargetList:
    sky_map = whole_sky()
    ranking = ranking_of(tmp_path_factory.mktemp("all"), sky_map, *spread(200))
    site = Site(
        MACON.longitude_deg, MACON.latitude_deg, MACON.height_m, ((0.0, 20.0), (180.0, 5.0))
    )
    return make_list(
        site, "Macon", Limits(), MARCH, count=10, event="S190425z",
        sky_map=sky_map, ranking=ranking,
    )  # fmt: skip


def test_json_has_every_field_and_only_plain_values(made):
    content = json.loads(json.dumps(as_json(made), allow_nan=False))
    assert set(content) == {field.name for field in fields(TargetList)} | {"listed_probability"}
    assert set(content["targets"][0]) == {field.name for field in fields(ListedTarget)}
    assert set(content["left_out"][0]) == {field.name for field in fields(LeftOut)}
    assert set(content["limits"]) == {field.name for field in fields(Limits)}
    assert set(content["night"]) == {field.name for field in fields(ComingNight)}
    assert set(content["site"]) == {field.name for field in fields(Site)}
    assert content["targets"][0]["k_magnitude"] is None
    assert content["made"] == "2026-03-21T15:00:00.000"
    assert re.fullmatch(r"2026-03-2\dT\d\d:\d\d:\d\d\.000", content["targets"][0]["best_time"])


def test_json_holds_nothing_of_numpy(made):
    def check(value):
        assert type(value) in (dict, list, str, int, float, bool, type(None)), repr(value)
        for each in (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        ):
            check(each)

    check(as_json(made))


def test_json_leads_back_to_the_list(made):
    assert list_from_json(json.loads(json.dumps(as_json(made)))) == made


def test_a_list_without_a_night_leads_back_too():
    pole = make_list(
        Site(0.0, -90.0), "Pole", Limits(), datetime(2026, 12, 21, tzinfo=UTC), count=5, event="E1",
        position=Position(10.0, -30.0),
    )  # fmt: skip
    assert pole.night.reason
    assert list_from_json(json.loads(json.dumps(as_json(pole)))) == pole
    assert as_csv(pole).splitlines() == [",".join(field.name for field in fields(ListedTarget))]


def test_csv_has_a_line_for_each_target(made):
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert len(rows) == 10
    for row, target in zip(rows, made.targets, strict=True):
        assert row["name"] == target.name
        assert float(row["probability"]) == target.probability
        assert row["k_magnitude"] == ""
    assert csv_of(as_json(made)["targets"]) == as_csv(made)


def test_csv_quotes_what_a_name_may_hold(made):
    odd = replace(made.targets[0], name='a "b", c')
    text = as_csv(replace(made, targets=(odd,)))
    assert next(csv.DictReader(io.StringIO(text)))["name"] == 'a "b", c'


def test_assignments_are_as_broker_sites_know_them(made):
    other = replace(made, observatory="Other", targets=())
    form = as_assignments(NOTICE, [made, other])
    assert form["alert"] == {
        "ligo_run": "O3",
        "graceid": "S190425z",
        "SEtype": "S",
        "datetime": "2019-04-25T08:18:05",
    }
    assert form["gcnnotice"] == {
        "gcntype": "Initial",
        "gcnserial": 2,
        "datetime": "2019-04-25T14:01:44",
    }
    likelihoods = {target.name: target.probability for target in made.targets}
    assert form["assignments"] == {"Macon": likelihoods, "Other": {}}
    assert list(form["assignments"]["Macon"]) == [target.name for target in made.targets]
    json.dumps(form, allow_nan=False)


@pytest.mark.parametrize(
    ("event", "moment", "run", "letters"),
    [
        ("MS181101ab", datetime(2018, 11, 1, tzinfo=UTC), None, "MS"),
        ("TS230521a", datetime(2023, 5, 24, tzinfo=UTC), "O4", "TS"),
        ("GW170817", datetime(2017, 8, 17, 12, 41, tzinfo=UTC), "O2", "GW"),
        ("GW150914", datetime(2015, 9, 14, tzinfo=UTC), "O1", "GW"),
        ("S301231a", datetime(2030, 12, 31, tzinfo=UTC), None, "S"),
        ("S301231a", None, None, "S"),
    ],
)
def test_run_and_letters_come_from_the_event(event, moment, run, letters):
    alert = as_assignments(replace(NOTICE, event=event, event_time=moment), [])["alert"]
    assert (alert["ligo_run"], alert["SEtype"]) == (run, letters)


def test_another_mission_has_no_run_and_a_retraction_no_assignments():
    form = as_assignments(replace(NOTICE, mission="Swift", event="Swift-BAT-876016", serial=0), [])
    assert form["alert"]["ligo_run"] is form["alert"]["SEtype"] is None
    assert form["gcnnotice"]["gcnserial"] is None
    assert "assignments" not in as_assignments(replace(NOTICE, is_retraction=True), [])


@pytest.mark.parametrize("cls", [TargetList, ListedTarget, LeftOut, ComingNight, Limits, Site])
def test_every_field_is_in_the_reference_with_its_unit(cls):
    page = (PROJECT / "docs" / "reference" / "target-lists.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*\|[^|]*) \|$", page, re.MULTILINE))
    units = {
        "_deg": "deg", "_mpc": "Mpc", "magnitude": "mag", "_m": "m", "_time": "UTC",
        "probability": "0 to 1",
    }  # fmt: skip
    for field in fields(cls):
        assert field.name in rows, f"docs/reference/target-lists.md lacks {field.name}"
        for ending, unit in units.items():
            if field.name.endswith(ending):
                assert unit in rows[field.name].partition("|")[0], (field.name, rows[field.name])
