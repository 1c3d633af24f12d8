"""The predecessor's way from a sky map to lists, written anew from its description.

For every alert the whole catalogue is read as a table; every galaxy's pixel in the flat map
is looked up; all are weighted by the map's probability, the distance's distribution and d**2
(which is one factor too many), and sorted; the first are the list of every observatory,
wherever it is.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def peak_memory_mb() -> float:
    """Return the most memory that this process has had [MB]."""
    text = Path("/proc/self/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def main(source: str, sky_map: str, folder: str, sites: int) -> None:
    """Do it once, and print the seconds it took and the memory as JSON."""
    import healpy
    import numpy as np

    began = time.perf_counter()
    probability, mu, sigma, norm = healpy.read_map(sky_map, field=(0, 1, 2, 3), nest=True)
    table = np.loadtxt(
        source,
        usecols=(0, 8, 9, 10, 32),
        dtype=[("name", "i8"), ("ra", "f8"), ("dec", "f8"), ("b", "f8"), ("distance", "f8")],
        converters=lambda text: "nan" if text == "null" else text,
        encoding="ascii",
    )
    pixel = healpy.ang2pix(
        healpy.get_nside(probability), table["ra"], table["dec"], nest=True, lonlat=True
    )
    distance = table["distance"]
    normal = np.exp(-0.5 * ((distance - mu[pixel]) / sigma[pixel]) ** 2)
    normal /= np.sqrt(2 * np.pi) * sigma[pixel]
    likelihood = probability[pixel] * norm[pixel] * distance**2 * normal
    likelihood = np.nan_to_num(likelihood)
    likelihood /= likelihood.sum()
    best = np.argsort(-likelihood)[:50]
    for site in range(sites):
        targets = {str(table["name"][row]): float(likelihood[row]) for row in best}
        (Path(folder) / f"site-{site}.json").write_text(json.dumps(targets))
    seconds = time.perf_counter() - began
    memory = peak_memory_mb()
    print(json.dumps({"seconds": seconds, "memory_mb": memory, "galaxies": len(table)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
