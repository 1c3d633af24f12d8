"""What all simulated devices have in common: a connection, faults, a record of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from toros.errors import DeviceError, DeviceNotConnected
from toros.simulation.observatory import faults
from toros.simulation.observatory.truth import Motion

if TYPE_CHECKING:
    from toros.simulation.observatory.world import World


class SimulatedDevice:
    """A device of a simulated observatory, as one process holds it.

    The hardware's state is in the world's files; all that is here is this process's connection.

    Parameters
    ----------
    world : World
    timeout_s : float
        How long a call may hang, in real time [s].
    """

    kind: ClassVar[str]

    def __init__(self, world: World, timeout_s: float = 5.0) -> None:
        self.world = world
        self.timeout_s = timeout_s
        self._connected = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"simulated {self.kind.replace('_', ' ')}"

    def connect(self) -> None:
        """Make it ready."""
        with self._call("connect", needs_connection=False):
            self._connected = True

    def disconnect(self) -> None:
        """Let it go; the hardware goes on."""
        self._connected = False

    def connected(self) -> bool:
        """Ask whether it is connected."""
        if self.world.faults.active(self.kind, "disconnected"):
            return False
        with self._call("connected", needs_connection=False):
            return self._connected

    @property
    def _now_s(self) -> float:
        return self.world.clock.monotonic()

    @contextmanager
    def _call(self, call: str, *, needs_connection: bool = True) -> Iterator[None]:
        """Surround a call: the connection and what faults make of the call and its answer."""
        if needs_connection and not self._connected:
            raise DeviceNotConnected(f"{self.name}: {call}: connect it first")
        faults.before_call(self.world.faults, self.kind, call)
        yield
        faults.after_call(self.world.faults, self.kind, call, self.timeout_s)

    @contextmanager
    def _command(self, command: str, **values: object) -> Iterator[None]:
        """Surround a command; one that fails is on the record, too."""
        try:
            with self._call(command):
                yield
        except DeviceError as error:
            self._record(command, None, refused=f"{type(error).__name__}: {error}", **values)
            raise

    def _record(self, event: str, motion: Motion | None = None, **values: object) -> None:
        at_s = motion.from_s if motion else None
        self.world.truth_log.add(self.kind, event, motion, at_s=at_s, **values)
