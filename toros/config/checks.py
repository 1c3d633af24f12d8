"""Checks of settings against each other and against this machine."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from toros.config.kinds import Kind, duplicates
from toros.config.network import ServiceAddress
from toros.config.problems import Problem, got
from toros.config.sections import SERVICES, Settings
from toros.config.shape import Place

_COMMON = (
    "Observatory",
    "Logging",
    "Database",
    "State Folder",
    "Admin Emails",
    "Email Configuration",
    "Front Desk",
    "Rehearsal",
)


def address_section(service: str) -> str:
    """Return the name of the section with a daemon's address."""
    return f"{service.capitalize()} Service Address"


USED_SECTIONS: dict[str, frozenset[str]] = {
    service: frozenset((*_COMMON, *map(address_section, (service, *calls)), *own))
    for service, calls, own in (
        ("preprocessor", (), ("Preprocessor",)),
        ("telescope", ("dome", "preprocessor", "lvcgcn"), ("Telescope", "Dome", "Preprocessor")),
        ("dome", (), ("Dome",)),
        ("lvcgcn", ("telescope",), ("Other Observatories", "Telescope", "Lvcgcn")),
    )
}
"""The sections that each daemon uses: its own, and those of the daemons that it sends orders to."""


def problems_between(settings: Settings, service: str | None) -> Iterator[Problem]:
    """Find what is wrong between settings that are right one by one.

    Parameters
    ----------
    settings : Settings
        The settings.
    service : str, optional
        The daemon that they are for; None for all.
    """
    yield from _observatories(settings)
    yield from _ports(settings)
    for name in SERVICES:
        yield from _http(settings, name)
    for name in SERVICES if service is None else (service,):
        yield from _exposure(settings, name)
    yield from _users(settings)
    yield from _tls(settings)
    yield from _database(settings)
    yield from _email(settings)
    yield from _folders(settings, service)
    yield from _night(settings)
    yield from _kafka(settings, service)


def _night(settings: Settings) -> Iterator[Problem]:
    """Find what would let a night end badly, though each setting is right."""
    folder, sources = settings.telescope.exposures_folder, settings.preprocessor.sources
    assert folder is not None
    taken = any(folder.is_relative_to(root) for root in sources.folders)
    if settings.telescope.stage > 1 and not taken:
        yield Problem(
            ("Telescope", "Exposures Folder"),
            f"{got(str(folder))} is below none of Preprocessor / Sources / Folders; expected a "
            "folder that the preprocessor may take files from",
            warning=True,
        )
    dome = settings.dome
    if dome.enclosure == "roll-off" and "none" == dome.mount.driver != dome.device.driver:
        yield Problem(
            ("Dome", "Mount"),
            "got none: the roof closes without knowing whether the telescope is parked; expected "
            "the mount, so that it can be parked first",
            warning=True,
        )


def _kafka(settings: Settings, service: str | None) -> Iterator[Problem]:
    kafka = settings.lvcgcn.kafka
    if kafka.client_id and not kafka.servers and kafka.client_secret is None:
        yield Problem(
            ("Lvcgcn", "Kafka", "Client Secret"),
            "missing; expected the secret of the Client Id, here or, when the daemon starts, in "
            "TOROS_KAFKA_SECRET or the systemd credential kafka-secret",
            # Whoever only checks the file has neither the daemon's environment nor its credentials.
            warning=service is None,
        )


def _observatories(settings: Settings) -> Iterator[Problem]:
    site = settings.observatory
    place = {
        "Longitude (deg)": site.longitude_deg,
        "Latitude (deg)": site.latitude_deg,
        "Height (m)": site.height_m,
    }
    missing = [key for key, value in place.items() if value is None]
    if 0 < len(missing) < len(place):
        for key in missing:
            yield Problem(
                ("Observatory", key),
                f"missing; expected a value, since {_others(place, missing)} is given",
            )
    names = [other.name for other in settings.other_observatories]
    if site.name:
        names.append(site.name)
    for name in duplicates(names):
        yield Problem(
            ("Other Observatories",), f"{got(name)} twice; expected each observatory once by name"
        )


def _others(place: dict[str, float | None], missing: list[str]) -> str:
    return " and ".join(key for key in place if key not in missing)


def _ports(settings: Settings) -> Iterator[Problem]:
    for one, other in combinations(SERVICES, 2):
        first, second = settings.service(one), settings.service(other)
        if first.port == second.port and _same_address(first, second):
            # The line that was edited is the one to look at.
            edited, found = (other, one) if "port" in second.model_fields_set else (one, other)
            yield Problem(
                (address_section(edited), "Port"),
                f"{got(second.port)}, which is the port of {address_section(found)} too; "
                "expected a port of its own for each daemon",
                services=frozenset((one, other)),
            )


def _same_address(one: ServiceAddress, other: ServiceAddress) -> bool:
    ips = {ipaddress.ip_address(one.ip), ipaddress.ip_address(other.ip)}
    return len(ips) == 1 or any(ip.is_unspecified for ip in ips)


