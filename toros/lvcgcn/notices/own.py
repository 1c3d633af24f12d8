"""VOEvents that robots of this package have written, read back."""

from __future__ import annotations

from toros.lvcgcn.notices.fields import as_name, as_serial, as_time
from toros.lvcgcn.notices.identity import identity
from toros.lvcgcn.notices.notice import Notice
from toros.lvcgcn.notices.places import position_of_voevent
from toros.lvcgcn.notices.xml_text import VOEvent

MISSION = "TOROS"
KIND = "TOROS_Candidates"
KIND_PARAM = "Notice_Kind"
EVENT_PARAM = "Event"
SERIAL_PARAM = "Pkt_Ser_Num"


def is_own(voevent: VOEvent) -> bool:
    """Tell whether a VOEvent lists candidates as `write_voevent` does."""
    return KIND_PARAM in voevent.params and voevent.value(KIND_PARAM) == KIND


def read_own(voevent: VOEvent) -> Notice:
    """Read a list of candidates: an event of its own, beside the one that it is about.

    Raises
    ------
    NoticeRefused
    """
    return Notice(
        event=as_name(EVENT_PARAM, MISSION, voevent.value(EVENT_PARAM)),
        mission=MISSION,
        kind=KIND,
        identity=identity(voevent.ivorn),
        issued=as_time("Who/Date", voevent.date),
        format="voevent",
        ivorn=voevent.ivorn,
        serial=as_serial(SERIAL_PARAM, voevent.value(SERIAL_PARAM)),
        is_retraction=any(how == "retraction" for how, _ in voevent.citations),
        is_test=voevent.role == "test",
        event_time=as_time("ISOTime", voevent.time) if voevent.time else None,
        position=position_of_voevent(voevent.coordinates, None),
    )
