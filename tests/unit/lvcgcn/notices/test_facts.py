"""The facts of every real notice, against a table that was made by reading them by eye."""

from __future__ import annotations

import base64
import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from toros.lvcgcn.notices import Notice, Position, SkyMapSource, read_notice


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


MOCK = {
    "event": "MS181101ab",
    "mission": "LVK",
    "is_test": True,
    "is_known": True,
    "is_retraction": False,
    "position": None,
    "combined_sky_map": None,
    "external": None,
    "links": {"gracedb": "https://example.org/superevents/MS181101ab/view/"},
}
MOCK_MERGER = MOCK | {
    "significant": True,
    "group": "CBC",
    "pipeline": "gstlal",
    "search": "MDC",
    "instruments": ("H1", "L1", "V1"),
    "far_hz": 9.11069936486e-14,
    "classification": {"BNS": 0.95, "NSBH": 0.01, "BBH": 0.03, "Terrestrial": 0.01},
    "properties": {"HasNS": 0.95, "HasRemnant": 0.91, "HasMassGap": 0.01},
    "duration_s": None,
    "central_frequency_hz": None,
}
MOCK_XML = MOCK_MERGER | {
    "format": "voevent",
    "event_time": at("2018-11-01T22:22:46.654437"),
    "sky_map": SkyMapSource(
        url="https://emfollow.docs.ligo.org/userguide/_static/bayestar.multiorder.fits,0"
    ),
}
MOCK_JSON = MOCK_MERGER | {
    "format": "json",
    "serial": 0,
    "event_time": at("2018-11-01T22:22:46.654"),
}
COINCIDENCE = {
    "gcn_notice_id": 524666471,
    "ivorn": "ivo://nasa.gsfc.gcn/Fermi#GBM_Fin_Pos2017-08-17T12:41:06.47_524666471_0-389",
    "observatory": "Fermi",
    "search": "GRB",
    "time_difference": 2.02,
    "time_coincidence_far": 2.14387838137e-14,
    "time_sky_position_coincidence_far": 6.410749524018777e-16,
}
WITHDRAWN = MOCK | {
    "kind": "Retraction",
    "is_retraction": True,
    "issued": at("2018-11-01T23:36:23"),
    "significant": None,
    "sky_map": None,
    "classification": {},
}
SVOM = {
    "event": "SVOM-sb24022203",
    "mission": "SVOM",
    "kind": "ECLAIRs trigger",
    "is_test": True,
    "is_known": True,
    "is_retraction": False,
    "issued": at("2024-02-22T08:51:55"),
    "event_time": at("2024-02-22T08:51:31.320"),
    "instruments": ("ECLAIRs",),
    "position": Position(143.2478, -68.0289, 0.1, 0.9),
    "sky_map": None,
}

