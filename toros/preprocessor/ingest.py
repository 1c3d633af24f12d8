"""Bringing a batch of raw files in: complete or not at all, each file once."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from toros import store
from toros.config import HeaderRule, Settings
from toros.database.batches import Batches, BatchRow, ExposureRow
from toros.database.exposures import described
from toros.errors import SourceIncomplete, UnusableFrame
from toros.frontdesk.worker import Task
from toros.images import FrameFacts, read_facts
from toros.preprocessor.engine import Engine
from toros.preprocessor.repository import Repository
from toros.preprocessor.sources import (
    Fetched,
    SourceFile,
    SourceRules,
    copy_source,
    digest_source,
    fetch,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ingest:
    """Brings files into the repository and registers them.

    Parameters
    ----------
    settings : Settings
    batches : Batches
    repository : Repository
    engine : Engine
        Reads the headers, in other processes.
    """

    settings: Settings
    batches: Batches
    repository: Repository
    engine: Engine

    def bring_in(self, url: str, task: Task) -> BatchRow:
        """Make the files of a canonical url a file batch, or extend the batch it is already.

        Raises
        ------
        SourceUnreachable, SourceForbidden, SourceIncomplete, UnsafeArchive
            The files cannot be had; nothing was registered.
        DiskFull, StorageFailed, DatabaseUnavailable
        Stopping
            The task is to end.
        """
        batch = task.patiently(lambda: self.batches.of_url(url))
        rules = source_rules(self.settings)
        staging = self.repository.staging(batch.folder)
        try:
            fetched = fetch(
                url, rules, staging, should_stop=task.should_stop, progress=task.progress
            )
            new, twice = self._take(batch, fetched, staging, rules, task)
        finally:
            self.repository.clear_staging(batch.folder)
        left_out = [list(item) for item in (*fetched.left_out, *twice)]
        self.read_headers(batch, new, sorted(left_out), task)
        found: BatchRow = task.patiently(lambda: self.batches.get(batch.id))
        return found

    def _take(
        self,
        batch: BatchRow,
        fetched: Fetched,
        staging: Path,
        rules: SourceRules,
        task: Task,
    ) -> tuple[list[ExposureRow], list[tuple[str, str]]]:
        """Move or copy what is new into the batch's raw folder.

        Returns
        -------
        list of ExposureRow
            The fetched files.
        list of (str, str)
            Files of the same bytes as another, and as which: they are one exposure.
        """
        first: dict[str, SourceFile] = {}
        twice: list[tuple[str, str]] = []
        for number, file in enumerate(fetched.files, start=1):
            task.progress(0.0, f"checksum {number} of {len(fetched.files)}: {file.name}")
            in_place = fetched.in_place
            digest = digest_source(file, rules) if in_place else store.sha256_of(file.path)
            if first.setdefault(digest, file) is not file:
                twice.append((file.name, f"the same bytes as {first[digest].name}"))
        known = task.patiently(lambda: self.batches.known(first))
        absent = {
            digest: file
            for digest, file in first.items()
            if digest not in known or not self._is_there(known[digest])
        }
        if fetched.in_place:
            needed = sum(file.size for file in absent.values())
            store.check_free_space(self.repository.root, needed, rules.reserve_bytes)
            absent = self._copy(absent, staging, rules, task)
        raw = self.repository.raw(batch.folder)
        rows = []
        for digest, file in first.items():
            if digest in absent:
                path = _settle(absent[digest].path, raw, file.name, digest)
                rows.append(_bare(file, digest, self.repository.relative(path)))
            else:
                rows.append(replace(known[digest], name=file.name))
        return rows, twice

    def _is_there(self, row: ExposureRow) -> bool:
        path = self.repository.absolute(row.path)
        return path.is_file() and path.stat().st_size == row.size_bytes

    def _copy(
        self,
        absent: dict[str, SourceFile],
        staging: Path,
        rules: SourceRules,
        task: Task,
    ) -> dict[str, SourceFile]:
        """Copy files into the staging folder, where none is visible before all are there."""
        copied = {}
        for number, (digest, file) in enumerate(absent.items()):
            task.progress(0.0, f"copying {number + 1} of {len(absent)}: {file.name}")
            target = staging / f"{number:06d}"
            if copy_source(file, rules, target) != digest:
                raise SourceIncomplete(
                    f"{file.name} changed while it was copied; send the order again once all "
                    "files are complete"
                )
            copied[digest] = SourceFile(file.name, target, file.size)
        return copied

    def read_headers(
        self,
        batch: BatchRow,
        new: Sequence[ExposureRow],
        left_out: Sequence[list[str]],
        task: Task,
    ) -> None:
        """Read (again) the header of every file of the batch and register what it says.

        A file that has come anew with other bytes takes the place of the one of its name.
        """
        names = {row.name for row in new}
        former = [row for row in self.batches.exposures(batch.id) if row.name not in names]
        bare = {row.sha256: row for row in (*former, *new)}
        rows = sorted(bare.values(), key=lambda row: (row.name, row.sha256))
        section = self.settings.preprocessor
        arguments = [
            (
                str(self.repository.absolute(row.path)),
                row.name,
                tuple(section.header_rules),
                section.sources.frame_limit_mpixel,
            )
            for row in rows
        ]
        complete = list(rows)
        facts: FrameFacts | None
        reason: str | None
        for done, (number, future) in enumerate(
            self.engine.map(_facts_or_reason, arguments, task.should_stop)
        ):
            if isinstance(future.exception(), BrokenProcessPool):
                facts, reason = None, "to read it ends the process, again and again"
            else:
                facts, reason = future.result()
            complete[number] = described(rows[number], facts, reason)
            if reason is not None:
                log.warning("%s is quarantined: %s", rows[number].name, reason)
            task.progress(0.0, f"header {done + 1} of {len(rows)}")
        task.check()
        task.patiently(lambda: self.batches.register(batch.id, complete, left_out))


def _facts_or_reason(
    path: str, name: str, rules: Sequence[HeaderRule], frame_limit_mpixel: float
) -> tuple[FrameFacts | None, str | None]:
    """Read a file's header, in a process of the pool."""
    try:
        return read_facts(Path(path), name, rules, frame_limit_mpixel), None
    except UnusableFrame as error:
        return None, error.message


def _bare(file: SourceFile, digest: str, path: str) -> ExposureRow:
    """Describe a file of which only name, size and checksum are known yet."""
    return ExposureRow(
        sha256=digest,
        path=path,
        name=file.name,
        size_bytes=file.size,
        exposure_type="unknown",
        exposure_time=None,
        npix1=None,
        npix2=None,
        filter=None,
        temperature=None,
        start=None,
        instrument=None,
        facts=None,
        quarantine_reason=None,
    )


def _settle(staged: Path, raw: Path, name: str, digest: str) -> Path:
    """Give a complete file its place among the raw files; another file there keeps its own.

    Raises
    ------
    StorageFailed, DiskFull
    """
    plain = PurePosixPath(name)
    target = raw / plain
    if target.exists() and store.sha256_of(target) != digest:
        target = raw / plain.with_name(f"{plain.stem}.{digest[:12]}{plain.suffix}")
    store.make_folder(target.parent)
    try:
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        staged.replace(target)
        store.fsync_folder(target.parent)
    except OSError as error:
        raise store.storage_error(error, target) from error
    return target


def source_rules(settings: Settings) -> SourceRules:
    """Make the rules for urls from the settings; the repository itself may be named too."""
    section = settings.preprocessor
    return SourceRules.from_settings(
        section.sources,
        int(section.free_space_reserve_mb * 1e6),
        settings.state_folder / "repository",
    )
