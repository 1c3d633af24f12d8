"""File batches in the database: their members, and the products that count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import event

from toros import clock
from toros.database import schema
from toros.database.batches import Batches, CombinationRow, ExposureRow
from toros.database.session import Database


@pytest.fixture
def batches(database_url):
    database = Database(database_url)
    schema.prepare(database)
    yield Batches(database, clock.REAL)
    database.close()


def exposure(sha256: str, name: str, frame_type: str = "light") -> ExposureRow:
    return ExposureRow(
        sha256=sha256, path=f"batch-000001/raw/{name}", name=name, size_bytes=1,
        exposure_type=frame_type, exposure_time=1.0, npix1=2, npix2=3, filter=None,
        temperature=None, start=None, instrument=None, facts={"frame_type": frame_type},
        quarantine_reason=None,
    )  # fmt: skip


def product(name: str, *sha256s: str) -> CombinationRow:
    return CombinationRow(
        name=name, combination_type="bias_stack", path=name, sha256="0" * 64, preview_path=None,
        key={}, scalars={}, missing=(), frames_rejected=(), exposure_sha256s=sha256s,
    )  # fmt: skip


def told(batches: Batches, batch: int) -> list[tuple[str, str, str]]:
    return [(row.sha256, row.name, row.exposure_type) for row in batches.exposures(batch)]


def test_a_file_has_another_name_and_type_in_another_batch(batches):
    one, other = batches.of_url("/one").id, batches.of_url("/other").id
    batches.register(one, [exposure("a", "x.fits", "unknown")], [])
    batches.register(other, [exposure("a", "flat/x.fits", "flat")], [])
    assert told(batches, one) == [("a", "x.fits", "unknown")]
    assert told(batches, other) == [("a", "flat/x.fits", "flat")]
    assert batches.exposures(one)[0].facts == {"frame_type": "unknown"}
    assert set(batches.known(["a", "b"])) == {"a"}


def test_what_is_registered_are_the_members(batches):
    batch = batches.of_url("/one").id
    first = [exposure("a", "x.fits"), exposure("b", "y.fits")]
    for _ in range(2):
        batches.register(batch, first, [["notes.txt", "no frame"]])
    assert told(batches, batch) == [("a", "x.fits", "light"), ("b", "y.fits", "light")]
    batches.register(batch, [first[1], exposure("c", "x.fits")], [])
    assert told(batches, batch) == [("c", "x.fits", "light"), ("b", "y.fits", "light")]
    batches.register(batch, [replace(first[0], exposure_type="dark"), first[1]], [])
    assert told(batches, batch) == [("a", "x.fits", "dark"), ("b", "y.fits", "light")]


def test_a_product_that_is_superseded_counts_again_when_it_is_made_again(batches):
    batch = batches.of_url("/one").id
    batches.register(batch, [exposure("a", "x.fits")], [])
    run = batches.start_run(batch, 0, "digest").run
    step = batches.start_step(batch, run, "stack_bias", None)
    for name in ("whole.fits", "partial.fits"):
        batches.record(batch, run, step, product(name, "a"))
    batches.supersede(batch, run, ["partial.fits"])
    assert [row.name for row in batches.products(batch, run)] == ["whole.fits"]
    batches.record(batch, run, step, product("partial.fits", "a"))
    assert [row.name for row in batches.products(batch, run)] == ["partial.fits", "whole.fits"]


def test_many_files_cost_few_statements(batches):
    """A statement for each file kept the front desk's writers waiting for half a minute."""
    batch = batches.of_url("/one").id
    many = [exposure(f"{n:064x}", f"{n:04d}.fits") for n in range(1000)]
    statements = []
    event.listen(
        batches.database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )
    for left_out in ([], [["notes.txt", "no frame"]]):
        batches.register(batch, many, left_out)
    run = batches.start_run(batch, 0, "digest").run
    step = batches.start_step(batch, run, "stack_bias", None)
    batches.record(batch, run, step, product("all.fits", *(row.sha256 for row in many)))
    for row in many[:50]:
        batches.record(batch, run, step, product(f"of-{row.name}", row.sha256))
    before = len(statements)
    made = batches.products(batch, run)
    assert len(statements) - before <= 5
    assert [len(row.exposure_sha256s) for row in made] == [1000] + 50 * [1]
    assert batches.get(batch).left_out == (["notes.txt", "no frame"],)
    assert len(batches.exposures(batch)) == 1000
    assert sum("file_batch_exposure" in statement for statement in statements) < 20
    assert sum("INTO exposure " in statement for statement in statements) < 20
