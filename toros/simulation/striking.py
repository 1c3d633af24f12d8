"""What all faults of the proxy have in common: which calls they strike, and how often."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from toros.simulation.exchange import Call, Exchange


class Memory:
    """What a fault remembers while it is in force."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  a rehearsal repeats itself
        self.released = asyncio.Event()
        """Set when the fault is taken away: what it holds is let go."""
        self.told: dict[str, str] = {}
        """The last command that was swallowed, by device."""

    async def wait(self, seconds: float) -> None:
        """Wait, unless the fault is taken away."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.released.wait(), seconds)


class DeviceFault(BaseModel):
    """What all faults have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    fault: str
    calls: str
    """Which calls: ``dome``, ``PUT dome/0/closeshutter``, ``GET */atpark``; * is anything."""

    lasting: ClassVar[bool] = False
    """Whether a call that it strikes lasts for a while."""

    @field_validator("calls")
    @classmethod
    def _names_calls(cls, calls: str) -> str:
        verb, _, pattern = calls.strip().rpartition(" ")
        if verb.strip() not in ("", "GET", "PUT") or not pattern:
            raise ValueError("a pattern is wanted, such as 'dome/0' or 'PUT dome/*/closeshutter'")
        return calls

    def concerns(self, call: Call) -> bool:
        """Tell whether a call is one of those that the fault is about."""
        return matches(self.calls, call)

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        raise NotImplementedError


class Strike(DeviceFault):
    """A fault that strikes single calls."""

    count: Annotated[int, Field(ge=1)] | None = None
    """After so many strikes it is spent; never by default."""
    skip: Annotated[int, Field(ge=0)] = 0
    """So many matching calls pass before the first strike."""
    one_in: Annotated[float, Field(ge=1)] = 1.0
    """Strikes at random, one call in so many on the average."""
    seed: int = 1
    """Of that chance: the same seed strikes the same calls."""


def matches(pattern: str, call: Call) -> bool:
    """Tell whether a call fits a pattern such as ``PUT dome/*/closeshutter``.

    The verb may be left out, and so may the end of the path: ``dome`` is every call to a dome.
    """
    verb, _, path = pattern.strip().rpartition(" ")
    path = path.lower().strip("/")
    if verb and verb.strip() != call.verb:
        return False
    return fnmatchcase(call.path, path) or fnmatchcase(call.path, f"{path}/*")


@dataclass
class Armed:
    """A fault in force."""

    id: int
    fault: DeviceFault
    seen: int = 0
    """Calls that it concerned."""
    hits: int = 0
    """Calls that it struck."""
    memory: Memory = field(init=False)

    def __post_init__(self) -> None:
        self.memory = Memory(getattr(self.fault, "seed", 0))

    def strikes(self, call: Call) -> bool:
        """Tell whether it strikes this call; asked once for every call, in their order."""
        if not self.fault.concerns(call):
            return False
        self.seen += 1
        if isinstance(self.fault, Strike):
            chance = self.memory.random.random()
            spent = self.fault.count is not None and self.hits >= self.fault.count
            if spent or self.seen <= self.fault.skip or chance * self.fault.one_in >= 1:
                return False
        self.hits += 1
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the fault and how it fared, for JSON."""
        return {
            "id": self.id,
            "seen": self.seen,
            "hits": self.hits,
            **self.fault.model_dump(),
        }


class Faults:
    """The faults in force, in the order in which they were added."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []
        self._last_id = 0

    def add(self, fault: DeviceFault) -> int:
        """Put a fault in force; return its id."""
        self._last_id += 1
        self._armed.append(Armed(self._last_id, fault))
        return self._last_id

    def clear(self, fault_id: int | None = None) -> int:
        """Take one fault away, or all; let go what they hold; return how many there were."""
        gone = [armed for armed in self._armed if fault_id in (None, armed.id)]
        for armed in gone:
            armed.memory.released.set()
            self._armed.remove(armed)
        return len(gone)

    def striking(self, call: Call) -> Armed | None:
        """Return the first fault that strikes a call."""
        return next((armed for armed in self._armed if armed.strikes(call)), None)

    def to_list(self) -> list[dict[str, Any]]:
        """Return the faults and how they fared, for JSON."""
        return [armed.to_dict() for armed in self._armed]
