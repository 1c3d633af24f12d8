"""What drivers make of what devices say: values, frames, connecting."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.devices.stub import Stub, hang, reply, value
from toros.devices.alpaca import (
    AlpacaCamera,
    AlpacaCover,
    AlpacaDome,
    AlpacaFilterWheel,
    AlpacaFocuser,
    AlpacaMount,
    AlpacaObservingConditions,
    AlpacaSafetyMonitor,
)
from toros.devices.protocols import CameraState, CoverState, LampState, Pointing, ShutterState
from toros.errors import (
    DeviceError,
    DeviceLacks,
    DeviceNonsense,
    DeviceNotConnected,
    DeviceRefused,
)

LACKS = reply(0x400, "not implemented")


class Noon:
    """A clock that stands."""

    rate = 1.0

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0

    def wait(self, *_: object) -> bool:
        return False


@pytest.mark.parametrize(
    "said",
    [400, -1, 360.1, "90", None, True, [], {}, math.nan, math.inf, -math.inf, 10**400, 1e308],
)
def test_an_azimuth_that_cannot_be_is_refused(server: Stub, said: object) -> None:
    server.on("GET azimuth", value(said))
    with pytest.raises(DeviceNonsense, match=r"azimuth is .*expected a number from 0 to 360 deg"):
        AlpacaDome(server.settings()).azimuth()


@pytest.mark.parametrize(("said", "azimuth"), [(0, 0.0), (359.9, 359.9), (360, 0.0)])
def test_an_azimuth_is_below_360(server: Stub, said: float, azimuth: float) -> None:
    server.on("GET azimuth", value(said))
    assert AlpacaDome(server.settings()).azimuth() == azimuth


def test_an_unknown_azimuth_is_none(server: Stub) -> None:
    server.on("GET azimuth", LACKS)
    assert AlpacaDome(server.settings()).azimuth() is None


@pytest.mark.parametrize("said", [5, -1, "1", True, None, 1.0])
def test_a_shutter_state_that_is_none_is_refused(server: Stub, said: object) -> None:
    server.on("GET shutterstatus", value(said))
    with pytest.raises(DeviceNonsense, match="shutterstatus"):
        AlpacaDome(server.settings()).shutter()


def test_shutter_states(server: Stub) -> None:
    dome = AlpacaDome(server.settings())
    for said, state in enumerate(ShutterState):
        server.on("GET shutterstatus", value(said))
        assert dome.shutter() is state


def test_a_moving_shutter_is_a_motion(server: Stub) -> None:
    server.on("GET slewing", value(False))
    server.on("GET shutterstatus", value(3))
    assert AlpacaDome(server.settings()).slewing() is True
    server.on("GET shutterstatus", LACKS)
    assert AlpacaDome(server.settings()).slewing() is False


def test_a_slaved_dome_is_freed_before_it_parks(server: Stub) -> None:
    server.on("GET slaved", value(True))
    server.on("PUT slaved", reply())
    server.on("PUT park", reply())
    AlpacaDome(server.settings()).park()
    assert server.calls() == ["GET slaved", "PUT slaved", "PUT park"]
    assert server.seen[1][1]["Slaved"] == "False"


@pytest.mark.parametrize("azimuth", [-0.1, 360.0, math.nan])
def test_no_dome_is_sent_where_nothing_is(server: Stub, azimuth: float) -> None:
    with pytest.raises(DeviceRefused):
        AlpacaDome(server.settings()).slew_to_azimuth(azimuth)
    assert server.seen == []


# ---- the mount's frames ----------------------------------------------------------------------

NIGHT = datetime(2026, 6, 10, 4, 0, tzinfo=UTC)
PLACES = [(0.0, 0.0), (83.63, 22.01), (201.37, -43.02), (359.999, 89.9), (10.0, -89.0)]


def apparent(ra: float, dec: float, moment: datetime) -> tuple[float, float]:
    """Return the apparent place by astropy's own way through its frames."""
    from astropy.coordinates import TETE, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    with iers.conf.set_temp("auto_download", False):
        place = SkyCoord(ra, dec, unit="deg").transform_to(TETE(obstime=Time(moment)))
    return float(place.ra.deg), float(place.dec.deg)


