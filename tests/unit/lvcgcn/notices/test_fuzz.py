"""Whatever comes in, a notice comes out or a refusal that says why: nothing else."""

from __future__ import annotations

import json
import math
from datetime import UTC
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.lvcgcn.notices.samples import classic, group, lvk, param, svom, unified
from toros.errors import NoticeRefused
from toros.lvcgcn.notices import read_notice

COINCIDENCE = {"observatory": "Fermi", "time_difference": 2.0, "combined_skymap": "QUJD"}
EVENT = {
    "time": "2024-05-01T10:00:00Z", "far": 1e-9, "significant": True, "instruments": ["H1", "L1"],
    "group": "CBC", "pipeline": "gstlal", "search": "AllSky", "properties": {"HasNS": 0.5},
    "classification": {"BNS": 0.9}, "duration": None, "skymap": "QUJD",
}  # fmt: skip
JSON_SAMPLES = [
    lvk(event=EVENT, external_coinc=COINCIDENCE),
    lvk(alert_type="RETRACTION", event=None),
    unified(
        "fermi/gbm/trigger", id=["1", "bn1"], alert_type="update", alert_tense="current",
        ra=10.0, dec=-20.0, ra_dec_error=[3.0, 2.0, 10.0], containment_probability=0.68,
        systematic_included=False, healpix_url="https://x.org/a.fits", trigger_type="rate",
        trigger_time="2024-05-01T10:00:00Z", alert_datetime="2024-05-01T10:00:30", far=1e-7,
        classification={"GRB": 1}, record_number=2, T90=12.5, healpix_file=None,
    ),
    unified("nobody/knows", id="7", ra=1, dec=2, mission="X"),
]  # fmt: skip
XML_SAMPLES = [
    classic("SWIFT", 61, group("Solution_Status", param("Def_NOT_a_GRB", "false"))),
    classic("AMON", 173, param("run_id", "132910"), param("event_id", "057145925"),
            param("src_error_90", 1.2), param("FAR", 0.6, unit="yr^-1")),
    classic("Fermi", 115, param("Most_Likely_Index", 4), param("Most_Likely_Prob", 93),
            param("LocationMap_URL", "http://x.org/glg_locplot_all_bn1.png")),
    svom(219, "retraction", more='<Citations><EventIVORN cite="retraction">ivo://a#b'
                                 "</EventIVORN></Citations>"),
]  # fmt: skip

WORDS = [
    b'"true"', b'"false"', b"1234567", b"120.5", b"-30.25", b"0.05", b"UTC-FK5-GEO", b'"61"',
    b"2024-05-01T10:00:00.50", b"2024-05-01T10:00:30", b"observation",
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["2024-05-01T10:00:00Z", "9999-12-31T23:59:60+23:59", "\ud800", "-", "M1"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(raw: bytes) -> None:
    try:
        notice = read_notice(raw)
    except NoticeRefused as refused:
        text = str(refused)
        assert text.isprintable()
        assert len(text) < 600
        return
    assert notice.event.isascii()
    assert 1 <= len(notice.event) <= 140
    assert not set(notice.event) & set("/\\ \n\r\t\0")
    for text in (notice.mission, notice.kind, notice.group, notice.pipeline, notice.search):
        assert text.isprintable()
        text.encode()
    assert notice.issued.tzinfo is UTC
    assert len(notice.identity) == 32
    if notice.position is not None:
        place = notice.position
        assert 0 <= place.ra_deg < 360
        assert -90 <= place.dec_deg <= 90
        assert 0 <= place.error_deg <= 180
        assert math.isfinite(place.radius_deg)
    assert read_notice(raw) == notice


@few
@given(st.sampled_from(JSON_SAMPLES + XML_SAMPLES), st.data())
def test_bytes_changed_lost_or_added(sample: bytes, data: st.DataObject) -> None:
    raw = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        lost = data.draw(st.integers(0, 8))
        raw[at : at + lost] = data.draw(st.binary(max_size=6))
    check(bytes(raw))


@few
@given(st.sampled_from(JSON_SAMPLES), st.data())
def test_fields_of_other_types_and_values(sample: bytes, data: st.DataObject) -> None:
    root: dict[str, Any] = json.loads(sample)
    for _ in range(data.draw(st.integers(1, 3))):
        within = root
        for name in ("event", "external_coinc", "classification"):
            if isinstance(within.get(name), dict) and data.draw(st.booleans()):
                within = within[name]
        name = data.draw(st.sampled_from(sorted(within)) | st.text(max_size=5)) if within else ""
        within[name] = data.draw(values)
    check(json.dumps(root).encode())


@few
@given(st.sampled_from(XML_SAMPLES), st.data())
def test_other_texts_in_a_voevent(sample: bytes, data: st.DataObject) -> None:
    word = data.draw(st.sampled_from([word for word in WORDS if word in sample]))
    texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Z"]), max_size=30)
    other = data.draw(texts | st.sampled_from(["nan", "1e400", "-1", "&#10;", "&#x41;", "1_0"]))
    quoted = f'"{other}"' if word.startswith(b'"') else other
    check(sample.replace(word, quoted.encode()))


@few
@given(st.binary(max_size=200))
def test_bytes_of_any_kind(raw: bytes) -> None:
    check(raw)
    check(b"{" + raw)
    check(b"<VOEvent>" + raw + b"</VOEvent>")
