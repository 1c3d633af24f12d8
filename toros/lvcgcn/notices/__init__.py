"""Notices of all missions, from bytes to one kind of object, and candidates back to bytes."""

from toros.lvcgcn.notices.notice import Notice, Position, SkyMapSource
from toros.lvcgcn.notices.reading import LIMIT_BYTES, read_notice
from toros.lvcgcn.notices.writing import Author, Candidate, write_voevent

__all__ = [
    "LIMIT_BYTES",
    "Author",
    "Candidate",
    "Notice",
    "Position",
    "SkyMapSource",
    "read_notice",
    "write_voevent",
]