def _http(settings: Settings, service: str) -> Iterator[Problem]:
    address = settings.service(service)
    place: Place = (address_section(service), "HTTP")
    if contradiction := address.contradiction():
        yield Problem(
            place,
            f"{_url(address.http)}, which {contradiction}; expected "
            f"{address.default_http('http')}, or Behind Proxy: true if a proxy stands between",
        )
    elif (
        settings.front_desk.tls_certificate
        and not address.behind_proxy
        and address.http.startswith("http:")
    ):
        yield Problem(
            place,
            f"{_url(address.http)}; expected https:// with the TLS Certificate of Front Desk",
            warning=True,
        )


def _url(text: str) -> str:
    return got(text, Kind("a url", url=True))


def _exposure(settings: Settings, service: str) -> Iterator[Problem]:
    address = settings.service(service)
    if address.loopback:
        return
    place: Place = (address_section(service), "IP")
    if not settings.front_desk.users:
        yield Problem(
            place,
            f"{got(address.ip)}, which others can reach; expected a loopback address such as "
            "127.0.0.1, or users under Front Desk / Users",
            services=frozenset((service,)),
            depends=frozenset(("Front Desk",)),
        )
    elif not settings.front_desk.tls_certificate and not address.behind_proxy:
        yield Problem(
            place,
            f"{got(address.ip)}: passwords and orders travel in the clear; expected "
            "a TLS Certificate and a TLS Key under Front Desk",
            warning=True,
        )


def _users(settings: Settings) -> Iterator[Problem]:
    seen: set[str] = set()
    for n, user in enumerate(settings.front_desk.users):
        if user.name in seen:
            yield Problem(
                ("Front Desk", "Users", n, "Name"),
                f"{got(user.name)} again; expected each user once",
            )
        seen.add(user.name)


def _tls(settings: Settings) -> Iterator[Problem]:
    desk = settings.front_desk
    files = {"TLS Certificate": desk.tls_certificate, "TLS Key": desk.tls_key}
    for (key, path), other in zip(files.items(), reversed(files), strict=True):
        place: Place = ("Front Desk", key)
        if path is None and files[other] is not None:
            yield Problem(place, f"missing; expected a file, since {other} is given")
        elif path is not None and not (path.is_file() and _may(path, os.R_OK)):
            yield Problem(place, f"{got(str(path))}; expected a file that this process may read")


def _database(settings: Settings) -> Iterator[Problem]:
    from sqlalchemy.engine import make_url

    database, url = settings.database, make_url(settings.database.url)
    if url.get_backend_name() == "sqlite":
        if database.user or database.password:
            yield Problem(
                ("Database", "User" if database.user else "Password"),
                "given for SQLite, which knows neither users nor passwords; "
                "expected none, or the URL of a PostgreSQL database",
                warning=True,
            )
        return
    if database.user and url.username and database.user != url.username:
        yield Problem(
            ("Database", "User"),
            f"{got(database.user)}, but the URL names another; expected the user in one of them",
        )


def _email(settings: Settings) -> Iterator[Problem]:
    email = settings.email
    section = "Email Configuration"
    if settings.admin_emails and not email.server:
        yield Problem(
            ("Admin Emails",),
            f"given, but no mail is sent; expected a mail server under {section} / Server",
            warning=True,
        )
    if bool(email.user) != bool(email.password):
        here, there = ("User", "Password") if email.user else ("Password", "User")
        yield Problem(
            (section, here), f"given without {there}; expected both or neither", warning=True
        )
    if settings.lvcgcn.tell.mail and not email.server:
        yield Problem(
            ("Lvcgcn", "Tell", "Mail"),
            f"given, but no mail is sent; expected a mail server under {section} / Server",
            warning=True,
        )
    local = email.server in (None, "localhost", "127.0.0.1", "::1")
    if email.password and email.security == "none" and not local:
        yield Problem(
            (section, "Security"),
            "got 'none': the password travels in the clear; expected starttls or tls",
            warning=True,
        )


def _folders(settings: Settings, service: str | None) -> Iterator[Problem]:
    state, logs = settings.state_folder, settings.logging.file
    for place, folder in ((("State Folder",), state), (("Logging", "File"), logs.parent)):
        if not _may_become_folder(folder):
            yield Problem(place, f"{got(str(folder))} is not a folder; expected a folder's path")
        elif folder.is_dir() and not _may(folder, os.R_OK | os.W_OK | os.X_OK):
            yield Problem(
                place,
                f"{got(str(folder))} cannot be written; expected a folder of the daemon's user",
                # Whoever only checks the file may be another user than the daemons'; and the
                # dome closes on a read-only disk, too.
                warning=service in (None, "dome"),
            )
    if logs.is_dir():
        yield Problem(("Logging", "File"), f"{got(str(logs))} is a folder; expected a file's path")
    sources = settings.preprocessor.sources
    for n, folder in enumerate(sources.folders):
        if "folders" in sources.model_fields_set and not _may(folder, os.R_OK | os.X_OK):
            yield Problem(
                ("Preprocessor", "Sources", "Folders", n),
                f"{got(str(folder))} cannot be read now; expected a folder to take files from",
                warning=True,
            )


def _may(path: Path, mode: int) -> bool:
    # With the user that opening a file goes by, which after a change of user is the effective one.
    return os.access(path, mode, effective_ids=True)


def _may_become_folder(folder: Path) -> bool:
    """Whether the first of the folder and its parents that exists is a folder."""
    existing = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
    return existing.is_dir()
