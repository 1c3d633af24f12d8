"""A third-party Alpaca observatory for the tests, and the fault proxy in front of it.

Both are real processes on loopback, ended by their process id. What the tests ask the
observatory itself, past the proxy, is the truth that a driver's word is held against.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml
from astropy.coordinates import TETE, get_sun
from astropy.time import Time
from astropy.utils import iers

from tests.conftest import free_port, missing_part
from toros.simulation.sky import StarField

BIN = Path(sys.executable).parent
INSTALL = "pip install alpaca-simulators"
START_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 20.0
LATITUDE_DEG = -24.63
Place = tuple[float, float]


class AlpacaFault(Exception):
    """The observatory's own refusal of a call."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"{number:#x}: {message}")
        self.number = number


class AlpacaObservatory:
    """The Alpaca simulators, all devices number 0, at a site where it is night now.

    Parameters
    ----------
    folder : Path
        Holds its configuration, its stars and its log; made if need be.
    places : sequence of (float, float), ICRS [deg], optional
        Where there are stars; `dark_places` of its site by default.
    site : (float, float, float), optional
        Longitude, latitude [deg], height [m]; `dark_site` of this moment by default.
    changes : dict, optional
        Over the observatory's configuration, such as
        ``{"devices": {"telescope": {0: {"slew_rate": 3.0}}}}``.
    """

    shape = (192, 256)
    """(ny, nx) of its camera [pixel]; at 2 m focal length a pixel is 1.03 arcsec."""

    def __init__(
        self,
        folder: Path,
        places: Iterable[Place] | None = None,
        site: tuple[float, float, float] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        self.site = site or dark_site(now)
        self.places = tuple(places if places is not None else dark_places(self.site, now))
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.configuration = folder / "simulators.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self._turns = 0
        self._settings = _template()
        self._configure(changes or {})

    def _configure(self, changes: Mapping[str, Any]) -> None:
        settings = self._settings
        stars = self.folder / "stars.db"
        write_stars(stars, self.places)
        longitude, latitude, height = self.site
        ny, nx = self.shape
        _merge(
            settings,
            {
                "tap_source": str(stars),
                "devices": {
                    "telescope": {
                        0: {
                            "sitelongitude": longitude,
                            "sitelatitude": latitude,
                            "siteelevation": height,
                            "focallength": 2.0,
                            "aperturediameter": 0.5,
                            "slew_rate": 45.0,
                            "equatorialsystem": 2,  # J2000, as its frames are
                        }
                    },
                    "camera": {0: {"cameraxsize": nx, "cameraysize": ny, "numx": nx, "numy": ny}},
                    "covercalibrator": {0: {"calibratorstate": 1}},  # there is a lamp, off
                },
            },
        )
        _merge(settings, changes)
        self._write_configuration()
        # Its libraries must not look for Earth rotation data on the network.
        astropy = self.folder / "astropy" / "astropy.cfg"
        astropy.parent.mkdir(exist_ok=True)
        astropy.write_text("[utils.iers.iers]\nauto_download = False\n", "utf-8")

    def _write_configuration(self) -> None:
        self.configuration.write_text(yaml.safe_dump(self._settings), "utf-8")

    def start(self) -> Self:
        """Start it and wait until it answers; state from before is forgotten."""
        program = BIN / "alpaca-simulators"
        if not program.exists():
            missing_part("the Alpaca simulators", INSTALL)
        arguments = ["--host", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--config", str(self.configuration)]
        self.process = start_process([str(program), *arguments], self.folder)
        wait_until_answers(self.process, self.folder, lambda: self.get("dome/0/connected"))
        return self

    def get(self, path: str) -> Any:
        """Ask, past any proxy, such as ``get("dome/0/shutterstatus")``; return the Value."""
        return alpaca_call(self.address, "GET", path)

    def put(self, path: str, **parameters: Any) -> Any:
        """Command, past any proxy, such as ``put("safetymonitor/0/issafe", IsSafe=False)``."""
        return alpaca_call(self.address, "PUT", path, parameters)

    def reset(self) -> None:
        """Bring every device back to the state it was started with.

        An exposure that was aborted still goes on inside the simulators: its frame is ready
        when its time is over, as if nobody had aborted it.
        """
        # Turns of the dome are numbered, and one that is under way still ends: it must not be
        # taken for one that begins after the reset.
        self._turns += 1000
        self._settings["devices"]["dome"][0]["slew_gen"] = self._turns
        self._write_configuration()
        alpaca_call(self.address, "GET", "/reload")

    def set_sunlight(self, on: bool) -> None:
        """Let the sun shine into the camera, as it does in twilight."""
        alpaca_call(self.address, "PUT", f"/sunlight?state={str(on).lower()}")

    def pause(self) -> None:
        """Stop the process with SIGSTOP: connections are accepted, nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process with -9; `start` starts it again at the same address."""
        if self.process is not None:
            end_process(self.process)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class FaultProxy:
    """``toros rehearse proxy`` as a process between a driver and a server.

    Parameters
    ----------
    folder : Path
        Holds its log; made if need be.
    server : str
        Address of the Alpaca server.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.server = server
        self.address = f"127.0.0.1:{free_port()}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait until it answers; it has no faults then."""
        command = [str(BIN / "toros"), "rehearse", "proxy"]
        command += ["--listen", self.address, "--to", self.server]
        self.process = start_process(command, self.folder)
        wait_until_answers(self.process, self.folder, self.faults)
        return self

    def fault(self, kind: str, calls: str, **options: Any) -> int:
        """Add a fault, such as ``fault("hang", "PUT dome/*/closeshutter", count=1)``.

        Returns its id. Kinds and options: docs/how-to/rehearse-device-faults.md.
        """
        fault = {"fault": kind, "calls": calls, **options}
        return int(self._control("POST", "/faults", fault)["id"])

    def clear(self, fault_id: int | None = None) -> None:
        """Take one fault away, or all; calls that they hold are let go."""
        self._control("DELETE", "/faults" if fault_id is None else f"/faults/{fault_id}")

    def faults(self) -> list[dict[str, Any]]:
        """List the faults and how often each has hit."""
        return list(self._control("GET", "/faults"))

    def calls(self, pattern: str = "*") -> list[dict[str, Any]]:
        """List the calls seen, oldest first, such as ``calls("PUT dome/*/closeshutter")``.

        ``arrived_s``, ``forwarded_s`` and ``ended_s`` are this machine's `time.monotonic`.
        """
        return list(self._control("GET", "/calls?" + urllib.parse.urlencode({"calls": pattern})))

    def forget_calls(self) -> None:
        """Forget the calls seen so far."""
        self._control("DELETE", "/calls")

    def pause(self) -> None:
        """Stop the process with SIGSTOP: the network swallows everything."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process with -9: connections are refused until `start`."""
        if self.process is not None:
            end_process(self.process)

    def _control(self, verb: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        return json.loads(_http(self.address, verb, path, data, "application/json"))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def site_with_sun_at(
    now: datetime, altitude_deg: float, *, rising: bool = False
) -> tuple[float, float, float]:
    """Return longitude, latitude [deg] and height [m] where the sun stands at an altitude now.

    From -40 to 40 deg there is such a site on every day of the year.
    """
    with iers.conf.set_temp("auto_download", False):
        moment = Time(now)
        sun = get_sun(moment).transform_to(TETE(obstime=moment))
        greenwich_deg = moment.sidereal_time("apparent", "greenwich").deg
    latitude, declination = math.radians(LATITUDE_DEG), sun.dec.rad
    sine = math.sin(math.radians(altitude_deg)) - math.sin(latitude) * math.sin(declination)
    hour_angle = math.degrees(math.acos(sine / (math.cos(latitude) * math.cos(declination))))
    longitude = sun.ra.deg + (-hour_angle if rising else hour_angle) - greenwich_deg
    return float((longitude + 180) % 360 - 180), LATITUDE_DEG, 1000.0


def dark_site(now: datetime) -> tuple[float, float, float]:
    """Return a site where it is dark now and stays so for five hours and more."""
    return site_with_sun_at(now, -35.0)


def dark_places(site: tuple[float, float, float], now: datetime) -> list[Place]:
    """Return places in the sky that stand higher than 45 deg for the next hours, ICRS [deg]."""
    with iers.conf.set_temp("auto_download", False):
        meridian = float(Time(now).sidereal_time("mean", "greenwich").deg) + site[0]
    return [
        ((meridian + east) % 360, site[1] + north)
        for east in (10.0, 25.0, 40.0)
        for north in (-15.0, 0.0, 15.0)
    ]


def write_stars(path: Path, places: Iterable[Place], radius_deg: float = 0.12) -> None:
    """Write the stars of `star_field` around places as the simulators read them."""
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE gaia_sources (ra REAL, dec REAL, pmra REAL, pmdec REAL,"
            " phot_g_mean_mag REAL, phot_bp_mean_mag REAL, phot_rp_mean_mag REAL)"
        )
        for place in places:
            database.executemany(
                "INSERT INTO gaia_sources VALUES (?, ?, 0, 0, ?, ?, ?)",
                [
                    (star.ra_deg, star.dec_deg, star.v_mag, star.v_mag + 0.3, star.v_mag - 0.5)
                    for star in star_field(place, radius_deg).stars
                ],
            )


def star_field(place: Place, radius_deg: float = 0.12) -> StarField:
    """Return the stars around a place, the same at each call."""
    return StarField.random(*place, radius_deg, magnitudes=(9.0, 16.0), per_arcmin2=1.0, seed=7)


def alpaca_call(
    address: str, verb: str, path: str, parameters: Mapping[str, Any] | None = None
) -> Any:
    """Make an Alpaca call without any client library.

    A path with a leading slash is taken as it is, the answer too.

    Raises
    ------
    AlpacaFault
        The answer bears an error number.
    OSError
        No answer, or one with another HTTP status than 200.
    """
    full = path if path.startswith("/") else f"/api/v1/{path}"
    form = urllib.parse.urlencode(parameters or {}).encode() if verb == "PUT" else None
    answer = json.loads(_http(address, verb, full, form, "application/x-www-form-urlencoded"))
    if path.startswith("/"):
        return answer
    if answer["ErrorNumber"]:
        raise AlpacaFault(answer["ErrorNumber"], answer["ErrorMessage"])
    return answer.get("Value")


def start_process(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own; what it says goes to ``log`` in `folder`."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
            env=environment, start_new_session=True,
        )  # fmt: skip


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group at once, paused or not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def wait_until_answers(process: subprocess.Popen[bytes], folder: Path, ask: Any) -> None:
    """Wait until a server that was just started answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            ask()
        except OSError:
            said = (folder / "log").read_text("utf-8", "replace")[-4000:]
            code = process.poll()
            assert code is None, f"ended with {code}: {said}"
            if time.monotonic() > deadline:
                end_process(process)
                raise AssertionError(f"does not answer: {said}") from None
            time.sleep(0.05)
        else:
            return


def _http(address: str, verb: str, path: str, data: bytes | None, kind: str) -> bytes:
    request = urllib.request.Request(f"http://{address}{path}", data=data, method=verb)
    if data is not None:
        request.add_header("Content-Type", kind)
    try:
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")[:1000]
        raise OSError(f"{verb} {path}: HTTP {error.code}: {said}") from error


def _template() -> dict[str, Any]:
    """Return the simulators' own configuration, all devices in it."""
    from importlib.util import find_spec

    package = find_spec("alpaca_simulators")
    if package is None or package.origin is None:
        missing_part("the Alpaca simulators", INSTALL)
    assert package is not None
    assert package.origin is not None
    text = (Path(package.origin).parent / "config" / "template.yaml").read_text("utf-8")
    settings: dict[str, Any] = yaml.safe_load(text)
    return settings


def _merge(settings: dict[Any, Any], changes: Mapping[Any, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(settings.get(key), dict):
            _merge(settings[key], value)
        else:
            settings[key] = value
