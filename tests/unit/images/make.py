"""FITS bytes for tests, also of kinds that no library would write."""

from __future__ import annotations

from pathlib import Path

from astropy.io import fits

BLOCK = 2880


def card(keyword: str, value: object) -> bytes:
    if isinstance(value, str):
        text = f"{keyword:8}= {value!r}" if not value.startswith("=") else f"{keyword:8}{value}"
    elif isinstance(value, bool):
        text = f"{keyword:8}= {'T' if value else 'F':>20}"
    else:
        text = f"{keyword:8}= {value!s:>20}"
    return f"{text:80}".encode("latin-1")[:80]


def header(*cards: tuple[str, object] | bytes) -> bytes:
    """One header of whole blocks; a card may be given as its raw 80 bytes."""
    lines = [c if isinstance(c, bytes) else card(*c) for c in cards]
    text = b"".join(lines) + b"END".ljust(80)
    return text + b" " * (-len(text) % BLOCK)


def image_header(ny: int, nx: int, bitpix: int = 16, *more: tuple[str, object] | bytes) -> bytes:
    return header(
        ("SIMPLE", True), ("BITPIX", bitpix), ("NAXIS", 2), ("NAXIS1", nx), ("NAXIS2", ny), *more
    )


def image_file(
    path: Path, ny: int, nx: int, bitpix: int, data: bytes, *more: tuple[str, object] | bytes
) -> Path:
    path.write_bytes(image_header(ny, nx, bitpix, *more) + data + bytes(-len(data) % BLOCK))
    return path


def cards(**values: object) -> fits.Header:
    """A header for `translate`; ``__`` in a name stands for ``-``; a tuple adds a comment."""
    made = fits.Header()
    for name, value in values.items():
        made[name.replace("__", "-")] = value
    return made
