"""What is read of each mission's notices, on samples made from the published formats."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.lvcgcn.notices.samples import classic, group, lvk, param, svom, unified, voevent
from toros.errors import NoticeRefused
from toros.lvcgcn.notices import Position, SkyMapSource, read_notice
from toros.lvcgcn.notices.notice import UNDATED
from toros.lvcgcn.notices.packets import GCN, PACKETS, Packet
from toros.lvcgcn.notices.unified import SCHEMAS, Schema

GBM_FOLDER = "heasarc.gsfc.nasa.gov/FTP/fermi/data/gbm/triggers/2024/bn240812094/quicklook"
GBM_MAP = f"http://{GBM_FOLDER}/glg_healpix_all_bn240812094.fit"
FITS = b"SIMPLE  =                    T"


# ---- every kind that is known ------------------------------------------------------------------


@pytest.mark.parametrize("packet", PACKETS, ids=lambda packet: packet.kind)
def test_every_packet_is_known_by_its_number(packet: Packet) -> None:
    if packet.sender == GCN:
        notice = read_notice(classic(packet.mission, packet.number))
        assert notice.event == f"{packet.trigger}-1234567"
    else:
        notice = read_notice(svom(packet.number, packet.kind))
        assert notice.event == "SVOM-sb24120801"
    assert (notice.is_known, notice.mission, notice.kind) == (True, packet.mission, packet.kind)
    place = Position(120.5, -30.25, 0.05, packet.containment, packet.systematic_deg)
    assert notice.position == (place if packet.has_position else None)
    assert notice.is_test == packet.is_test
    assert notice.is_retraction == packet.is_retraction
    assert notice.issued == datetime(2024, 5, 1, 10, 0, 30, tzinfo=UTC)
    assert notice.event_time == datetime(2024, 5, 1, 10, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.path)
def test_every_schema_is_known_by_its_path(schema: Schema) -> None:
    raw = unified(
        f"{schema.path.rstrip('/')}/alert",
        alert_datetime="2024-05-01T10:00:30Z",
        trigger_time="2024-05-01T10:00:00.5Z",
        id=["a1"],
        event_name="a1",
        ref_ID="a1",
        ra=120.5,
        dec=-30.25,
        ra_dec_error=0.05,
    )
    notice = read_notice(raw)
    assert (notice.is_known, notice.mission) == (True, schema.mission)
    assert notice.event == f"{schema.trigger}-a1"
    assert notice.position == Position(120.5, -30.25, 0.05, 0.9, schema.systematic_deg)


# ---- LVK -------------------------------------------------------------------------------------


def test_a_burst_has_a_duration_and_no_classes() -> None:
    event = {
        "time": "2024-05-01T10:00:00Z", "far": 1e-9, "significant": False,
        "instruments": ["H1", "L1"], "group": "Burst", "pipeline": "CWB", "search": "AllSky",
        "properties": {}, "classification": {}, "duration": 0.05, "central_frequency": 151.2,
        "skymap": base64.b64encode(FITS).decode(),
    }  # fmt: skip
    notice = read_notice(lvk(event=event))
    assert (notice.duration_s, notice.central_frequency_hz) == (0.05, 151.2)
    assert (notice.group, notice.significant, notice.is_test) == ("Burst", False, False)
    assert notice.classification == {}
    assert notice.sky_map == SkyMapSource(content=FITS)


@pytest.mark.parametrize("name", ["MS240501a", "TS240501a", "T0123", "M323277"])
def test_mock_superevents_are_tests(name: str) -> None:
    assert read_notice(lvk(superevent_id=name)).is_test


@pytest.mark.parametrize(
    ("given", "kind"),
    [("EARLYWARNING", "EarlyWarning"), ("EARLY_WARNING", "EarlyWarning"), ("UPDATE", "Update")],
)
def test_lvks_kinds_are_named_as_its_voevents_do(given: str, kind: str) -> None:
    notice = read_notice(lvk(alert_type=given))
    assert (notice.kind, notice.is_known) == (kind, True)


def test_a_new_kind_of_lvks_is_kept_and_flagged() -> None:
    notice = read_notice(lvk(alert_type="LESS-SIGNIFICANT"))
    assert (notice.kind, notice.is_known) == ("LESS-SIGNIFICANT", False)
    assert notice.event == "S240501an"


def test_an_update_with_the_old_flag_is_a_retraction() -> None:
    raw = voevent(
        "ivo://gwnet/LVC#S240501an-3-Update",
        param("GraceID", "S240501an"),
        param("AlertType", "Update"),
        param("Retraction", "1"),
        place=None,
    )
    assert read_notice(raw).is_retraction


def test_a_hardware_injection_is_a_test() -> None:
    raw = voevent(
        "ivo://gwnet/LVC#S240501an-1-Initial",
        param("GraceID", "S240501an"),
        param("AlertType", "Initial"),
        param("HardwareInj", "1"),
        place=None,
    )
    assert read_notice(raw).is_test


# ---- one event over all of its notices -----------------------------------------------------------


def test_all_of_swifts_instruments_speak_of_bats_trigger() -> None:
    notices = [
        read_notice(classic("SWIFT", 61, trigger=1220155)),
        read_notice(classic("SWIFT", 67, trigger=1220155)),
        read_notice(classic("SWIFT", 81, trigger=1220155)),
        read_notice(unified("swift/xrt/position", mission="SWIFT", instrument="XRT", id=1220155)),
        read_notice(unified("swift/bat/position", instrument="BAT", id="1220155")),
    ]
    assert {notice.event for notice in notices} == {"Swift-BAT-1220155"}


def test_gbms_localisations_are_one_event_in_xml_and_json() -> None:
    notices = [read_notice(classic("Fermi", n, trigger=745121685)) for n in (110, 111, 112, 115)]
    notices.append(
        read_notice(unified("fermi/gbm/trigger", id=["745121685", "bn240812094"], mission="Fermi"))
    )
    assert {notice.event for notice in notices} == {"Fermi-GBM-745121685"}


def test_icecubes_run_and_event_are_one_name_in_xml_and_json() -> None:
    raw = voevent(
        "ivo://nasa.gsfc.gcn/AMON#ICECUBE_BRONZE_Event2023-04-16T05:22:26.15_25_137840_057034692_0",
        param("Packet_Type", 174),
        param("AMON_ID", "13784057034692"),
        param("run_id", "137840"),
        param("event_id", "057034692"),
    )
    names = [
        read_notice(raw).event,
        read_notice(unified("icecube/single_neutrino_alerts", id=["137840_57034692"])).event,
        read_notice(unified("icecube/GoldAndBronze", id=["137840", "57034692"])).event,
    ]
    assert set(names) == {"IceCube-137840_57034692"}


def test_svoms_instruments_share_the_burst() -> None:
    notices = [read_notice(svom(n, str(n))) for n in (201, 202, 204, 209, 219)]
    notices.append(read_notice(unified("svom/trigger", instrument="GRM", id=["sb24120801"])))
    assert {notice.event for notice in notices} == {"SVOM-sb24120801"}


# ---- positions -------------------------------------------------------------------------------


def test_the_radius_has_the_systematic_error_in_it() -> None:
    place = read_notice(classic("Fermi", 115, place=(10, 20, 4.8))).position
    assert place is not None
    assert place.error_deg == 4.8
    assert place.radius_deg == pytest.approx((4.8**2 + 3.7**2) ** 0.5)
    included = unified(
        "fermi/gbm/trigger", id="1", ra=10, dec=20, ra_dec_error=4.8,
        containment_probability=0.68, systematic_included=True,
    )  # fmt: skip
    assert read_notice(included).position == Position(10.0, 20.0, 4.8, 0.68, 0.0)


@pytest.mark.parametrize(
    ("radii", "place"),
    [
        ([param("src_error_90", 1.2), param("src_error_50", 0.6)], Position(10, 20, 1.2, 0.9)),
        ([param("src_error_50", 0.6)], Position(10, 20, 0.6, 0.5)),
        ([], Position(10, 20, 2.0, 0.9)),
    ],
)
def test_icecubes_ninety_percent_radius_is_taken_first(radii: list[str], place: Position) -> None:
    assert read_notice(classic("AMON", 173, *radii, place=(10, 20, 2.0))).position == place


def test_super_kamiokande_states_its_radii_beside_the_position() -> None:
    raw = classic(
        "SK_SN", 175, param("Src_Error68", 70.7), param("Src_Error90", 118.0), place=(213, 15, 0)
    )
    assert read_notice(raw).position == Position(213.0, 15.0, 118.0, 0.9)


@pytest.mark.parametrize(
    ("stated", "error"),
    [
        ({"ra_dec_error": 0.5}, 0.5),
        ({"ra_dec_error": [0.5]}, 0.5),
        ({"ra_dec_error": [0.3, 0.6, 170.0]}, 0.6),
        ({"ra_uncertainty": [-1.5, 1.4], "dec_uncertainty": [-1.2, 1.3]}, 1.5),
    ],
)
def test_an_ellipse_or_a_box_becomes_a_circle(stated: dict[str, Any], error: float) -> None:
    notice = read_notice(unified("icecube/x", id="1_2", ra=10, dec=20, **stated))
    assert notice.position == Position(10.0, 20.0, error, 0.9)


def test_no_radius_has_no_containment() -> None:
    for raw in (
        unified("chime/frb", id="1", ra=10, dec=20),
        svom(201, "grm-trigger", place=(10, 20, -1)),
    ):
        assert read_notice(raw).position == Position(10.0, 20.0, 0.0, None)


def test_zeros_and_pointings_are_no_position() -> None:
    for raw in (
        classic("Fermi", 111, place=(0, 0, 0)),
        classic("Fermi", 111, place=None),
        classic("SWIFT", 61, param("Coords_String", "pointing_direction")),
        classic("SWIFT", 61, system="UTC-GEOD-TOPO"),
    ):
        notice = read_notice(raw)
        assert notice.is_known
        assert notice.position is None


def test_a_full_turn_is_zero() -> None:
    notice = read_notice(classic("SWIFT", 61, place=(360, -90, 0.1)))
    assert notice.position == Position(0.0, -90.0, 0.1, 0.9)


# ---- sky maps ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "name", "address", "expected"),
    [
        (115, "LocationMap_URL", f"http://{GBM_FOLDER}/glg_locplot_all_bn240812094.png", GBM_MAP),
        (112, "LocationMap_URL", f"http://{GBM_FOLDER}/glg_skymap.png", None),
        (131, "HealPix_URL", "https://x.org/gbm_subthresh_healpix.fits", "same"),
        (176, "skymap_fits", "https://x.org/hese_59546_run1.evt2.fits", "same"),
        (176, "skymap_fits", "https://x.org/map.multiorder.fits,1", "same"),
        (176, "skymap_fits", "javascript:alert(1).fits", None),
    ],
)
def test_sky_maps_are_where_each_mission_puts_them(
    number: int, name: str, address: str, expected: str | None
) -> None:
    notice = read_notice(classic("X", number, param(name, address)))
    url = address if expected == "same" else expected
    assert notice.sky_map == (None if url is None else SkyMapSource(url=url))


def test_a_plot_in_gbms_json_leads_to_the_map() -> None:
    plot = f"http://{GBM_FOLDER}/glg_locplot_all_bn240812094.png"
    notice = read_notice(unified("fermi/gbm/trigger", id="745121685", healpix_url=plot))
    assert notice.sky_map == SkyMapSource(url=GBM_MAP)


def test_a_page_about_maps_is_a_link_and_no_map() -> None:
    page = "https://www.km3net.org/about-km3net/open-access/"
    notice = read_notice(unified("km3net/alert", id=[1], event_name="KM3-1", healpix_url=page))
    assert notice.sky_map is None
    assert notice.links == {"healpix_url": page}


def test_an_embedded_map_is_decoded() -> None:
    text = base64.b64encode(FITS).decode()
    raw = unified(
        "swift/bat/guano/alert", id=[694215995], healpix_file=text, healpix_url="https://x/a.fits"
    )
    assert read_notice(raw).sky_map == SkyMapSource(content=FITS)


# ---- withdrawn, and tests ------------------------------------------------------------------------

RETRACTED = {
    "flag": classic("AMON", 173, group("Trigger_ID", param("Retraction", "true"))),
    "no GRB": classic("SWIFT", 61, group("Solution_Status", param("Def_NOT_a_GRB", "true"))),
    "GBM": classic("Fermi", 115, group("Trigger_ID", param("Def_NOT_a_GRB", "true"))),
    "SVOM": svom(219, "retraction", place=None),
    "cited": svom(
        202,
        "x",
        more='<Citations><EventIVORN cite="retraction">ivo://org.svom/fsc#y</EventIVORN></Citations>',
    ),
    "GUANO": unified("swift/bat/guano/alert", id=[694215995], alert_type="retraction"),
    "CHIME": unified("chime/frb", id="427325191", alert_type="retraction"),
    "IceCube": unified("icecube/single_neutrino_alerts", id=["1_2"], alert_type="retraction"),
}


@pytest.mark.parametrize("name", RETRACTED)
def test_every_missions_way_to_withdraw_is_understood(name: str) -> None:
    assert read_notice(RETRACTED[name]).is_retraction


def test_flags_that_are_not_set_withdraw_nothing() -> None:
    flags = group("Trigger_ID", param("Retraction", "false"), param("Def_NOT_a_GRB", "0"))
    notice = read_notice(classic("AMON", 173, flags, param("Test_Submission", "false")))
    assert not notice.is_retraction
    assert not notice.is_test


def test_a_retraction_without_a_time_of_its_own_comes_last() -> None:
    common = {"id": "427325191", "trigger_time": "2024-09-18T07:19:10.765268Z"}
    kinds = ("retraction", "initial", "update")
    notices = [read_notice(unified("chime/frb", alert_type=kind, **common)) for kind in kinds]
    in_order = sorted(notices, key=lambda notice: notice.order)
    assert [notice.serial for notice in in_order] == [0, 1, 2]
    assert in_order[-1].is_retraction


@pytest.mark.parametrize(
    "raw",
    [
        classic("SWIFT", 61, role="test"),
        classic("SWIFT", 61, group("Solution_Status", param("Test_Submission", "true"))),
        classic("SWIFT", 82),
        classic("AMON", 173, group("Trigger_ID", param("Test", "true"))),
        unified("svom/trigger", id="sb1", alert_tense="test"),
        unified("svom/trigger", id="sb1", alert_tense="injection"),
        unified("fermi/gbm/trigger", id="1", alert_tense="commanded"),
        unified("burstcube/test", id="1"),
        unified("icecube/test/gold_bronze_track_alerts", id=["1", "2"]),
    ],
)
def test_tests_are_told_apart(raw: bytes) -> None:
    assert read_notice(raw).is_test


# ---- what is not known ---------------------------------------------------------------------------


def test_an_unknown_schema_is_kept_with_what_it_says() -> None:
    raw = unified(
        "newmission/thing/alert", mission="New Mission", instrument="CAM", id="42",
        alert_datetime="2026-01-02T03:04:05Z", ra=10, dec=-20, ra_dec_error=0.5, far="often",
    )  # fmt: skip
    notice = read_notice(raw)
    assert not notice.is_known
    assert (notice.mission, notice.event) == ("New Mission", "NewMission-42")
    assert notice.issued == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert notice.position == Position(10.0, -20.0, 0.5, 0.9)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"created_at": 1234},
        {"$schema": 7, "id": {"a": 1}, "ra": "north", "dec": None, "trigger_time": "soon"},
        {"$schema": "https://gcn.nasa.gov/schema/main/gcn/circulars.schema.json", "ra": 1e300},
    ],
)
def test_any_other_object_is_kept_too(values: dict[str, Any]) -> None:
    notice = read_notice(json.dumps(values).encode())
    assert (notice.is_known, notice.mission, notice.kind) == (False, "unknown", "unknown")
    assert notice.event == f"unknown-{notice.identity[:12]}"
    assert (notice.issued, notice.position) == (UNDATED, None)


def test_an_unknown_voevent_is_kept_with_its_position() -> None:
    raw = voevent("ivo://voevent.4pisky.org/ASASSN#2016-09-25_2016fvf", system="UTC-ICRS-GEO")
    notice = read_notice(raw)
    assert (notice.is_known, notice.mission) == (False, "ASASSN")
    assert notice.event == "ASASSN-2016-09-25_2016fvf"
    assert notice.position == Position(120.5, -30.25, 0.05, None)


def test_a_spacecrafts_pointing_is_neither_known_nor_a_place() -> None:
    notice = read_notice(classic("SWIFT", 83, role="utility"))
    assert (notice.is_known, notice.kind, notice.position) == (False, "packet 83", None)


def test_the_name_of_an_unknown_event_is_fit_for_a_file() -> None:
    long = "ivo://a/../..#" + "/x" * 500
    names = [read_notice(voevent(ivorn)).event for ivorn in (long, "ivo://#", "\u00fc")]
    assert len(set(names)) == 3
    for name in names:
        assert name.isascii()
        assert "/" not in name
        assert not name.startswith(".")
        assert 1 <= len(name) <= 140


def test_gcns_impossible_dates_cost_the_date_only() -> None:
    notice = read_notice(classic("Fermi", 120, time="2026-01--9130T00:00:00.00"))
    assert notice.event_time is None
    assert notice.position == Position(120.5, -30.25, 0.05, 0.9)


def test_a_time_of_another_scale_is_not_taken_for_utc() -> None:
    notice = read_notice(voevent("ivo://gaia.cam.uk/alerts#Gaia16aac", system="TDB-ICRS-BARY"))
    assert notice.event_time is None
    assert notice.position is not None


def test_a_known_kind_without_its_event_is_refused() -> None:
    with pytest.raises(NoticeRefused, match="identifier"):
        read_notice(unified("svom/trigger", ra=1, dec=2))
    with pytest.raises(NoticeRefused, match="trigger"):
        read_notice(classic("SWIFT", 61, trigger=""))
