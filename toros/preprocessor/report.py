"""The report of a run over a file batch: what was made of what, what was left out and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import toros
from toros import store
from toros.database.batches import BatchRow, CombinationRow, ExposureRow
from toros.errors import SUCCESS, TorosError
from toros.preprocessor.repository import Repository

TEXT_NAME = "report.txt"
JSON_NAME = "report.json"
_LISTED = 200
# In the order in which they are made, for a person; then those of steps of a site's own.
_ORDER = ("bias_stack", "dark_stack", "flat_stack", "calibrated_light")
# Of each product's figures, what a person looks at first, and how it is headed.
_FIGURES = {
    "frames": "frames",
    "level_adu": "level [adu]",
    "level_after_adu": "level [adu]",
    "noise_before": "noise before",
    "noise_after": "after",
    "noise_before_adu": "noise before [adu]",
    "noise_after_adu": "after",
    "noise_expected_adu": "expected",
    "dark_current_adu_s": "dark current [adu/s]",
    "gain_e_adu": "gain [e/adu]",
    "read_noise_e": "read noise [e]",
}


def contents(
    batch: BatchRow,
    exposures: Sequence[ExposureRow],
    products: Sequence[CombinationRow],
    steps: Sequence[Mapping[str, Any]],
    left_out: Mapping[str, Sequence[tuple[str, str]]],
    failure: TorosError | None,
) -> dict[str, Any]:
    """Gather what the report says; nothing in it depends on when or where it was made."""
    names = {row.sha256: row.name for row in exposures}
    return {
        "file_batch": batch.id,
        "url": batch.url,
        "version": toros.__version__,
        "status_code": failure.code if failure else SUCCESS,
        "message": failure.message if failure else "",
        "frames": dict(sorted(Counter(row.exposure_type for row in exposures).items())),
        "quarantined": [
            {"file": row.name, "reason": row.quarantine_reason}
            for row in exposures
            if row.quarantine_reason is not None
        ],
        "not_taken": [{"file": name, "reason": reason} for name, reason in batch.left_out],
        "unused": [
            {"step": step, "file": name, "reason": reason}
            for step, items in left_out.items()
            for name, reason in items
        ],
        "steps": list(steps),
        "products": [
            {
                "file": product.name,
                "type": product.combination_type,
                "sha256": product.sha256,
                "partial": bool(product.missing),
                "missing": list(product.missing),
                "key": dict(product.key),
                "figures": dict(sorted(product.scalars.items())),
                "made_of": sorted(names.get(s, s) for s in product.exposure_sha256s),
                "masters": sorted(product.input_names),
                "frames_rejected": [list(item) for item in product.frames_rejected],
            }
            for product in products
        ],
    }


def write(folder: Path, report: Mapping[str, Any]) -> dict[str, Path]:
    """Write the report as text and as JSON into a run's folder; return their paths.

    Raises
    ------
    DiskFull, StorageFailed
    """
    paths = {"text": folder / TEXT_NAME, "json": folder / JSON_NAME}
    store.write_whole(paths["json"], (json.dumps(report, indent=1, default=str) + "\n").encode())
    store.write_whole(paths["text"], as_text(report).encode())
    return paths


def summary(
    report: Mapping[str, Any], repository: Repository, folder: Path, paths: Mapping[str, Path]
) -> dict[str, Any]:
    """Return what the order's result says: counts, the first reasons, where the rest lies."""
    products = report["products"]
    return {
        "file_batch": report["file_batch"],
        "run": int(folder.name.removeprefix("run-")),
        "folder": str(folder),
        "report": str(paths["text"]),
        "report_json": str(paths["json"]),
        "frames": report["frames"],
        "products": len(products),
        "partial": sum(product["partial"] for product in products),
        "made": dict(sorted(Counter(product["type"] for product in products).items())),
        "quarantined": report["quarantined"][:_LISTED],
        "not_taken": report["not_taken"][:_LISTED],
        "unused": report["unused"][:_LISTED],
        "steps": report["steps"],
        "previews": str(folder),
        "repository": str(repository.root),
    }


def as_text(report: Mapping[str, Any]) -> str:
    """Write the report for a person: what came of it first, every product's origin last."""
    products = report["products"]
    made = Counter(product["type"] for product in products)
    kinds = sorted(made, key=lambda kind: (*_ORDER, kind).index(kind))
    unusable = (
        f"; {len(report['quarantined'])} files cannot be used" if report["quarantined"] else ""
    )
    partial = sum(product["partial"] for product in products)
    lines = [
        f"File batch {report['file_batch']}: {report['url']}",
        f"TOROS {report['version']}; status {report['status_code']}"
        + (f": {report['message']}" if report["message"] else " (success)"),
        "",
        f"Frames:   {_counts(report['frames'])}{unusable}",
        f"Products: {_counts({kind: made[kind] for kind in kinds})}"
        + (f"; {partial} of them PARTIAL" if partial else ""),
        "",
        "Steps",
    ]
    lines += [
        f"  {step['step']:<16} {step['state']}"
        + (f": {step['message']}" if step["message"] else "")
        for step in report["steps"]
    ]
    for title, key in (
        ("Quarantined: cannot be used", "quarantined"),
        ("Not taken from the source", "not_taken"),
        ("Not used by a step", "unused"),
    ):
        if report[key]:
            lines += ["", title]
            lines += [
                f"  {item['file']}"
                + (f" ({item['step']})" if "step" in item else "")
                + f": {item['reason']}"
                for item in report[key]
            ]
    for kind in kinds:
        alike = [product for product in products if product["type"] == kind]
        lines += ["", f"{kind} ({len(alike)})", *_figures(alike)]
    if products:
        lines += ["", "What each was made of; all figures are in its header and in report.json"]
    for kind in kinds:
        for product in products:
            if product["type"] == kind:
                lines += _origin(product)
    return "\n".join(lines) + "\n"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"


def _figures(products: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write a table of what a person looks at first; a step's own figures where it has no such."""
    present = {name for product in products for name in product["figures"]}
    names = [name for name in _FIGURES if name in present] or sorted(present)[:6]
    rows = [["file", *(_FIGURES.get(name, name) for name in names)]]
    rows += [
        [product["file"] + ("  PARTIAL" if product["partial"] else "")]
        + [_number(product["figures"].get(name)) for name in names]
        for product in products
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + row[0].ljust(widths[0])
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]  # fmt: skip


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _origin(product: Mapping[str, Any]) -> list[str]:
    made_of = product["made_of"]
    of = ", ".join(made_of[:3]) + (f" … ({len(made_of)} frames)" if len(made_of) > 3 else "")
    lines = [f"  {product['file']}", f"      of {of}"]
    if product["masters"]:
        lines.append(f"      with {', '.join(product['masters'])}")
    lines += [f"      without {name}: {reason}" for name, reason in product["frames_rejected"]]
    lines += [f"      PARTIAL, missing: {missing}" for missing in product["missing"]]
    return lines