def separation_arcsec(one: tuple[float, float], other: tuple[float, float]) -> float:
    (a, d), (b, e) = (tuple(map(math.radians, p)) for p in (one, other))
    hav = math.sin((e - d) / 2) ** 2 + math.cos(d) * math.cos(e) * math.sin((b - a) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(hav))) * 3600


@pytest.mark.parametrize(("ra", "dec"), PLACES)
def test_a_mount_of_date_is_sent_to_the_apparent_place(server: Stub, ra: float, dec: float) -> None:
    server.on("GET equatorialsystem", value(1))
    server.on("GET atpark", value(False))
    server.on("GET tracking", value(True))
    server.on("PUT slewtocoordinatesasync", reply())
    mount = AlpacaMount(server.settings(), Noon(NIGHT))
    mount.slew_to(Pointing(ra, dec))
    fields = server.seen[-1][1]
    sent = float(fields["RightAscension"]) * 15, float(fields["Declination"])
    assert separation_arcsec(sent, apparent(ra, dec, NIGHT)) < 0.02
    assert separation_arcsec(sent, (ra, dec)) > 100  # precession since 2000

    server.on("GET rightascension", value(sent[0] / 15))
    server.on("GET declination", value(sent[1]))
    assert separation_arcsec(mount.pointing(), (ra, dec)) < 0.001


@pytest.mark.parametrize("year", [1990, 2026, 2090, 2500])
def test_no_table_of_dates_ends(server: Stub, year: int) -> None:
    server.on("GET equatorialsystem", value(1))
    server.on("GET rightascension", value(12.0))
    server.on("GET declination", value(-30.0))
    there = AlpacaMount(server.settings(), Noon(NIGHT.replace(year=year))).pointing()
    drift = separation_arcsec(there, (180.0, -30.0))
    assert abs(drift - 50.0 * abs(year - 2000)) < 60 + 8 * abs(year - 2000)


@pytest.mark.parametrize(("system", "shift_arcsec"), [(2, 0.0), (0, 0.0), (3, 2500.0), (4, 2500.0)])
def test_other_equinoxes(server: Stub, system: int, shift_arcsec: float) -> None:
    server.on("GET equatorialsystem", value(system))
    server.on("GET rightascension", value(5.0))
    server.on("GET declination", value(20.0))
    server.on("PUT synctocoordinates", reply())
    mount = AlpacaMount(server.settings(), Noon(NIGHT))
    there = mount.pointing()
    assert separation_arcsec(there, (75.0, 20.0)) == pytest.approx(shift_arcsec, rel=0.05, abs=0.1)
    mount.sync_to(there)
    fields = server.seen[-1][1]
    assert float(fields["RightAscension"]) == pytest.approx(5.0, abs=1e-6)
    assert float(fields["Declination"]) == pytest.approx(20.0, abs=1e-5)


