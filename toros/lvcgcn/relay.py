"""Who is told what of an event, and how it travels.

Everything goes through the outbox: recorded together with what it tells of, sent until it
arrives, one recipient after another's failure or not.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from toros import clock
from toros.config import Settings
from toros.database.messages import NewMessage
from toros.errors import AlertError, InvalidField, ServiceUnreachable, TransportRefused
from toros.frontdesk.outbox import Carrier, Outbox, front_desks
from toros.lvcgcn import report
from toros.lvcgcn.files import ASSIGNMENTS, EVENT, PICTURE_PNG, read_json
from toros.lvcgcn.observatories import Observatory
from toros.lvcgcn.own_alert import voevent_of
from toros.notify.mail import Attachment, mail_settings, send
from toros.notify.web import post_json

log = logging.getLogger(__name__)

SERVICE = "lvcgcn"
# Longer notices carry a sky map; it is in the event's folder, and mail servers refuse much less.
_ATTACHED_BYTES = 256 * 1024


class Relay:
    """Makes an event's messages.

    Parameters
    ----------
    settings : Settings
    observatories : sequence of Observatory
    outbox : Outbox
    """

    def __init__(
        self, settings: Settings, observatories: Sequence[Observatory], outbox: Outbox
    ) -> None:
        self._settings = settings
        self._observatories = observatories
        self._outbox = outbox

    def of_notice(
        self,
        facts: Mapping[str, Any],
        summary: Mapping[str, Any],
        lists: Mapping[str, Mapping[str, Any]],
        folder: Path,
        now: datetime,
    ) -> Callable[[Session, int], None]:
        """Make the part of a unit of work that tells everybody what a notice led to."""
        assignments = read_json(folder / ASSIGNMENTS)

        def add(session: Session, revision: int) -> None:
            event = facts["event"]
            text = report.text(facts, summary, lists, revision)
            full = {"notice": dict(facts), "summary": dict(summary), "lists": dict(lists)}
            self._add(
                session,
                [
                    *self._to_telescopes(event, revision, lists, now),
                    *self._to_web(event, revision, text, full, assignments),
                    *self._to_mail(
                        event, revision, report.subject(facts, revision), text, str(folder)
                    ),
                ],
            )

        return add

    def of_retraction(
        self, event: str, reason: str, assignments: Mapping[str, Any], now: datetime
    ) -> Callable[[Session, int], None]:
        """Make the part of a unit of work that tells everybody that a person withdrew an event."""

        def add(session: Session, revision: int) -> None:
            text = report.retraction_text(event, reason, revision)
            empty: dict[str, Any] = {each.name: {"targets": []} for each in self._observatories}
            full = {"notice": {"event": event, "is_retraction": True}, "lists": empty}
            withdrawn = {k: v for k, v in assignments.items() if k != "assignments"}
            subject = text.partition("\n")[0]
            self._add(
                session,
                [
                    *self._to_telescopes(event, revision, empty, now),
                    *self._to_web(event, revision, text, full, withdrawn),
                    *self._to_mail(event, revision, subject, text, ""),
                ],
            )

        return add

    def wake(self) -> None:
        """Have what was recorded sent at once."""
        self._outbox.wake()

    def _add(self, session: Session, messages: Sequence[NewMessage]) -> None:
        for message in messages:
            self._outbox.messages.add(session, message)

    def _to_telescopes(
        self, event: str, revision: int, lists: Mapping[str, Mapping[str, Any]], now: datetime
    ) -> list[NewMessage]:
        relay = self._settings.lvcgcn.relay
        expiry = clock.to_iso(now + timedelta(hours=relay.expiry_h))
        return [
            NewMessage(
                "front_desk",
                each.name,
                message_id(event, revision),
                "receive_targets",
                {
                    "event": event,
                    "revision": revision,
                    "targets": [_sent(target) for target in lists[each.name]["targets"]],
                    "filter": relay.filter,
                    "exposure_time": relay.exposure_time_s,
                    "number_of_exposures": relay.exposures,
                    "expiry": expiry,
                },
            )
            for each in self._observatories
            if each.name in lists and each.address is not None
        ]

    def _to_web(
        self,
        event: str,
        revision: int,
        text: str,
        full: Mapping[str, Any],
        assignments: Mapping[str, Any],
    ) -> list[NewMessage]:
        forms = {
            "slack": {"text": _escaped(text)},
            "full": {"event": event, "revision": revision, **full},
            "assignments": dict(assignments),
        }
        return [
            NewMessage("web", hook.name, message_id(event, revision), "event", forms[hook.form])
            for hook in self._settings.lvcgcn.tell.webhooks
        ]

    def _to_mail(
        self, event: str, revision: int, subject: str, text: str, folder: str
    ) -> list[NewMessage]:
        content = {"subject": subject, "text": text, "folder": folder, "revision": revision}
        return [
            NewMessage("mail", address, message_id(event, revision), "event", content)
            for address in self._settings.lvcgcn.tell.mail
        ]


def message_id(event: str, revision: int) -> str:
    """Return the id of all messages that tell of a revision."""
    return f"{event}-{revision}"


def _sent(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a telescope takes of a listed target (`receive_targets`)."""
    return {
        "name": target["name"],
        "ra": target["ra_deg"],
        "dec": target["dec_deg"],
        "rank": target["rank"],
        "probability": target["probability"],
    }