FACTS: dict[str, dict[str, Any]] = {
    "GW190814.xml": {
        "event": "S190814bv",
        "mission": "LVK",
        "kind": "Update",
        "format": "voevent",
        "ivorn": "ivo://gwnet/LVC#S190814bv-5-Update",
        "serial": 5,
        "issued": at("2019-08-15T10:19:10"),
        "event_time": at("2019-08-14T21:10:39.012957"),
        "is_test": False,
        "is_known": True,
        "is_retraction": False,
        "significant": None,
        "group": "CBC",
        "pipeline": "gstlal",
        "search": "AllSky",
        "instruments": ("H1", "L1", "V1"),
        "far_hz": 2.03262501422e-33,
        "classification": {
            "BNS": 0.0, "NSBH": 0.99789, "BBH": 0.0, "MassGap": 0.00211, "Terrestrial": 0.0,
        },
        "properties": {"HasNS": 0.997890295359, "HasRemnant": 0.0},
        "external": None,
        "position": None,
        "sky_map": SkyMapSource(url="data/LALInference.v1.fits.gz"),
        "links": {"gracedb": "https://gracedb.ligo.org/superevents/S190814bv/view/"},
    },
    "MS181101ab-1-EarlyWarning.xml": MOCK_XML
    | {"kind": "EarlyWarning", "serial": 1, "issued": at("2018-11-01T22:34:20")},
    "MS181101ab-2-Preliminary.xml": MOCK_XML
    | {"kind": "Preliminary", "serial": 2, "issued": at("2018-11-01T22:34:49")},
    "MS181101ab-3-Initial.xml": MOCK_XML
    | {"kind": "Initial", "serial": 3, "issued": at("2018-11-01T22:36:25")},
    "MS181101ab-4-Update.xml": MOCK_XML
    | {"kind": "Update", "serial": 4, "issued": at("2018-11-01T22:36:25")},
    "MS181101ab-5-Retraction.xml": WITHDRAWN
    | {"format": "voevent", "serial": 5, "event_time": at("2018-11-01T22:22:46.654437")},
    "MS181101ab-6-Update.xml": MOCK_XML
    | {
        "kind": "Update",
        "serial": 6,
        "issued": at("2018-11-01T22:39:25"),
        "external": COINCIDENCE,
        "combined_sky_map": SkyMapSource(
            url="https://emfollow.docs.ligo.org/userguide/_static/combined-ext.multiorder.fits"
        ),
    },
    "MS181101ab-preliminary.json": MOCK_JSON
    | {"kind": "Preliminary", "issued": at("2018-11-01T22:34:49")},
    "MS181101ab-initial.json": MOCK_JSON
    | {"kind": "Initial", "issued": at("2018-11-01T22:36:25")},
    "MS181101ab-ext-update.json": {
        key: value for key, value in MOCK_JSON.items() if key != "combined_sky_map"
    }
    | {"kind": "Update", "issued": at("2018-11-01T22:36:25"), "external": COINCIDENCE},
    "MS181101ab-retraction.json": WITHDRAWN
    | {"format": "json", "serial": 0, "event_time": None},
    "Swift_876016_BAT_GRB_Pos.xml": {
        "event": "Swift-BAT-876016",
        "mission": "Swift",
        "kind": "BAT_GRB_Pos",
        "format": "voevent",
        "ivorn": "ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_876016-475",
        "serial": 1,
        "issued": at("2018-12-13T12:58:42"),
        "event_time": at("2018-12-13T12:57:38.430"),
        "is_test": False,
        "is_known": True,
        "is_retraction": False,
        "position": Position(248.2071, 78.5044, 0.05, 0.9),
        "sky_map": None,
    },
    "pygcn_gbm_flt_pos.xml": {
        "event": "Fermi-GBM-336801278",
        "mission": "Fermi",
        "kind": "GBM_Flt_Pos",
        "serial": 10,
        "issued": at("2011-09-04T03:54:51"),
        "event_time": at("2011-09-04T03:54:36.020"),
        "is_test": False,
        "is_known": True,
        "is_retraction": False,
        "classification": {"GRB": 0.93, "Solar flare": 0.05},
        "position": Position(193.0, -31.75, 17.4333, 0.68, 3.7),
        "sky_map": None,
    },
    "growth_AMON_ICECUBE_GOLD_190730.xml": {
        "event": "IceCube-132910_57145925",
        "mission": "IceCube",
        "kind": "ICECUBE_GOLD",
        "serial": 2,
        "issued": at("2019-08-01T15:09:25"),
        "event_time": at("2019-07-30T20:50:41.310"),
        "is_test": False,
        "is_known": True,
        "is_retraction": False,
        "far_hz": pytest.approx(0.6770 / (365.25 * 86400)),
        "properties": {"signalness": 0.6716},
        "position": Position(225.7899, 10.47, 1.185, 0.9),
    },
    "gcnschema_einstein_probe_wxt_alert.example.json": {
        "event": "EinsteinProbe-WXT-01708973486",
        "mission": "Einstein Probe",
        "kind": "WXT alert",
        "issued": at("2024-03-01T21:46:05.130"),
        "event_time": at("2024-03-01T21:46:05.130"),
        "is_test": False,
        "is_known": True,
        "instruments": ("WXT",),
        "position": Position(120.0, 40.0, 0.02, 0.9),
    },
    "gcnschema_fermi_gbm_trigger.alert.example.json": {
        "event": "Fermi-GBM-745121685",
        "mission": "Fermi",
        "kind": "INITIAL_ALERT",
        "serial": 1,
        "issued": at("2024-08-24T02:14:54"),
        "event_time": at("2024-08-24T02:14:40.430"),
        "is_test": False,
        "is_known": True,
        "position": None,
        "sky_map": None,
    },
    "gcnschema_icecube_single_neutrino_alerts.gold_bronze_track_alerts.example.json": {
        "event": "IceCube-137840_57034692",
        "mission": "IceCube",
        "kind": "Bronze Track Alert",
        "serial": 1,
        "issued": at("2023-04-16T05:42:00"),
        "event_time": at("2023-04-16T05:22:26.150574"),
        "is_test": False,
        "is_known": True,
        "far_hz": 8.029e-08,
        "properties": {"p_astro": 0.34064},
        "position": Position(345.82, 9.01, 0.5, 0.9),
        "sky_map": SkyMapSource(
            url="https://roc.icecube.wisc.edu/public/alerts/example/run00140078"
            ".evt000030891383.example.skymap_nside_1024_probability.fits.gz"
        ),
    },
    "gcnschema_svom_eclairs_trigger.catalog.example.json": SVOM | {"serial": 0},
    "gcnschema_svom_eclairs_trigger.slewing.example.json": SVOM | {"serial": 1},
}  # fmt: skip


