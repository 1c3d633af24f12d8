"""An event and its candidates as a VOEvent, for sending on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from toros.errors import AlertError, NoticeRefused
from toros.lvcgcn.notices.fields import ADDRESS_CHARACTERS, as_name, as_number, as_text
from toros.lvcgcn.notices.own import EVENT_PARAM, KIND, KIND_PARAM, SERIAL_PARAM


@dataclass(frozen=True)
class Candidate:
    """What was found, or is to be looked at, where an event has been.

    Parameters
    ----------
    name : str
    ra_deg, dec_deg : float, ICRS [deg]
    error_deg : float [deg]
        Radius of the position's error; 0 if it does not matter.
    probability : float, 0 to 1, optional
        That it is the event's counterpart, or its host.
    magnitude, magnitude_error : float, optional [mag]
    band : str
        Of the magnitude.
    observed : datetime, aware, optional
        Mid-exposure.
    observatory, remark : str
    """

    name: str
    ra_deg: float
    dec_deg: float
    error_deg: float = 0.0
    probability: float | None = None
    magnitude: float | None = None
    magnitude_error: float | None = None
    band: str = ""
    observed: datetime | None = None
    observatory: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Author:
    """Who sends a VOEvent.

    Parameters
    ----------
    ivorn : str
        Without ``ivo://``, e.g. ``org.example/toros``; the VOEvents' names begin with it.
    name, contact, mail : str
        Of the project, and of a person in it.
    """

    ivorn: str
    name: str = ""
    contact: str = ""
    mail: str = ""


def write_voevent(
    event: str,
    candidates: Sequence[Candidate],
    author: Author,
    *,
    issued: datetime,
    event_time: datetime | None = None,
    serial: int = 1,
    cites: Sequence[str] = (),
    how: str = "followup",
    is_test: bool = False,
    importance: float | None = None,
    description: str = "",
) -> bytes:
    """Write candidates of an event as a VOEvent 2.0.

    Parameters
    ----------
    event : str
        The event's name.
    candidates : sequence of Candidate
        The best one first; its position is the VOEvent's.
    author : Author
    issued : datetime, aware
        Now.
    event_time : datetime, aware, optional
        When the event was; else the best candidate's observation, or `issued`.
    serial : int
        Counts the VOEvents on this event from 1; it is part of the VOEvent's name.
    cites : sequence of str
        The VOEvents that this one is about, by their ivorn.
    how : str
        "followup", "supersedes" or "retraction".
    is_test : bool
    importance : float, 0 to 1, optional
    description : str
        A sentence for people.

    Returns
    -------
    bytes
        Valid XML by the schema of VOEvent 2.0; `read_notice` reads it.

    Raises
    ------
    NoticeRefused
        A text or a number cannot stand in a VOEvent; the message names it.
    AlertError
        voevent-parse is not installed.

    References
    ----------
    Seaman et al. 2011, IVOA Recommendation VOEvent 2.0.
    """
    vp = _voeventparse()
    stream = as_text("author", author.ivorn.removeprefix("ivo://"))
    voevent = vp.Voevent(
        stream=stream,
        stream_id=f"{as_name('event', event)}-{serial}",
        role=vp.definitions.roles.test if is_test else vp.definitions.roles.observation,
    )
    _write_who(vp, voevent, author, stream, issued)
    _write_what(vp, voevent, event, serial, candidates)
    _write_where_when(vp, voevent, candidates[:1], event_time, issued)
    _write_why(vp, voevent, event, candidates[:1], importance)
    if cites:
        _write_citations(vp, voevent, cites, how)
    if description:
        voevent.Description = as_text("description", description, ADDRESS_CHARACTERS)
    if not vp.valid_as_v2_0(voevent):
        raise NoticeRefused(f"the VOEvent on {event} would not be valid; expected VOEvent 2.0")
    return bytes(vp.dumps(voevent, pretty_print=True))


def _voeventparse() -> Any:
    try:
        import voeventparse
    except ImportError as error:
        raise AlertError(
            "a VOEvent cannot be written: voevent-parse is not installed "
            "(its source builds on Python 3.11 only)"
        ) from error
    return voeventparse


def _write_who(vp: Any, voevent: Any, author: Author, stream: str, issued: datetime) -> None:
    vp.set_who(voevent, date=_utc(issued).replace(tzinfo=None), author_ivorn=stream)
    given = {"title": author.name, "contactName": author.contact, "contactEmail": author.mail}
    stated = {key: as_text(key, text) for key, text in given.items() if text}
    if stated:
        vp.set_author(voevent, **stated)


def _write_what(
    vp: Any, voevent: Any, event: str, serial: int, candidates: Sequence[Candidate]
) -> None:
    voevent.What.append(vp.Param(KIND_PARAM, KIND, ucd="meta.id"))
    voevent.What.append(vp.Param(EVENT_PARAM, as_text("event", event), ucd="meta.id"))
    voevent.What.append(vp.Param(SERIAL_PARAM, serial))
    for candidate in candidates:
        name = as_text("candidate", candidate.name)
        voevent.What.append(vp.Group(list(_params(vp, candidate)), name=name, type="Candidate"))


def _params(vp: Any, candidate: Candidate) -> Iterator[Any]:
    numbers = (
        ("RA", candidate.ra_deg, 0.0, 360.0, "deg", "pos.eq.ra"),
        ("Dec", candidate.dec_deg, -90.0, 90.0, "deg", "pos.eq.dec"),
        ("Position_Error", candidate.error_deg, 0.0, 180.0, "deg", "stat.error;pos"),
        ("Probability", candidate.probability, 0.0, 1.0, None, "stat.probability"),
        ("Magnitude", candidate.magnitude, -30.0, 40.0, "mag", "phot.mag"),
        ("Magnitude_Error", candidate.magnitude_error, 0.0, 40.0, "mag", "stat.error;phot.mag"),
    )
    for name, number, low, high, unit, ucd in numbers:
        if number is not None:
            value = as_number(f"{candidate.name}: {name}", number, low, high)
            yield vp.Param(name, value, unit=unit, ucd=ucd)
    observed = candidate.observed and _iso(candidate.observed)
    texts = (
        ("Band", candidate.band),
        ("Observed", observed),
        ("Observatory", candidate.observatory),
        ("Remark", candidate.remark),
    )
    for name, text in texts:
        if text:
            yield vp.Param(name, as_text(f"{candidate.name}: {name}", text))


def _write_where_when(
    vp: Any,
    voevent: Any,
    best: Sequence[Candidate],
    event_time: datetime | None,
    issued: datetime,
) -> None:
    if not best:
        voevent.remove(voevent.WhereWhen)  # empty, it is not valid
        return
    candidate = best[0]
    position = vp.Position2D(
        ra=candidate.ra_deg,
        dec=candidate.dec_deg,
        err=candidate.error_deg,
        units="deg",
        system=vp.definitions.sky_coord_system.utc_icrs_geo,
    )
    when = event_time or candidate.observed or issued
    vp.add_where_when(voevent, position, _utc(when), "GEOSURFACE")


# Lists are appended by lxml: voevent-parse's own add_why and add_citations fail since
# Python 3.10, which has no collections.Iterable.


def _write_why(
    vp: Any, voevent: Any, event: str, best: Sequence[Candidate], importance: float | None
) -> None:
    from lxml import etree

    why = etree.SubElement(voevent, "Why")
    if importance is not None:
        why.set("importance", str(as_number("importance", importance, 0, 1)))
    likely = best[0].probability if best else None
    why.append(vp.Inference(probability=likely, relation="associated", name=event))


def _write_citations(vp: Any, voevent: Any, cites: Sequence[str], how: str) -> None:
    from lxml import etree

    etree.SubElement(voevent, "Citations").extend(
        [vp.EventIvorn(as_text("citation", ivorn, ADDRESS_CHARACTERS), how) for ivorn in cites]
    )


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"the time {time} has no zone")
    return time.astimezone(UTC)


def _iso(time: datetime) -> str:
    return _utc(time).isoformat().replace("+00:00", "Z")