def _escaped(text: str) -> str:
    """Escape what chat services take for mark-up: a notice's text must not call everybody."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("@", "@\N{WORD JOINER}")  # Mattermost's @channel, Discord's @everyone


def carriers(
    settings: Settings,
    observatories: Sequence[Observatory],
    picture: Callable[[Path], Path | None],
) -> dict[Any, Carrier]:
    """Return how messages travel, by their channel.

    Parameters
    ----------
    settings : Settings
    observatories : sequence of Observatory
    picture : callable
        Returns the sky plot of an event's folder, made now if need be; None without one.
    """
    addresses = {each.name: each.address for each in observatories if each.address is not None}
    hooks = {hook.name: hook.address for hook in settings.lvcgcn.tell.webhooks}

    def address_of(recipient: str) -> str:
        return _configured(addresses, recipient, "telescope")

    def to_web(message: NewMessage) -> Mapping[str, Any]:
        name = message.recipient
        address = _configured(hooks, name, "webhook")
        return {"http": post_json(address, message.content, message.message_id, name=name)}

    def to_mail(message: NewMessage) -> Mapping[str, Any]:
        return _mail(settings, message, picture)

    return {"front_desk": front_desks(SERVICE, address_of), "web": to_web, "mail": to_mail}


def _configured(known: Mapping[str, str], name: str, what: str) -> str:
    if name not in known:
        # A message outlives its recipient's entry in the configuration.
        raise TransportRefused(f"no {what} {name!r} is configured any more")
    return known[name]


def _mail(
    settings: Settings, message: NewMessage, picture: Callable[[Path], Path | None]
) -> Mapping[str, Any]:
    address, content = message.recipient, message.content
    leaving = mail_settings(settings, [address])
    if leaving is None:
        raise TransportRefused("Email Configuration / Server: none is configured; no mail is sent")
    attachments: list[Attachment] = []
    if content["folder"]:
        folder = Path(content["folder"])
        attachments = [*_files(folder, picture), *_own(settings, folder, content["revision"])]
    try:
        send(leaving, content["subject"], content["text"], [address], attachments)
    except ValueError as error:
        raise InvalidField(str(error)) from error
    except OSError as error:
        text = f"mail to {address} by {leaving.server}: {error}"
        raise (TransportRefused if _is_final(error) else ServiceUnreachable)(text) from error
    return {"mail": "accepted", "attached": [each.name for each in attachments]}


def _is_final(error: OSError) -> bool:
    """Whether a mail server will never take a mail (RFC 5321, 4.2.1: 5yz; 4yz is for now)."""
    codes: list[int] = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    elif isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError):
        codes = [error.smtp_code]
    return bool(codes) and min(codes) >= 500


def _files(folder: Path, picture: Callable[[Path], Path | None]) -> list[Attachment]:
    """Return the notice, the lists and the sky plot of an event's folder."""
    names = [
        (folder / "notice.xml", "application/xml"),
        (folder / "notice.json", "application/json"),
    ]
    names += [(folder / EVENT, "application/json")]
    names += [(path, "text/csv") for path in sorted(folder.glob("targets-*.csv"))]
    plot = picture(folder)
    if plot is not None:
        names.append((plot, "image/png"))
    return [
        Attachment(path.name, kind, path.read_bytes())
        for path, kind in names
        if path.is_file() and (path.name == PICTURE_PNG or path.stat().st_size <= _ATTACHED_BYTES)
    ]


def _own(settings: Settings, folder: Path, revision: int) -> list[Attachment]:
    """Return the VOEvent of our own, where one can be written."""
    try:
        facts = read_json(folder / EVENT)["notice"]
        lists = {str(path): read_json(path) for path in sorted(folder.glob("targets-*.json"))}
        author = settings.lvcgcn.tell.author
        written = voevent_of(facts, lists, revision, author, clock.REAL.now())
    except (AlertError, OSError, ValueError) as error:
        log.info("no VOEvent goes with the mail: %s", error)
        return []
    return [Attachment("voevent.xml", "application/xml", written.encode())]
