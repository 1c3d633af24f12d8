"""What an archive holds: its members, and how much they may unpack to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from toros.errors import UnsafeArchive
from toros.preprocessor.sources.watch import Watch

_RATIO_FLOOR_BYTES = 10_000_000  # a small archive may unpack to this much, whatever the ratio


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Parameters
    ----------
    name : str
        As the archive has it.
    is_folder : bool
    size : int
        Bytes, as claimed.
    blocks : callable
        Returns an iterator over its content.
    """

    name: str
    is_folder: bool
    size: int
    blocks: Callable[[], Iterator[bytes]]


class Budget:
    """What may still be unpacked.

    Parameters
    ----------
    label : str
        The archive, for messages.
    archive_bytes : int
        Its size.
    limit_bytes : int
    ratio_limit : float
    watch : Watch
    """

    def __init__(
        self, label: str, archive_bytes: int, limit_bytes: int, ratio_limit: float, watch: Watch
    ) -> None:
        self.label = label
        self._watch = watch
        self._limit = limit_bytes
        self._ratio_limit = ratio_limit
        self._by_ratio = max(_RATIO_FLOOR_BYTES, int(ratio_limit * archive_bytes))
        self._spent = 0

    def spend(self, size: int) -> None:
        """Count bytes that came out of the archive.

        Raises
        ------
        UnsafeArchive, Stopping
        """
        self._watch.check()
        self._spent += size
        if self._spent > self._limit:
            raise UnsafeArchive(
                f"{self.label} unpacks to more than {self._limit / 1e6:g} MB "
                "(Preprocessor / Sources / Download Limit (MB))"
            )
        if self._spent > self._by_ratio:
            raise UnsafeArchive(
                f"{self.label} unpacks to more than {self._ratio_limit:g} times its size "
                "(Preprocessor / Sources / Ratio Limit)"
            )
