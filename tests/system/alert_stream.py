"""A realistic stream of notices of several missions: sequences, tests, retractions, rubbish.

It is delivered as networks do: repeated, byte by byte or with other blanks, and out of order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from tests.unit.lvcgcn.notices.samples import classic, param, svom, unified
from toros.simulation.notices import make_notice
from toros.simulation.sky_maps import make_sky_map

RUBBISH = b"This is no notice."


@dataclass(frozen=True)
class Sent:
    """A notice, and when it was issued."""

    issued: datetime
    raw: bytes


@cache
def sky_map(area_deg2: float, seed: int) -> bytes:
    """Make a small sky map somewhere near, always the same for the same seed."""
    dice = random.Random(seed)
    return make_sky_map(
        dice.uniform(0, 360), dice.uniform(-70, 70), dice.uniform(20, 150), area_deg2,
        seed=seed, tiles=3072, shape=dice.choice(["arc", "ellipse"]),
    )  # fmt: skip


def make_stream(seed: int, count: int, begin: datetime, hours: float = 6.0) -> list[Sent]:
    """Make at least so many different notices, issued within some hours, in their order."""
    dice = random.Random(seed)
    made: list[Sent] = []
    number = 0
    while len(made) < count:
        number += 1
        first = begin + timedelta(hours=dice.uniform(0, hours))
        kind = dice.choices([_lvk, _swift, _fermi, _svom, _unified, _strange], [3, 3, 3, 2, 3, 1])
        made += kind[0](dice, number, first)
    return sorted(made, key=lambda sent: sent.issued)


def deliver(stream: Sequence[Sent], seed: int, count: int) -> list[bytes]:
    """Deliver each notice once at least, `count` deliveries in all, not in order.

    Most come nearly in order, a quarter of them much later; half of the repetitions have other
    blanks.
    """
    dice = random.Random(seed)
    late_s = {each.raw: dice.choice([0.0, 0.0, 0.0, 3600.0]) for each in stream}
    sent = list(stream) + dice.choices(stream, k=max(0, count - len(stream)))
    moments = []
    for n, each in enumerate(sent):
        delay_s = dice.expovariate(1 / 120.0) + late_s[each.raw]
        is_rewritten = n >= len(stream) and dice.random() < 0.5
        raw = rewritten(each.raw) if is_rewritten else each.raw
        moments.append((each.issued + timedelta(seconds=delay_s), n, raw))
    return [raw for _, _, raw in sorted(moments)]


def rewritten(raw: bytes) -> bytes:
    """Write the same notice with other blanks, as another broker might; not what is none."""
    if raw.startswith(RUBBISH):
        return raw
    if raw.startswith(b"{"):
        content = json.loads(raw)
        return json.dumps(dict(reversed(content.items())), indent=2).encode()
    return raw.replace(b"><", b">\n <") + b"\n"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def _lvk(dice: random.Random, number: int, first: datetime) -> list[Sent]:
    """Make a superevent's sequence; a third are mock, some not significant, some withdrawn."""
    mock = "M" if dice.random() < 0.35 else ""
    event = f"{mock}S{first:%y%m%d}{_letters(number)}"
    significant = dice.random() < 0.7
    kinds: list[Any] = ["PRELIMINARY"] * dice.randint(1, 2) + ["INITIAL"]
    kinds = dice.choice([[], ["EARLYWARNING"]]) + kinds + ["UPDATE"] * dice.randint(0, 2)
    if dice.random() < 0.25:
        kinds.append("RETRACTION")
    made, moment, area = [], first + timedelta(seconds=dice.uniform(5, 40)), 400.0
    for n, kind in enumerate(kinds):
        withdrawn = kind == "RETRACTION"
        content = None if withdrawn else sky_map(area, number % 7 + 7 * (n > 1))
        raw = make_notice(event, kind, moment, first, content, significant=significant)
        made.append(Sent(moment, raw))
        moment += timedelta(seconds=dice.uniform(2, 1500))
        area = max(40.0, area * 0.7) if n > 1 else area
    return made


