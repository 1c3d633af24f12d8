"""Requests of the preprocessor."""

from __future__ import annotations

from toros.workorders.envelope import WorkOrder, quantity


class CalibrateFileBatch(WorkOrder):
    """Bring a batch of raw files in, stack its biases, darks and flats, correct its lights.

    The same url again extends the batch by what is new there; where nothing
    is new, nothing is done twice.
    """

    request = "calibrate_file_batch"
    example = {"url": "/var/lib/toros/incoming/2019-03-05"}

    url: str = quantity(
        "Where the files are: a folder, file://…, or http(s) to an archive (zip, tar) or a "
        "listing of files.",
        min_length=1,
        max_length=4096,
    )


class ResumeFileBatch(WorkOrder):
    """Go on with a file batch from the step that failed or was interrupted."""

    request = "resume_file_batch"
    example = {"file_batch": 1}

    file_batch: int = quantity("The file batch's number.", ge=1, le=2**31 - 1)


class RestartFileBatch(WorkOrder):
    """Make every product of a file batch anew; the earlier ones are kept as superseded."""

    request = "restart_file_batch"
    example = {"file_batch": 1}

    file_batch: int = quantity("The file batch's number.", ge=1, le=2**31 - 1)
