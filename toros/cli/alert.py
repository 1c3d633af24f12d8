"""``toros alert``: archived notices, sent again for a rehearsal."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import click

from toros.cli.output import complain, exits, json_option, progress_bar, tell_json
from toros.clock import REAL, to_iso
from toros.lvcgcn.reception.replay import (
    Archived,
    DeskSender,
    FolderSender,
    KafkaSender,
    Sender,
    pauses_as_archived,
    read_archived,
)
from toros.lvcgcn.reception.serving import VtpSender, check_voevents

VTP_PORT = 8099


@click.group(name="alert")
def alert_group() -> None:
    """Rehearse what the alert robot does."""


@alert_group.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)  # fmt: skip
@click.option("--pace", "pace_s", type=click.FloatRange(min=0), default=1.0, show_default=True,
              help="Seconds between two notices.")  # fmt: skip
@click.option("--like-archived", is_flag=True, help="Pause as when they came the first time.")
@click.option("--vtp", "port", type=click.IntRange(0, 65535), metavar="PORT",
              help=f"Be a VOEvent broker on this port of 127.0.0.1; 0 for a free one. The default, "
              f"on port {VTP_PORT}.")  # fmt: skip
@click.option("--kafka", "servers", metavar="HOST:PORT",
              help="Produce to a Kafka broker of your own, one without a login.")  # fmt: skip
@click.option("--topic", help="The topic, with --kafka.")
@click.option("--folder", type=click.Path(path_type=Path),
              help="Put them into a folder that the robot watches.")  # fmt: skip
@click.option("--front-desk", "url", help="Send process_alert orders to this address.")
@click.option("--user", help="User name, with --front-desk; password in TOROS_PASSWORD.")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0.1), default=300.0, show_default=True,
              help="How long a VOEvent broker waits for the robot, in seconds.")  # fmt: skip
@json_option
@exits
def replay(
    files: tuple[Path, ...],
    pace_s: float,
    like_archived: bool,
    port: int | None,
    servers: str | None,
    topic: str | None,
    folder: Path | None,
    url: str | None,
    user: str | None,
    wait_s: float,
    as_json: bool,
) -> None:
    """Send archived notices to the robot again, through a local broker.

    The robot receives them as it does at night. What it does with them is what its settings say:
    a real event's notice makes it tell everybody, so rehearse with a configuration of its own, or
    with mock events (MS...). A FILE is one of the archive or any other.
    """
    _check_ways(port=port, servers=servers, topic=topic, folder=folder, url=url)
    notices = read_archived(files)
    pauses = pauses_as_archived(notices) if like_archived else [0.0] + [pace_s] * (len(files) - 1)
    sender: Sender
    if servers is not None:
        sender = KafkaSender(servers, topic or "")
    elif folder is not None:
        sender = FolderSender(folder)
    elif url is not None:
        sender = DeskSender(url, user, os.environ.get("TOROS_PASSWORD"))
    else:
        check_voevents(notices)
        sender = VtpSender(VTP_PORT if port is None else port, wait_s)
    with sender:
        if isinstance(sender, VtpSender):
            _explain(sender)
        told = _send(sender, notices, pauses, as_json=as_json)
    if as_json:
        tell_json({"to": sender.place, "sent": len(told), "notices": told})
    else:
        notices_sent = "1 notice" if len(told) == 1 else f"{len(told)} notices"
        complain(
            f"{notices_sent} sent to {sender.place}; what the robot made of them: "
            "toros-submit lvcgcn list_events"
        )


def _check_ways(**ways: object) -> None:
    given = [name for name, value in ways.items() if value is not None and name != "topic"]
    if len(given) > 1:
        raise click.UsageError("choose one of --vtp, --kafka, --folder, --front-desk")
    if (ways["servers"] is None) != (ways["topic"] is None):
        raise click.UsageError("--kafka and --topic go together, such as --topic igwn.gwalert")


def _explain(sender: VtpSender) -> None:
    complain(f"A VOEvent broker listens on {sender.place}; the robot finds it with")
    complain("")
    complain(f"Lvcgcn:\n  VTP:\n    - Name: rehearsal\n      Address: {sender.place}")
    complain("")
    complain("It waits for the robot to connect; Ctrl-C ends it")
    sender.await_subscriber()


def _send(
    sender: Sender, notices: list[Archived], pauses: list[float], *, as_json: bool
) -> list[dict[str, Any]]:
    told = []
    with progress_bar(total=len(notices), desc="notices", unit="notice") as bar:
        for notice, pause_s in zip(notices, pauses, strict=True):
            _pause(sender, pause_s)
            began = REAL.now()
            outcome = sender.send(notice)
            told.append(
                {
                    "file": str(notice.path),
                    "bytes": len(notice.raw),
                    "sha256": hashlib.sha256(notice.raw).hexdigest(),
                    "sent": to_iso(began),
                    "outcome": outcome,
                }
            )
            bar.update()
            if not as_json:
                with bar.external_write_mode():
                    click.echo(f"{began:%H:%M:%S} {notice.path.name}: {outcome}")
    return told


def _pause(sender: Sender, seconds: float) -> None:
    """Wait; a long pause is told, so that nobody takes it for a hang."""
    if seconds > 60:
        until = time.strftime("%H:%M:%S", time.gmtime(time.time() + seconds))
        complain(f"the next notice goes out at {until} UTC")
    sender.pause(seconds)
