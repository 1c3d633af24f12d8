"""The robot at work: takes what was received, one notice after another, to its end.

The archive is the queue. A notice leaves it once the database has what became of it, so
that whatever happens in between, it is handled again, and known again by its identity.
Several are handled at a time: one that waits for its sky map holds up none of the others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from toros import clock, store
from toros.clock import Clock
from toros.config import Settings
from toros.config.alerts import Galaxies
from toros.database.alerts import Alerts, NewLists, NewNotice
from toros.errors import (
    AlertError,
    CatalogueRefused,
    DatabaseUnavailable,
    DiskFull,
    NoticeRefused,
    SkyMapRefused,
    SkyMapUnreachable,
    StorageFailed,
    TorosError,
)
from toros.lvcgcn.answer import Answer, answer, withdrawal
from toros.lvcgcn.catalogues import CatalogueInUse
from toros.lvcgcn.files import EventFiles, facts_of, order_text
from toros.lvcgcn.galaxies.catalogue import Catalogue
from toros.lvcgcn.maps import NO_MAP, Found, Maps, is_fetched
from toros.lvcgcn.notices import LIMIT_BYTES, read_notice
from toros.lvcgcn.notices.notice import Notice
from toros.lvcgcn.notices.own import MISSION as OWN_MISSION
from toros.lvcgcn.observatories import Observatory
from toros.lvcgcn.pending import Pending
from toros.lvcgcn.reception.archive import Archive, Kept
from toros.lvcgcn.relay import Relay
from toros.lvcgcn.skymaps.sky_map import SkyMap

log = logging.getLogger(__name__)

# More than sky maps are fetched at a time (`toros.lvcgcn.maps`).
_THREADS = 8
_POLL_S = 1.0
# Events that share a turn wait for each other without need.
_TURNS = 64
# What fails for a reason of its own is tried so often, also over restarts, then set aside.
_TRIES = 5
_CLOCKS_DIFFER = timedelta(days=1)
_TOLD_AT = 6
PASSING = (CatalogueRefused, DatabaseUnavailable, DiskFull, SkyMapUnreachable, StorageFailed)
"""What is no fault of a notice: it is tried again, for as long as it takes."""

BY_HAND = "order"
"""How the source of what a person gives begins."""


@dataclass(frozen=True)
class Handled:
    """What became of a notice.

    Parameters
    ----------
    outcome : str
        answered, recorded, ignored, superseded, refused or repeated.
    event : str or None
    revision : int or None
        Of the lists that it led to, or of those that stay.
    folder : Path or None
        Where the lists are.
    message : str
        Why; empty for a notice that was simply answered.
    error : AlertError or None
        What a refused one was refused for.
    """

    outcome: str
    event: str | None = None
    revision: int | None = None
    folder: Path | None = None
    message: str = ""
    error: AlertError | None = None


class Robot:
    """Handles notices.

    Parameters
    ----------
    settings : Settings
    archive : Archive
    alerts : Alerts
    relay : Relay
    catalogue : CatalogueInUse
    maps : Maps
    observatories : sequence of Observatory
    ticking : Clock
    on_files : callable
        Called with the folder of each new answer, for its picture.
    """

    def __init__(
        self,
        settings: Settings,
        archive: Archive,
        alerts: Alerts,
        relay: Relay,
        catalogue: CatalogueInUse,
        maps: Maps,
        observatories: Sequence[Observatory],
        ticking: Clock,
        on_files: Callable[[Path], None] = lambda _folder: None,
    ) -> None:
        self.settings = settings
        self.archive = archive
        self.alerts = alerts
        self.relay = relay
        self.catalogue = catalogue
        self.maps = maps
        self.observatories = observatories
        self.clock = ticking
        self.on_files = on_files
        self.files = EventFiles(archive.folder / "events")
        self.pending = Pending(archive)
        self._ranking = threading.Lock()
        self._turns = tuple(threading.RLock() for _ in range(_TURNS))
        self._change = threading.Condition()
        self._calls = 0
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"robot-{n}", daemon=True)
            for n in range(1, _THREADS + 1)
        ]

    def start(self) -> None:
        """Begin to handle what waits in the archive."""
        self.pending.begin()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """Begin nothing new and wait for what is under way; the rest stays in the archive."""
        self._stopping.set()
        with self._change:
            self._change.notify_all()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(deadline - time.monotonic(), 0.0))
        self.pending.forget_under_way()

    def wake(self) -> None:
        """Look at once whether something was received."""
        with self._change:
            self._calls += 1
            self._change.notify()  # one thread for one notice: each looks through the archive

    def state(self) -> dict[str, int]:
        """Tell how much is under way, and how much is tried again later."""
        return self.pending.state()

    def _work(self) -> None:
        while not self._stopping.is_set():
            calls = self._calls
            try:
                kept = self.pending.claim()
            except (TorosError, OSError) as error:  # this thread outlives whatever the disk does
                log.error("the archive cannot be read: %s", error)
                kept = None
            if kept is None:
                with self._change:
                    if self._calls == calls and not self._stopping.is_set():
                        self._change.wait(_POLL_S)
                continue
            try:
                self._try(kept)
            finally:
                self.pending.release(kept)

    def _try(self, kept: Kept) -> None:
        try:
            if self.pending.count(kept) > _TRIES:
                self._set_aside(kept, "it ended this daemon, or failed, again and again")
                return
            self.handle(kept)
        except PASSING as error:
            self.pending.forget(kept)
            failures, delay_s = self.pending.put_off(kept)
            level = {1: logging.WARNING, _TOLD_AT: logging.ERROR}.get(failures, logging.DEBUG)
            log.log(
                level, "%s is tried again in %.0f s: %s", kept.path.name, delay_s, error.message
            )
        except Exception as error:  # the next notices are to be handled all the same
            log.exception("a defect in handling %s", kept.path.name)
            if self.pending.put_off(kept)[0] >= _TRIES:
                self._set_aside(kept, f"a defect, again and again: {error!r}")
        else:
            self.pending.over(kept)

    def _set_aside(self, kept: Kept, reason: str) -> None:
        try:
            self.pending.set_aside(kept, reason)
        except TorosError as error:
            _, delay_s = self.pending.put_off(kept)
            log.error(
                "%s is to be set aside, which is tried again in %.0f s: %s",
                kept.path.name,
                delay_s,
                error.message,
            )

    def take(self, raw: bytes, source: str) -> Handled:
        """Archive a notice and handle it at once, in this thread.

        Raises
        ------
        CatalogueRefused, DatabaseUnavailable, DiskFull, SkyMapUnreachable, StorageFailed
            It is archived, and is handled again by itself (but for a full disk).
        """
        kept = self.pending.keep(raw, source)
        try:
            return self.handle(kept)
        finally:
            self.pending.release(kept)

    def handle(self, kept: Kept) -> Handled:
        """Take one notice to its end.

        Raises
        ------
        CatalogueRefused, DatabaseUnavailable, DiskFull, SkyMapUnreachable, StorageFailed
            It waits in the archive and is to be handled again.
        """
        try:
            raw = _read(kept)
            notice = read_notice(raw)
            self._check_date(notice)
        except NoticeRefused as error:
            handled = self._refuse(_unreadable(kept), error)
        else:
            with self._turn(notice):
                handled = self._handle(notice, raw, kept)
        self.archive.done(kept, handled.outcome)
        return handled

    def _check_date(self, notice: Notice) -> None:
        """Refuse a notice of the future: as its event's newest it would stay for ever."""
        now = max(self.clock.now(), clock.REAL.now())  # a rehearsal's time may be before or after
        if notice.issued > now + _CLOCKS_DIFFER:
            raise NoticeRefused(
                f"{notice.event}: issued {clock.to_iso(notice.issued)}, which is in the future; "
                f"expected a time before {clock.to_iso(now)} (is this machine's clock right?)"
            )

    def _turn(self, notice: Notice) -> AbstractContextManager[Any]:
        """Let one notice of an event be handled after the other: a twin has no lists to make.

        Not while a sky map is fetched, for which a newer notice must not wait.
        """
        if is_fetched(notice):
            return nullcontext()
        return self._turns[hash(notice.event) % len(self._turns)]

    def _handle(self, notice: Notice, raw: bytes, kept: Kept) -> Handled:
        new = _new(notice, kept)
        # By hand it may be given again: once what it was refused for is mended, or the settings
        # that only recorded it are others.
        known = self.alerts.outcome_of(new.identity, by_hand=new.by_hand)
        if known is not None:
            return self._repeated(notice, f"it was {known} before")
        standing = self.alerts.standing(notice.event)
        if not notice.is_known and standing is not None and standing.order[0] > new.order[0]:
            why = "its kind is not known; the lists stay"
            self.alerts.record(new, "recorded", why)
            return Handled("recorded", notice.event, standing.revision, message=why)
        if standing is not None and standing.order > new.order:
            why = "a newer notice was there already"
            if standing.order[0] > new.order[0]:
                why = "it is a test, and the event is real"
            self.alerts.record(new, "superseded", why)
            return Handled("superseded", notice.event, standing.revision, message=why)
        mode, why = self._mode(notice)
        if mode == "ignore" and not (standing is not None and standing.answered):
            self.alerts.record(new, "ignored", why)
            return Handled("ignored", notice.event, message=why)
        if notice.is_retraction:
            why = why or "nobody had been told of the event"
        try:
            # What is withdrawn has no place any more: its map must not be waited for.
            found = NO_MAP if notice.is_retraction else self.maps.of(notice)
        except SkyMapRefused as error:
            return self._refuse(new, error)
        except SkyMapUnreachable as error:
            if clock.REAL.now() - kept.received < self._age_limit:
                raise
            return self._refuse(new, error)
        if found.sky_map is None and not notice.is_retraction:
            new = replace(new, order=_order(notice, is_guide=False))
            if standing is not None and standing.order[0] > new.order[0]:
                why = "it tells no place; the lists stay"
                self.alerts.record(new, "recorded", why)
                return Handled("recorded", notice.event, standing.revision, message=why)
        return self._answer(notice, new, raw, found, why)

    def _repeated(self, notice: Notice, why: str) -> Handled:
        standing = self.alerts.standing(notice.event)
        revision = None if standing is None else standing.revision
        folder = self.files.folder_of(notice)
        return Handled("repeated", notice.event, revision, folder if folder.is_dir() else None, why)

    def _answer(
        self,
        notice: Notice,
        new: NewNotice,
        raw: bytes,
        found: Found,
        why: str,
    ) -> Handled:
        made = self._made(notice, found.sky_map)
        folder, summary, lists = self.files.write(notice, raw, found.content, made)
        messages = None
        # Who was told of an event hears what becomes of it, whatever `why` says.
        if notice.is_retraction or not self._is_stale(notice):
            messages = self.relay.of_notice(new.facts, summary, lists, folder, self.clock.now())
        state: Literal["active", "retracted"] = "retracted" if notice.is_retraction else "active"
        advanced = self.alerts.advance(
            new, NewLists(state, summary, str(folder), lists, found.note), messages, why
        )
        if advanced is None:
            return self._repeated(notice, "it was being handled twice at a time")
        outcome, revision = advanced
        why = "; ".join(filter(None, ("" if outcome == "answered" else why, found.note)))
        self.relay.wake()
        if outcome != "superseded":
            self.on_files(folder)
        lengths = ", ".join(f"{name}: {len(each['targets'])}" for name, each in lists.items())
        log.info(
            "%s %s %s as revision %d; targets at %s%s",
            notice.event,
            notice.kind,
            outcome,
            revision,
            lengths or "no observatory",
            f" ({why})" if why else "",
        )
        return Handled(outcome, notice.event, revision, folder, why)

    def _made(self, notice: Notice, sky_map: SkyMap | None) -> Answer:
        now = self.clock.now()
        if sky_map is None or notice.is_retraction:
            return withdrawal(notice, self.observatories, now)
        section = self.settings.lvcgcn
        with self._ranking:  # two at a time would need twice the memory and be no faster
            catalogue = self.catalogue.newest()
            return answer(
                notice,
                sky_map,
                catalogue,
                self.observatories,
                _weighable(section.galaxies, catalogue),
                section.relay.targets,
                now,
            )

    def _mode(self, notice: Notice) -> tuple[str, str]:
        """Tell what the settings have done with a notice, and why."""
        section = self.settings.lvcgcn
        if notice.is_test:
            mode, setting = section.mock_alerts, "Mock Alerts"
        elif not notice.is_known:
            return "record", "its kind is not known: it is kept and shown, and nobody is told"
        elif notice.mission == OWN_MISSION:
            return "record", "another robot's VOEvent: the event has notices of its own"
        elif notice.mission != "LVK":
            mode, setting = section.other_alerts, "Other Alerts"
        elif notice.significant is False:
            mode, setting = section.insignificant_alerts, "Insignificant Alerts"
        else:
            mode, setting = "answer", ""
        if mode != "answer":
            return mode, f"Lvcgcn / {setting}: {mode}"
        if self._is_stale(notice):
            return "record", (
                f"issued {clock.to_iso(notice.issued)}; Lvcgcn / Relay / Age Limit (h): "
                f"{section.relay.age_limit_h:g}"
            )
        return "answer", ""

    def _is_stale(self, notice: Notice) -> bool:
        return self.clock.now() - notice.issued > self._age_limit

    @property
    def _age_limit(self) -> timedelta:
        return timedelta(hours=self.settings.lvcgcn.relay.age_limit_h)

    def _refuse(self, new: NewNotice, error: AlertError) -> Handled:
        self.alerts.record(new, "refused", error.message, error)
        log.error("a notice from %s is refused: %s (%s)", new.source, error.message, new.file)
        return Handled("refused", new.event, message=error.message, error=error)


