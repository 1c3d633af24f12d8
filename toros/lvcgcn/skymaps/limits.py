"""How large a sky map may be, and how long reading it may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MapLimits:
    """What a sky map may cost.

    Attributes
    ----------
    bytes : int
        As it comes, perhaps compressed.
    inflated_bytes : int
        Of the table after decompression; it is streamed, never held whole.
    pixels : int
        Of the table. The default is a flat map of NSIDE 2048.
    seconds : float
        Of reading [s].
    memory_bytes : int
        Of reading; a map of many different pixels in ring order needs most: 20
        bytes a pixel with distance, 8 without.
    tiles : int
        That a flat map becomes; it is coarsened, far out first, to fit.
    """

    bytes: int = 64 << 20
    inflated_bytes: int = 2 << 30
    pixels: int = 12 * 2048**2
    seconds: float = 30.0
    memory_bytes: int = 512 << 20
    tiles: int = 1_000_000
