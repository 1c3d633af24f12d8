"""What people are told of an event: a subject and a text, the same for mail and chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toros.notify.bundle import one_line

_CHARS = 200
_BEST = 5


def subject(facts: Mapping[str, Any], revision: int) -> str:
    """Return one line that names the event, the notice's kind and the lists' revision."""
    mock = "MOCK " if facts.get("is_test") else ""
    return one_line(
        f"[TOROS] {mock}{facts['event']}: {facts['kind']} (revision {revision})", _CHARS
    )


def text(
    facts: Mapping[str, Any],
    summary: Mapping[str, Any],
    lists: Mapping[str, Mapping[str, Any]],
    revision: int,
) -> str:
    """Return the report of an event in some lines of plain text.

    Parameters
    ----------
    facts : mapping
        What the notice says, as `toros.lvcgcn.files.facts_of`.
    summary : mapping
        As `toros.lvcgcn.answer.Answer.summary`.
    lists : mapping
        Each observatory's list, as `toros.lvcgcn.targets.as_json`.
    revision : int
        Of the lists.
    """
    lines = [subject(facts, revision), ""]
    if facts.get("is_retraction"):
        lines += ["The event is RETRACTED; its targets are withdrawn.", ""]
    elif summary.get("area_90_deg2") is None:
        lines += ["It tells no place on the sky; there is nothing to point at.", ""]
    lines += [f"{name}: {one_line(value, _CHARS)}" for name, value in _said(facts) if value]
    lines += [f"{name}: {value}" for name, value in _region(summary)]
    if summary.get("area_90_deg2") is not None:  # else the lists are empty, and not by the night
        for observatory, made in lists.items():
            lines += ["", *_list(observatory, made)]
    lines += [
        "",
        *(
            f"{one_line(name, 40)}: {one_line(link, _CHARS)}"
            for name, link in facts["links"].items()
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def retraction_text(event: str, reason: str, revision: int) -> str:
    """Return what is told when a person withdraws an event."""
    why = f": {one_line(reason, _CHARS)}" if reason else ""
    return (
        f"[TOROS] {one_line(event, _CHARS)}: withdrawn by hand (revision {revision}){why}\n\n"
        "Its targets are withdrawn at every observatory.\n"
    )


def _said(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    far = facts["far_hz"]
    shares = {**facts["classification"], **facts["properties"]}
    position = facts["position"]
    significant = {None: "", True: "yes", False: "NO"}[facts["significant"]]
    return [
        ("Mission", facts["mission"]),
        ("Notice", f"{facts['kind']}, issued {facts['issued']}"),
        ("A kind that is not known here", "" if facts["is_known"] else "read as far as could be"),
        ("Event time", facts["event_time"] or ""),
        ("Significant", significant),
        ("Instruments", ", ".join(facts["instruments"])),
        ("Found by", " ".join(filter(None, (facts["group"], facts["pipeline"], facts["search"])))),
        ("False alarms", "" if not far else f"one in {1 / far / 31557600.0:.3g} years"),
        (
            "Probabilities",
            ", ".join(f"{key} {value:.0%}" for key, value in shares.items() if value),
        ),
        (
            "Position",
            ""
            if not position
            else f"RA {position['ra_deg']:.5f} Dec {position['dec_deg']:+.5f} deg (ICRS), "
            f"error {position['error_deg']:.4g} deg",
        ),
    ]


def _region(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    told = []
    if summary.get("area_90_deg2") is not None:
        areas = f"{summary['area_50_deg2']:.4g} and {summary['area_90_deg2']:.4g} deg2"
        told.append(("50 % and 90 % areas", areas))
    if summary.get("distance_mpc") is not None:
        distance = f"{summary['distance_mpc']:.4g} +- {summary['distance_error_mpc']:.3g} Mpc"
        told.append(("Distance", distance))
    if summary.get("volume_90_mpc3") is not None:
        told.append(("90 % volume", f"{summary['volume_90_mpc3']:.4g} Mpc3"))
    if summary.get("galaxies"):
        told.append(("Galaxies in it", f"{summary['galaxies']}, weighted: {summary['weight']}"))
    return told


def _list(observatory: str, made: Mapping[str, Any]) -> list[str]:
    targets = made["targets"]
    if not targets:
        why = made.get("reason") or "nothing of it can be observed in this night"
        return [f"{observatory}: no targets ({why})"]
    covered = targets[-1]["cumulative_probability"]
    lines = [f"{observatory}: {len(targets)} targets with {covered:.1%} of the probability"]
    for target in targets[:_BEST]:
        lines.append(
            f"  {target['rank']:3d}. {one_line(target['name'], 40):24s} "
            f"RA {target['ra_deg']:9.5f}  Dec {target['dec_deg']:+9.5f}  "
            f"{target['probability']:6.2%}  best {target['best_time'][11:16]} UTC "
            f"at airmass {target['airmass']:.2f}"
        )
    return lines
