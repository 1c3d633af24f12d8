"""What a process of the pool does with one job."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from toros import logs, store
from toros.errors import DamagedFile, StorageFailed
from toros.preprocessor.association import Master
from toros.preprocessor.engine import beat
from toros.preprocessor.grouping import Frame
from toros.preprocessor.jobs import Product, run_job
from toros.preprocessor.planning import Job


def verified_run(job: Job, folder: str, memory_limit_mb: float, order_id: str) -> Product:
    """Do a job after its inputs have been found to be what the database says.

    Parameters
    ----------
    job : Job
    folder : str
        Where the product goes.
    memory_limit_mb : float
        What the job may take [MB].
    order_id : str
        For the log.

    Raises
    ------
    DamagedFile
        An input is gone, or its bytes are not those that were registered.
    TorosError
        What `toros.preprocessor.jobs.run_job` raises.
    """
    with logs.order(order_id):
        inputs: list[Frame | Master] = [*job.frames, *job.masters]
        for item in inputs:
            verify(Path(item.path), item.name, item.sha256)
            beat()
        return run_job(job, folder, folder, memory_limit_mb, lambda _fraction: beat())


def verify(path: Path, name: str, sha256: str) -> None:
    """Refuse a file whose bytes are not those that were registered.

    Raises
    ------
    DamagedFile
    """
    try:
        state = path.stat()
        found = _digest(path, state.st_mtime_ns, state.st_size)
    except (OSError, StorageFailed) as error:
        raise DamagedFile(f"{name}: {path} cannot be read: {error}") from error
    if found != sha256:
        raise DamagedFile(
            f"{name}: {path} has changed on the disk: SHA-256 {found[:12]}…, registered as "
            f"{sha256[:12]}…; put the original back and resume the file batch"
        )


@lru_cache(maxsize=256)
def _digest(path: Path, _mtime_ns: int, _size: int) -> str:
    return store.sha256_of(path)
