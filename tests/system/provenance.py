"""Every product back to its raw files, by the database's rows and by its own header."""

from __future__ import annotations

from pathlib import Path

from astropy.io import fits
from sqlalchemy import select

from tests.system.daemons import Preprocessor
from toros import store
from toros.database.models import Combination
from toros.database.session import Database

REPORTS = {"report.txt", "report.json"}


def combinations(daemon: Preprocessor, batch: int | None = None) -> list[dict[str, object]]:
    """Return the rows of all products (of a batch), by run and name."""
    database = Database(f"sqlite:///{daemon.state / 'toros.db'}")
    with database.reading() as session:
        query = select(Combination).order_by(Combination.run, Combination.name)
        if batch is not None:
            query = query.where(Combination.file_batch_id == batch)
        found = [
            {
                "name": row.name,
                "run": row.run,
                "kind": row.combination_type,
                "path": row.path,
                "preview": row.preview_path,
                "sha256": row.sha256,
                "superseded": row.superseded,
                "missing": list(row.missing),
                "rejected": [name for name, _ in row.frames_rejected],
                "raw": {exposure.sha256: exposure.path for exposure in row.exposures},
                "inputs": {one.sha256: one.path for one in row.inputs},
            }
            for row in session.scalars(query)
        ]
    database.close()
    return found


def walk(daemon: Preprocessor) -> int:
    """Check that nothing is without its origin, anywhere; return how many products there are.

    Each row's file is there with its hash; its header names the same raw files and
    masters, by hash, as the row does; each of those is there with its hash; and no
    file of a run is without a row.
    """
    root = daemon.state / "repository"
    rows = combinations(daemon)
    hashes: dict[str, str] = {}

    def sha256(path: str) -> str:
        if path not in hashes:
            hashes[path] = store.sha256_of(root / path)
        return hashes[path]

    for row in rows:
        path = str(row["path"])
        assert sha256(path) == row["sha256"], path
        raw, masters = origin(root / path)
        known_raw, known_masters = dict(row["raw"]), dict(row["inputs"])
        assert masters == set(known_masters), path
        # A frame that the step rejected was an input of the work, not of the product.
        assert raw <= set(known_raw), path
        assert len(known_raw) - len(raw) == len(row["rejected"]), path
        assert raw, path
        for digest, place in {**known_raw, **known_masters}.items():
            assert sha256(place) == digest, f"{path}: {place}"
    recorded = {str(row[name]) for row in rows for name in ("path", "preview")}
    found = {
        path.relative_to(root).as_posix()
        for folder in root.glob("batch-*/run-*")
        for path in folder.rglob("*")
        if path.is_file() and path.name not in REPORTS
    }
    assert found == recorded
    assert not list(root.glob("batch-*/staging"))
    return len(rows)


def origin(product: Path) -> tuple[set[str], set[str]]:
    """Return the hashes of the raw files and of the masters that a product's header names."""
    header = fits.getheader(product)
    raw = {header[f"SHA{i:04d}"] for i in range(1, header["NCOMBINE"] + 1)}
    masters = {header[card] for card in header if card.startswith("MSHA")}
    return raw, masters