@pytest.fixture
def alerts(shared_data: Path) -> Path:
    folder = shared_data / "alerts"
    if not folder.is_dir():
        pytest.skip(f"the real notices are not here: no folder {folder}")
    return folder


def facts(notice: Notice) -> dict[str, Any]:
    return {field.name: getattr(notice, field.name) for field in dataclasses.fields(notice)}


@pytest.mark.parametrize("name", FACTS)
def test_a_real_notice_says_what_stands_in_it(alerts: Path, name: str) -> None:
    found = facts(read_notice((alerts / name).read_bytes()))
    assert {key: found[key] for key in FACTS[name]} == FACTS[name]


def test_no_real_notice_is_left_out(alerts: Path) -> None:
    assert sorted(path.name for path in alerts.iterdir()) == sorted(FACTS)


def test_the_sky_map_within_is_the_user_guides(shared_data: Path, alerts: Path) -> None:
    for name in ("MS181101ab-preliminary.json", "MS181101ab-initial.json"):
        notice = read_notice((alerts / name).read_bytes())
        published = (shared_data / "skymaps/userguide_bayestar.multiorder.fits").read_bytes()
        assert notice.sky_map == SkyMapSource(content=published)


def test_both_sky_maps_of_a_coincidence_are_taken(alerts: Path) -> None:
    raw = (alerts / "MS181101ab-ext-update.json").read_bytes()
    values = json.loads(raw)
    notice = read_notice(raw)
    for source, text in (
        (notice.sky_map, values["event"]["skymap"]),
        (notice.combined_sky_map, values["external_coinc"]["combined_skymap"]),
    ):
        assert source == SkyMapSource(content=base64.b64decode(text))


def test_the_notices_of_the_mock_event_are_one_sequence(alerts: Path) -> None:
    notices = [read_notice(path.read_bytes()) for path in sorted(alerts.glob("MS*.xml"))]
    by_order = sorted(notices, key=lambda notice: notice.order)
    assert [notice.serial for notice in by_order] == [1, 2, 3, 4, 6, 5]
    assert len({notice.identity for notice in notices}) == 6
    assert {notice.event for notice in notices} == {"MS181101ab"}


@pytest.mark.parametrize("name", [name for name in FACTS if name.endswith(".xml")])
def test_places_and_times_agree_with_voevent_parse(alerts: Path, name: str) -> None:
    vp = pytest.importorskip("voeventparse", reason="voevent-parse is for Python 3.11")
    raw = (alerts / name).read_bytes()
    notice = read_notice(raw)
    peer = vp.loads(raw, check_version=False)
    assert notice.ivorn == peer.attrib["ivorn"]
    # Versions 1.1 have the position in a namespace that voevent-parse does not look into.
    if peer.attrib["version"] == "2.0":
        assert notice.event_time == vp.get_event_time_as_utc(peer)
    if notice.position and peer.attrib["version"] == "2.0":
        place = vp.get_event_position(peer)
        stated = (notice.position.ra_deg, notice.position.dec_deg, notice.position.error_deg)
        assert stated == (place.ra, place.dec, place.err)