def _letters(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(97 + digit) + text
    return text


def _place(dice: random.Random, error_deg: float) -> tuple[float, float, float]:
    return (round(dice.uniform(0, 360), 4), round(dice.uniform(-80, 80), 4), error_deg)


def _classic(
    stream: str, number: int, trigger: int, serial: int, moment: datetime, *what: str, **rest: Any
) -> Sent:
    raw = classic(stream, number, *what, trigger=trigger, date=_time(moment), **rest)
    return Sent(
        moment,
        raw.replace(b'-001"', b'-%03d"' % serial).replace(
            b'"Pkt_Ser_Num" value="3"', b'"Pkt_Ser_Num" value="%d"' % serial
        ),
    )


def _swift(dice: random.Random, number: int, first: datetime) -> list[Sent]:
    """Make BAT's alert without a place, its position, XRT's and UVOT's; some are no burst."""
    trigger, place = 900_000 + number, _place(dice, 0.05)
    numbers = [60, 61, 67, 81][: dice.randint(1, 4)]
    made = []
    for serial, packet in enumerate(numbers):
        moment = first + timedelta(seconds=10 + 60 * serial + dice.uniform(0, 30))
        where = None if packet == 60 else (*place[:2], (0.05, 0.05, 0.001, 0.0002)[serial])
        made.append(_classic("SWIFT", packet, trigger, serial, moment, place=where))
    if dice.random() < 0.2:
        moment = first + timedelta(seconds=600)
        flag = param("Def_NOT_a_GRB", "true")
        made.append(_classic("SWIFT", 61, trigger, 9, moment, flag, place=place))
    return made


def _fermi(dice: random.Random, number: int, first: datetime) -> list[Sent]:
    trigger, place = 700_000_000 + number, _place(dice, 8.0)
    made = [_classic("Fermi", 110, trigger, 0, first + timedelta(seconds=5), place=None)]
    for serial, packet in enumerate([111, 112, 115][: dice.randint(1, 3)], 1):
        moment = first + timedelta(seconds=20 * serial + dice.uniform(0, 10))
        where = (*place[:2], 8.0 / serial)
        made.append(_classic("Fermi", packet, trigger, serial, moment, place=where))
    return made


def _svom(dice: random.Random, number: int, first: datetime) -> list[Sent]:
    burst, place = f"sb{number:08d}", _place(dice, 0.15)
    kinds = [(202, "eclairs-wakeup"), (204, "slewing"), (209, "mxt-initial"), (219, "retraction")]
    made = []
    for n, (packet, kind) in enumerate(kinds[: dice.choice([1, 2, 3, 3, 4])]):
        moment = first + timedelta(seconds=15 + 90 * n)
        where = place if packet in (202, 209) else None
        made.append(Sent(moment, svom(packet, kind, burst, date=_time(moment), place=where)))
    return made


def _unified(dice: random.Random, number: int, first: datetime) -> list[Sent]:
    path, error_deg = dice.choice(
        [
            ("einstein_probe/wxt/alert", 0.04),
            ("icecube/gold_bronze_track_alerts", 0.7),
            ("km3net/alert", 1.5),
            ("swift/bat/guano/alert", 0.1),
        ]
    )
    ra, dec, _ = _place(dice, error_deg)
    made = []
    for n in range(dice.randint(1, 3)):
        moment = first + timedelta(seconds=30 + 120 * n)
        raw = unified(
            path,
            alert_datetime=f"{_time(moment)}Z", trigger_time=f"{_time(first)}Z",
            id=[f"x{number}"], event_name=f"x{number}", record_number=n + 1,
            alert_tense="test" if number % 11 == 0 else "current",
            ra=ra, dec=dec, ra_dec_error=error_deg / (n + 1),
        )  # fmt: skip
        made.append(Sent(moment, raw))
    return made


def _strange(dice: random.Random, number: int, first: datetime) -> list[Sent]:
    """Make a kind that nobody knows, and what is no notice at all."""
    if dice.random() < 0.5:
        raw = unified("new_mission/alert", alert_datetime=f"{_time(first)}Z", id=[f"n{number}"])
        return [Sent(first, raw)]
    return [Sent(first, b"%s %d" % (RUBBISH, number))]
