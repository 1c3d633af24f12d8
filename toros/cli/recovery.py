"""What the reduction of a simulated night recovers, held against the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from toros.images import read_product
from toros.simulation import Night

Array = npt.NDArray[np.float64]


class Row(NamedTuple):
    """One figure.

    Attributes
    ----------
    figure : str
        What it is, with its unit.
    recovered, true, limit : str
        As written for a person.
    good : bool
        Whether it is within the limit.
    """

    figure: str
    recovered: str
    true: str
    limit: str
    good: bool


def compare(night: Night, report: Mapping[str, Any], folder: Path) -> list[Row]:
    """Compare a run's products with the truth of the night that went in.

    Parameters
    ----------
    night : Night
        The truth.
    report : mapping
        The run's report (``report.json``).
    folder : Path
        Where the products lie.
    """
    products: list[dict[str, Any]] = report["products"]
    flats = [p for p in products if p["type"] == "flat_stack"]
    lights = [p for p in products if p["type"] == "calibrated_light"]
    return [
        _gain(night, flats),
        _read_noise(night, products, flats),
        _dark_current(night, products, folder),
        *(_flat(night, product, folder) for product in flats),
        *_noise(night, lights, folder),
        _fates(night, report),
    ]


def _gain(night: Night, flats: Iterable[Mapping[str, Any]]) -> Row:
    found = float(np.mean([flat["figures"]["gain_e_adu"] for flat in flats]))
    return _relative("gain [electron/ADU]", found, night.camera.gain_e_adu, 0.01)


def _read_noise(
    night: Night, products: Iterable[Mapping[str, Any]], flats: Iterable[Mapping[str, Any]]
) -> Row:
    gain = float(np.mean([flat["figures"]["gain_e_adu"] for flat in flats]))
    bias = next(p for p in products if p["type"] == "bias_stack")
    found = bias["figures"]["read_noise_adu"] * gain
    return _relative("read noise [electron]", found, night.camera.read_noise_e, 0.02)


def _dark_current(night: Night, products: Iterable[Mapping[str, Any]], folder: Path) -> Row:
    by_type = list(products)
    bias = _data(folder, next(p for p in by_type if p["type"] == "bias_stack"))
    darks = [p for p in by_type if p["type"] == "dark_stack" and _of_camera(night, p)]
    longest = max(darks, key=lambda p: p["key"]["exposure_time_s"])
    exposure_s = longest["key"]["exposure_time_s"]
    electrons = (_data(folder, longest) - bias) * night.camera.gain_e_adu
    good = ~night.camera.bad_pixels()
    found = float(np.mean(electrons[good])) / exposure_s
    true = float(np.mean(night.camera.dark_rate()[good]))
    return _relative("dark current [electron/s]", found, true, 0.05)


def _flat(night: Night, product: Mapping[str, Any], folder: Path) -> Row:
    """Compare a flat stack with the true response; its own shot noise is taken off."""
    data, sigma, mask, _ = read_product(folder / product["file"])
    name = product["key"]["filter"]
    truth = night.camera.flat_field(name)
    good = (mask == 0) & (truth > 0) & ~night.camera.bad_pixels()
    ratio = data[good].astype(float) / truth[good]
    ratio /= np.median(ratio)
    noise = float(np.mean((sigma[good].astype(float) / truth[good]) ** 2))
    residual = float(np.sqrt(max(0.0, float(np.var(ratio)) - noise)))
    return Row(
        f"flat residual, {name} [% rms]", f"{100 * residual:.3f}", "0", "0.1", residual <= 1e-3
    )


def _noise(night: Night, lights: Iterable[Mapping[str, Any]], folder: Path) -> list[Row]:
    """Compare the noise of the lights with the photon limit, filter by filter."""
    truth = {frame.name: frame for frame in night.frames if frame.frame_type == "light"}
    rows: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for product in lights:
        frame = truth.get(product["made_of"][0])
        if frame is None or product["partial"]:
            continue
        data, _, mask, _ = read_product(folder / product["file"])
        camera = night.camera
        scene = night.scene(frame) * frame.exposure_time_s
        response = camera.flat_field(frame.filter or "")
        good = (mask == 0) & (response > 0) & ~camera.bad_pixels()
        off = data[good].astype(float) * camera.gain_e_adu - scene[good]
        dark = camera.dark_rate(frame.temperature_c)[good] * frame.exposure_time_s
        limit = camera.noise_e(scene[good] * response[good] + dark) / response[good]
        measured = 1.4826 * float(np.median(np.abs(off - np.median(off))))
        expected = 1.4826 * 0.6745 * float(np.median(limit))
        key = (frame.filter or "", frame.exposure_time_s)
        rows.setdefault(key, []).append((measured, expected))
    return [
        _above(f"noise of the lights, {name} {exposure_s:g} s [electron]", np.mean(pairs, axis=0))
        for (name, exposure_s), pairs in sorted(rows.items())
    ]


def _above(figure: str, pair: Array) -> Row:
    """Compare with a limit that noise cannot pass: at most a tenth above it."""
    measured, expected = float(pair[0]), float(pair[1])
    good = 0.97 * expected <= measured <= 1.1 * expected
    return Row(figure, f"{measured:.2f}", f"{expected:.2f} (photon limit)", "10 % above", good)


def _fates(night: Night, report: Mapping[str, Any]) -> Row:
    """Compare what became of the broken files with what should have."""
    quarantined = {item["file"] for item in report["quarantined"]}
    expected = {item.name for item in night.broken if item.fate == "quarantined"}
    return Row(
        "files quarantined",
        str(len(quarantined)),
        str(len(expected)),
        "the same files",
        quarantined == expected,
    )


def _relative(figure: str, found: float, true: float, limit: float) -> Row:
    good = abs(found / true - 1) <= limit
    return Row(figure, f"{found:.4g}", f"{true:.4g}", f"{100 * limit:g} %", good)


def _of_camera(night: Night, product: Mapping[str, Any]) -> bool:
    ny, nx = night.camera.shape
    return bool(product["key"]["shape"] == f"{nx}x{ny}")


def _data(folder: Path, product: Mapping[str, Any]) -> Array:
    data: Array = read_product(folder / product["file"])[0].astype(float)
    return data
