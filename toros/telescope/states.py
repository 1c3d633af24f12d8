"""The states of a night, and the only ways from one to another.

The table is the whole truth: what it does not list cannot happen. The diagram in the
documentation is drawn from it.
"""

from __future__ import annotations

from enum import StrEnum

from toros.errors import NotInThisState


class State(StrEnum):
    """What the night is at."""

    CLOSED = "closed"
    PREPARING = "preparing"
    OPEN = "open"
    OBSERVING = "observing"
    CALIBRATING = "calibrating"
    SUSPENDED = "suspended"
    CLOSING = "closing"
    ERROR = "error"


class Event(StrEnum):
    """What makes a night change its state."""

    PREPARE = "prepare"
    OPENED = "opened"
    OBSERVE = "observe"
    IDLE = "idle"
    CALIBRATE = "calibrate"
    CALIBRATED = "calibrated"
    SHUT = "shut"
    CLOSE = "close"
    CLOSED = "closed"
    FAULT = "fault"
    ACKNOWLEDGE = "acknowledge"


MEANINGS: dict[State, str] = {
    State.CLOSED: "no night: dome closed, telescope parked",
    State.PREPARING: "devices connected, camera cooled; waiting to be allowed to open",
    State.OPEN: "dome open, nothing to do yet or any more",
    State.OBSERVING: "at a target",
    State.CALIBRATING: "taking biases, darks or flats",
    State.SUSPENDED: "dome closed in mid-night, by weather or by a person",
    State.CLOSING: "parking, closing, handing the night over",
    State.ERROR: "latched until a person acknowledges it; telescope parked, dome closed",
}
"""What each state means, for people."""

TABLE: dict[tuple[State, Event], State] = {
    (State.CLOSED, Event.PREPARE): State.PREPARING,
    (State.CLOSED, Event.CALIBRATE): State.CALIBRATING,
    (State.PREPARING, Event.OPENED): State.OPEN,
    (State.PREPARING, Event.CALIBRATE): State.CALIBRATING,
    (State.PREPARING, Event.CLOSE): State.CLOSING,
    (State.OPEN, Event.OBSERVE): State.OBSERVING,
    (State.OPEN, Event.CALIBRATE): State.CALIBRATING,
    (State.OPEN, Event.SHUT): State.SUSPENDED,
    (State.OPEN, Event.CLOSE): State.CLOSING,
    (State.OBSERVING, Event.IDLE): State.OPEN,
    (State.OBSERVING, Event.SHUT): State.SUSPENDED,
    (State.OBSERVING, Event.CLOSE): State.CLOSING,
    (State.CALIBRATING, Event.CALIBRATED): State.OPEN,
    (State.CALIBRATING, Event.SHUT): State.SUSPENDED,
    (State.CALIBRATING, Event.PREPARE): State.PREPARING,
    (State.CALIBRATING, Event.CLOSE): State.CLOSING,
    (State.CALIBRATING, Event.CLOSED): State.CLOSED,
    (State.SUSPENDED, Event.OPENED): State.OPEN,
    (State.SUSPENDED, Event.CALIBRATE): State.CALIBRATING,
    (State.SUSPENDED, Event.CLOSE): State.CLOSING,
    (State.CLOSING, Event.CALIBRATE): State.CALIBRATING,
    (State.CLOSING, Event.CLOSED): State.CLOSED,
    (State.ERROR, Event.ACKNOWLEDGE): State.CLOSING,
    **{(state, Event.FAULT): State.ERROR for state in State if state is not State.ERROR},
}
"""From a state, by an event, to a state."""

LIGHT_STATES = frozenset({State.OPEN, State.OBSERVING, State.CALIBRATING})
"""The states in which the telescope may look at the sky, if the dome is open."""


def after(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises
    ------
    NotInThisState
        The table knows no such way.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        possible = ", ".join(e for s, e in TABLE if s is state)
        raise NotInThisState(
            f"{event} cannot happen while the night is {state} ({MEANINGS[state]}); "
            f"possible now: {possible}"
        ) from None


def diagram() -> str:
    """Draw the table as a Graphviz graph."""
    lines = ["digraph night {", '  rankdir="LR";', "  node [shape=box, style=rounded];"]
    lines += [f'  {state} [tooltip="{MEANINGS[state]}"];' for state in State]
    lines += [
        f'  {before} -> {then} [label="{event}"];'
        for (before, event), then in TABLE.items()
        if event is not Event.FAULT
    ]
    lines.append('  any [label="any state", style="rounded,dashed"];')
    lines.append(f'  any -> {State.ERROR} [label="{Event.FAULT}", style=dashed];')
    return "\n".join([*lines, "}"])