@pytest.mark.parametrize("system", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("ra", [0.0, 1e-15, 23.999999999999996, 24.0])
def test_right_ascension_is_below_360(server: Stub, system: int, ra: float) -> None:
    server.on("GET equatorialsystem", value(system))
    server.on("GET rightascension", value(ra))
    server.on("GET declination", value(0.0))
    server.on("PUT synctocoordinates", reply())
    mount = AlpacaMount(server.settings(), Noon(NIGHT))
    mount.sync_to(mount.pointing())
    assert 0 <= float(server.seen[-1][1]["RightAscension"]) < 24


@pytest.mark.parametrize(("ra", "dec"), [(25, 0), (-0.1, 0), (12, 91), (12, "x"), (None, 0)])
def test_a_direction_that_cannot_be_is_refused(server: Stub, ra: object, dec: object) -> None:
    server.on("GET equatorialsystem", value(2))
    server.on("GET rightascension", value(ra))
    server.on("GET declination", value(dec))
    with pytest.raises(DeviceNonsense):
        AlpacaMount(server.settings()).pointing()


@pytest.mark.parametrize("target", [Pointing(360, 0), Pointing(0, 90.1), Pointing(math.nan, 0)])
def test_no_mount_is_sent_where_nothing_is(server: Stub, target: Pointing) -> None:
    with pytest.raises(DeviceRefused):
        AlpacaMount(server.settings()).slew_to(target)
    assert server.seen == []


def test_a_parked_mount_is_not_slewed(server: Stub) -> None:
    server.on("GET equatorialsystem", value(2))
    server.on("GET atpark", value(True))
    with pytest.raises(DeviceRefused, match="parked"):
        AlpacaMount(server.settings()).slew_to(Pointing(10, 10))
    assert not [call for call in server.calls() if call.startswith("PUT")]


def test_a_parked_mount_has_nothing_to_abort(server: Stub) -> None:
    server.on("PUT abortslew", reply(0x408, "parked"))
    server.on("GET atpark", value(True))
    AlpacaMount(server.settings()).abort()
    server.on("GET atpark", value(False))
    with pytest.raises(DeviceRefused):
        AlpacaMount(server.settings()).abort()


# ---- connecting ------------------------------------------------------------------------------


def test_platform_7_connects_by_itself(server: Stub) -> None:
    server.on("GET interfaceversion", value(3))
    server.on("GET connected", value(False), value(True))
    server.on("PUT connect", reply())
    server.on("GET connecting", value(True), value(False))
    AlpacaDome(server.settings()).connect()
    assert server.calls() == [
        "GET connected", "GET interfaceversion", "PUT connect", "GET connecting",
        "GET connecting", "GET connected",
    ]  # fmt: skip


def test_why_it_does_not_connect_is_told(server: Stub) -> None:
    server.on("GET interfaceversion", value(3))
    server.on("GET connected", value(False))
    server.on("PUT connect", reply())
    server.on("GET connecting", reply(0x500, "no such serial port"))
    with pytest.raises(DeviceError, match="no such serial port"):
        AlpacaDome(server.settings()).connect()
    server.on("GET connecting", value(False))
    with pytest.raises(DeviceNotConnected, match="did not connect"):
        AlpacaDome(server.settings()).connect()


@pytest.mark.parametrize("version", [value(1), LACKS, value("x")])
def test_older_drivers_connect_by_a_property(server: Stub, version) -> None:  # type: ignore[no-untyped-def]
    server.on("GET interfaceversion", version)
    server.on("GET connected", value(False), value(True))
    server.on("PUT connected", reply())
    AlpacaDome(server.settings()).connect()
    assert [call for call in server.calls() if call.startswith("PUT")] == ["PUT connected"]


def test_a_slow_driver_has_time_to_connect(server: Stub) -> None:
    server.on("GET interfaceversion", value(1))
    server.on("GET connected", value(False), hang(2), value(False), value(True))
    server.on("PUT connected", hang(2))
    AlpacaDome(server.settings(timeout_s=0.2, retries=0)).connect()
    assert server.calls().count("PUT connected") == 1


def test_a_timeout_is_no_old_driver(server: Stub) -> None:
    """alpyca's own InterfaceVersion takes any failure for version 1."""
    server.on("GET interfaceversion", hang(2))
    server.on("GET connected", value(False))
    with pytest.raises(DeviceError):
        AlpacaDome(server.settings(timeout_s=0.2, retries=0)).connect()
    assert "PUT connected" not in server.calls()


# ---- the small ones --------------------------------------------------------------------------


def test_a_safety_monitor_that_is_not_connected_is_not_safe(server: Stub) -> None:
    server.on("GET connected", value(False))
    server.on("GET issafe", value(True))
    with pytest.raises(DeviceNotConnected):
        AlpacaSafetyMonitor(server.settings()).is_safe()


@pytest.mark.parametrize("said", ["true", 1, None, [True]])
def test_only_true_is_safe(server: Stub, said: object) -> None:
    server.on("GET connected", value(True))
    server.on("GET issafe", value(said))
    with pytest.raises(DeviceNonsense):
        AlpacaSafetyMonitor(server.settings()).is_safe()


def weather(server: Stub, **sensors: object) -> AlpacaObservingConditions:
    server.on("GET connected", value(True))
    for name in ("cloudcover", "dewpoint", "humidity", "pressure", "rainrate", "skybrightness",
                 "skyquality", "skytemperature", "starfwhm", "temperature", "winddirection",
                 "windgust", "windspeed"):  # fmt: skip
        server.on(f"GET {name}", value(sensors[name]) if name in sensors else LACKS)
    server.on("GET timesincelastupdate", value(12.5))
    return AlpacaObservingConditions(server.settings())


def test_what_a_station_lacks_is_left_out(server: Stub) -> None:
    station = weather(server, humidity=40, windspeed=3.5)
    assert station.read() == {"humidity": (40.0, 12.5), "wind_speed": (3.5, 12.5)}
    server.on("GET rainrate", value(1.5))  # of a hub whose sensor was still to come
    assert station.read()["rain_rate"] == (1.5, 12.5)


def test_the_age_of_all_stands_for_one_that_has_none(server: Stub) -> None:
    station = weather(server, humidity=40)
    server.on("GET timesincelastupdate", LACKS, value(3))
    assert station.read()["humidity"].age_s == 3.0
    assert server.seen[-1][1].get("SensorName", "") == ""


def test_what_was_never_measured_is_infinitely_old(server: Stub) -> None:
    station = weather(server, humidity=40)
    server.on("GET timesincelastupdate", value(-1))
    assert station.read()["humidity"].age_s == math.inf


@pytest.mark.parametrize(
    ("sensor", "said"),
    [("temperature", -274), ("temperature", math.nan), ("humidity", 101), ("humidity", -1),
     ("windspeed", 1e9), ("windspeed", -0.1), ("rainrate", "0"), ("pressure", 0),
     ("dewpoint", None), ("winddirection", 361), ("cloudcover", True)],
)  # fmt: skip
def test_weather_that_cannot_be_is_refused(server: Stub, sensor: str, said: object) -> None:
    station = weather(server, **{sensor: said})
    with pytest.raises(DeviceNonsense, match=sensor):
        station.read()


def test_an_age_that_cannot_be_is_refused(server: Stub) -> None:
    station = weather(server, humidity=40)
    server.on("GET timesincelastupdate", value("yesterday"))
    with pytest.raises(DeviceNonsense, match="timesincelastupdate of Humidity"):
        station.read()


def test_a_station_that_is_not_connected_tells_nothing(server: Stub) -> None:
    station = weather(server, humidity=40)
    server.on("GET connected", value(False))
    with pytest.raises(DeviceNotConnected):
        station.read()


def test_a_turning_wheel_has_no_position(server: Stub) -> None:
    server.on("GET position", value(-1))
    server.on("GET names", value(["B", "V", "R"]))
    wheel = AlpacaFilterWheel(server.settings())
    assert wheel.position() is None
    assert wheel.filters() == ("B", "V", "R")


def test_a_focuser_must_know_its_position(server: Stub) -> None:
    server.on("GET connected", value(True))
    server.on("GET absolute", value(False))
    with pytest.raises(DeviceLacks, match="does not know its position"):
        AlpacaFocuser(server.settings()).connect()


def test_a_focuser_is_not_sent_beyond_its_end(server: Stub) -> None:
    server.on("GET maxstep", value(1000))
    with pytest.raises(DeviceRefused, match="expected 0 to 1000"):
        AlpacaFocuser(server.settings()).move_to(1001)


def test_covers_and_lamps(server: Stub) -> None:
    device = AlpacaCover(server.settings())
    for said, (cover, lamp) in enumerate(zip(
        (CoverState.ABSENT, CoverState.CLOSED, CoverState.MOVING, CoverState.OPEN,
         CoverState.UNKNOWN, CoverState.ERROR),
        (LampState.ABSENT, LampState.OFF, LampState.WARMING, LampState.READY,
         LampState.UNKNOWN, LampState.ERROR), strict=True,
    )):  # fmt: skip
        server.on("GET coverstate", value(said))
        server.on("GET calibratorstate", value(said))
        assert (device.cover(), device.lamp()) == (cover, lamp)


@pytest.mark.parametrize(("fraction", "level"), [(0, 0), (0.001, 1), (0.5, 50), (1, 100)])
def test_brightness_is_a_fraction(server: Stub, fraction: float, level: int) -> None:
    server.on("GET maxbrightness", value(100))
    server.on("PUT calibratoron", reply())
    AlpacaCover(server.settings()).lamp_on(fraction)
    assert server.seen[-1][1]["Brightness"] == str(level)


def camera(server: Stub, **values: object) -> AlpacaCamera:
    facts = {"name": "Cam ", "cameraxsize": 300, "cameraysize": 200, "pixelsizex": 3.8,
             "pixelsizey": 3.8, "electronsperadu": 0.5, "fullwellcapacity": 5e4, "maxadu": 65535,
             "hasshutter": False, "cansetccdtemperature": True, "canabortexposure": True,
             "maxbinx": 4, "maxbiny": 2, "sensortype": 0, **values}  # fmt: skip
    for name, said in facts.items():
        server.on(f"GET {name}", said if callable(said) else value(said))
    return AlpacaCamera(server.settings())


def test_a_cameras_facts(server: Stub) -> None:
    facts = camera(server).facts()
    assert facts.name == "Cam"
    assert facts.shape == (200, 300)
    assert (facts.max_binning, facts.gain_e_adu, facts.bayer) == (2, 0.5, None)
    assert (facts.can_cool, facts.has_shutter) == (True, False)


def test_a_camera_that_tells_little(server: Stub) -> None:
    facts = camera(server, electronsperadu=LACKS, fullwellcapacity=0, maxadu=LACKS,
                   pixelsizex=0, maxbinx=LACKS, sensortype=LACKS).facts()  # fmt: skip
    assert facts.gain_e_adu is facts.full_well_e is facts.max_adu is facts.pixel_um is None
    assert facts.max_binning == 1


@pytest.mark.parametrize(
    ("x", "y", "pattern"), [(0, 0, "RGGB"), (1, 0, "GRBG"), (0, 1, "GBRG"), (1, 1, "BGGR")]
)
def test_colour_patterns(server: Stub, x: int, y: int, pattern: str) -> None:
    assert camera(server, sensortype=2, bayeroffsetx=x, bayeroffsety=y).facts().bayer == pattern


def test_camera_states(server: Stub) -> None:
    device = AlpacaCamera(server.settings())
    for said, state in enumerate(CameraState):
        server.on("GET camerastate", value(said))
        assert device.state() is state


@pytest.mark.parametrize("said", [-300, 1e6, math.nan])
def test_a_sensor_below_absolute_zero_is_refused(server: Stub, said: float) -> None:
    server.on("GET ccdtemperature", value(said))
    with pytest.raises(DeviceNonsense, match="ccdtemperature"):
        AlpacaCamera(server.settings()).temperature()


def test_binning_reads_the_whole_sensor(server: Stub) -> None:
    device = camera(server)
    for name in ("binx", "biny", "startx", "starty", "numx", "numy"):
        server.on(f"PUT {name}", reply())
    device.set_binning(2)
    sent = {k: v for _, fields in server.seen for k, v in fields.items() if not k.startswith("Cl")}
    assert sent == {"BinX": "2", "BinY": "2", "StartX": "0", "StartY": "0", "NumX": "150",
                    "NumY": "100"}  # fmt: skip
    calls = server.calls()
    assert calls.index("PUT biny") < calls.index("PUT numx")


def test_the_cooler(server: Stub) -> None:
    server.on("PUT setccdtemperature", reply())
    server.on("PUT cooleron", reply())
    device = AlpacaCamera(server.settings())
    device.set_temperature(-10)
    device.set_temperature(None)
    assert server.calls() == ["PUT setccdtemperature", "PUT cooleron", "PUT cooleron"]
    assert [f.get("CoolerOn") for _, f in server.seen] == [None, "True", "False"]


def test_apparent_places_move_slowly(server: Stub) -> None:
    """A minute's difference of clocks is nothing to a mount."""
    one, later = (apparent(10, 10, NIGHT + timedelta(seconds=s)) for s in (0, 60))
    assert separation_arcsec(one, later) < 0.1