def _new(notice: Notice, kept: Kept) -> NewNotice:
    return NewNotice(
        identity=notice.identity,
        source=kept.source,
        file=kept.path.name,
        event=notice.event,
        mission=notice.mission,
        kind=notice.kind,
        issued=notice.issued,
        order=_order(notice, notice.is_known),
        is_test=notice.is_test,
        is_known=notice.is_known,
        facts=facts_of(notice),
        by_hand=kept.source.startswith(f"{BY_HAND}-"),
    )


def _weighable(galaxies: Galaxies, catalogue: Catalogue) -> Galaxies:
    """Return the settings, with a weight that the catalogue has."""
    try:
        catalogue.choose_weight(galaxies.weight)
    except CatalogueRefused as error:
        log.error("%s; for now the weight is auto", error.message)
        return galaxies.model_copy(update={"weight": "auto"})
    return galaxies


def _order(notice: Notice, is_guide: bool) -> str:
    """Write the notice's place in its event's sequence: the later the greater.

    Whenever they were issued, tests come before what is real, and among these what tells no
    place, or is of an unknown kind, before what can be gone by.
    """
    return f"{2 * (not notice.is_test) + is_guide}{order_text(notice)}"


def _read(kept: Kept) -> bytes:
    """Read a notice, but none that is too long for one."""
    try:
        size = kept.path.stat().st_size
    except OSError as error:
        raise store.storage_error(error, kept.path) from error
    if size > LIMIT_BYTES:
        raise NoticeRefused(f"the notice is {size} bytes long; expected at most {LIMIT_BYTES}")
    return kept.read()


def _unreadable(kept: Kept) -> NewNotice:
    return NewNotice(f"raw-{kept.sha256}", kept.source, kept.path.name)
