"""A wall clock that can be set while real daemons run: theirs, and nobody else's.

A few lines of C stand between the daemons and the C library (LD_PRELOAD): what the wall clock
says is moved by what a shared file says. The monotonic clocks, which no one can set, stay.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

from tests.conftest import missing_part

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long long *step_s;
static int (*original)(clockid_t, struct timespec *);

__attribute__((constructor)) static void open_step(void) {
    original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int file = open(getenv("TOROS_CLOCK_STEP"), O_RDONLY | O_CLOEXEC);
    void *seen = mmap(0, sizeof(long long), PROT_READ, MAP_SHARED, file, 0);
    if (file < 0 || seen == MAP_FAILED) abort();
    step_s = seen;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    int failed = original(id, now);
    if (!failed && step_s && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *step_s;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *said) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (said) *said = now.tv_sec;
    return now.tv_sec;
}
"""


class SetClock:
    """The wall clock of the processes that are given its `environment`.

    Parameters
    ----------
    folder : Path
        Holds the library and the file; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            missing_part("a C compiler", "apt-get install gcc libc6-dev")
        assert compiler is not None
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "step"
        self._file.write_bytes(struct.pack("q", 0))
        source, library = folder / "clock.c", folder / "clock.so"
        source.write_text(_SOURCE, "ascii")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"],
            check=True,
        )
        self.environment = {
            "LD_PRELOAD": str(library),
            "TOROS_CLOCK_STEP": str(self._file),
        }

    def set(self, ahead_s: int) -> None:
        """Let the clock be so far ahead of the true time [s], at once."""
        # In place: the daemons have the file in their memory.
        handle = os.open(self._file, os.O_WRONLY)
        try:
            os.pwrite(handle, struct.pack("q", ahead_s), 0)
        finally:
            os.close(handle)
