"""The local repository: where the raw files and the products of each batch lie.

::

    STATE FOLDER/repository/
        batch-000001/
            raw/            the files as they came
            run-001/        what the first run made: products, previews, report
            run-002/        what a restart made; nothing is ever overwritten
            staging/        what is being brought in; gone when it is
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from toros import store


@dataclass(frozen=True)
class Repository:
    """The repository below a root folder."""

    root: Path

    def raw(self, folder: str) -> Path:
        """Return the folder of a batch's raw files."""
        return self.root / folder / "raw"

    def run(self, folder: str, run: int) -> Path:
        """Return the folder of what a run makes."""
        return self.root / folder / f"run-{run:03d}"

    def staging(self, folder: str) -> Path:
        """Return an empty folder for files that are being brought in.

        Raises
        ------
        DiskFull, StorageFailed
        """
        staging = self.root / folder / "staging"
        self.clear_staging(folder)
        store.make_folder(staging)
        return staging

    def clear_staging(self, folder: str) -> None:
        """Remove what was being brought in.

        Raises
        ------
        StorageFailed
        """
        staging = self.root / folder / "staging"
        try:
            if staging.exists():
                shutil.rmtree(staging)
        except OSError as error:
            raise store.storage_error(error, staging) from error

    def relative(self, path: Path) -> str:
        """Write a path as the database keeps it."""
        return path.relative_to(self.root).as_posix()

    def absolute(self, path: str) -> Path:
        """Return where a path of the database lies."""
        return self.root / path
