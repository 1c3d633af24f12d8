"""What a url may reach, and what is brought back from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_MB = 1_000_000


class SourcesSection(Protocol):
    """The section ``Preprocessor / Sources`` of the configuration."""

    @property
    def folders(self) -> Sequence[Path]: ...  # noqa: D102
    @property
    def hosts(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def private_addresses(self) -> bool: ...  # noqa: D102
    @property
    def download_limit_mb(self) -> float: ...  # noqa: D102
    @property
    def members_limit(self) -> int: ...  # noqa: D102
    @property
    def ratio_limit(self) -> float: ...  # noqa: D102
    @property
    def timeout_s(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class SourceRules:
    """What a url may reach, and how much it may bring.

    Parameters
    ----------
    folders : tuple of Path
        A path on this machine is allowed in or below one of these, symbolic
        links resolved; none are allowed when it is empty.
    hosts : tuple of str
        The only hosts that http(s) may reach; empty: any.
    private_addresses : bool
        Whether http(s) may reach this machine and private networks.
    download_limit_bytes : int
        At most this is downloaded for one url, and at most this is unpacked.
    members_limit : int
        The most files (and folders) of one archive, listing or folder.
    ratio_limit : float
        The most that an archive may unpack to, as a multiple of its own size.
    timeout_s : float
        The longest wait [s] for a connection, for the headers of an answer, and
        the window in which a body must arrive at the least speed.
    reserve_bytes : int
        What must stay free on the disk of the local repository.
    pauses_s : tuple of float
        The waits [s] before the second, third, … attempt at a download.
    """

    folders: tuple[Path, ...]
    hosts: tuple[str, ...] = ()
    private_addresses: bool = False
    download_limit_bytes: int = 20_000 * _MB
    members_limit: int = 20_000
    ratio_limit: float = 200.0
    timeout_s: float = 60.0
    reserve_bytes: int = 0
    pauses_s: tuple[float, ...] = (1.0, 4.0, 15.0)

    @classmethod
    def from_settings(
        cls, sources: SourcesSection, reserve_bytes: int, *more_folders: Path
    ) -> SourceRules:
        """Make the rules of the configuration.

        Parameters
        ----------
        sources : SourcesSection
            The section ``Preprocessor / Sources``.
        reserve_bytes : int
            What must stay free on the disk of the local repository.
        *more_folders : Path
            Folders that are allowed besides, such as the local repository.
        """
        return cls(
            folders=tuple(Path(folder) for folder in (*sources.folders, *more_folders)),
            hosts=tuple(sources.hosts),
            private_addresses=sources.private_addresses,
            download_limit_bytes=int(sources.download_limit_mb * _MB),
            members_limit=sources.members_limit,
            ratio_limit=sources.ratio_limit,
            timeout_s=sources.timeout_s,
            reserve_bytes=reserve_bytes,
        )


@dataclass(frozen=True)
class SourceFile:
    """One file of a file batch, as it was found.

    Parameters
    ----------
    name : str
        Relative to the batch, parts separated by ``/``, without control
        characters; unique in the batch.
    path : Path
        Where its bytes are.
    size : int
        Bytes.
    modified_ns : int
        The time of its last change [ns since 1970], by which a later change is
        noticed; 0: not known, and not compared.
    """

    name: str
    path: Path
    size: int
    modified_ns: int = 0


@dataclass(frozen=True)
class Fetched:
    """What a url named.

    Parameters
    ----------
    files : tuple of SourceFile
        Sorted by name.
    in_place : bool
        The files are still where the url said (nothing was copied): read them
        with `read_source` or `copy_source`.
    left_out : tuple of (str, str)
        Name and reason of what was not taken.
    """

    files: tuple[SourceFile, ...]
    in_place: bool
    left_out: tuple[tuple[str, str], ...] = ()
