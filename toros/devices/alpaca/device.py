"""What all drivers of Alpaca devices have in common."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from toros.config.hardware import Device
from toros.devices.alpaca.replies import flag, shown, whole
from toros.devices.alpaca.transport import Transport, speak
from toros.errors import (
    DeviceLacks,
    DeviceNonsense,
    DeviceNotConnected,
    DeviceTimeout,
)

T = TypeVar("T")

CONNECT_TIMEOUT_S = 60.0
"""How long a device may take to connect to its hardware; a camera may need half of it."""


class AlpacaDevice:
    """A device behind an Alpaca server. Making one opens no connection.

    Parameters
    ----------
    settings : Device
        Address, number, timeout and retries.
    """

    kind: ClassVar[str]
    """What TOROS calls it."""
    alpaca_type: ClassVar[str]
    """What Alpaca calls it, in lower case."""
    platform_7: ClassVar[int]
    """The InterfaceVersion from which on it has Connect and Connecting."""

    def __init__(self, settings: Device, make: Callable[[str, int], Any]) -> None:
        self._settings = settings
        self._make = make
        self._alpaca = self._speaking()

    def _speaking(self, *, hurried: bool = False) -> Any:
        transport = Transport(self._settings, self.alpaca_type, self.name, hurried=hurried)
        return speak(self._make, transport)

    @property
    def name(self) -> str:
        """What messages call it, such as ``dome 127.0.0.1:11111/0``."""
        words = self.kind.replace("_", " ")
        return f"{words} {self._settings.address}/{self._settings.device_number}"

    def connected(self) -> bool:
        """Ask the device whether it is connected."""
        return self._ask("Connected", flag)

    def connect(self) -> None:
        """Make it ready; returns when it is. Doing it again does no harm.

        Raises
        ------
        DeviceTimeout
            It is not connected within `CONNECT_TIMEOUT_S`.
        DeviceError
            It cannot be connected.
        """
        if self.connected():
            return
        if self._interface_version() >= self.platform_7:
            self._alpaca._put("connect")
            self._wait(lambda: not self._ask("Connecting", flag))
        else:
            try:
                self._alpaca._put("connected", Connected=True)
            except DeviceTimeout:
                # Older drivers answer when they are connected, which may be late.
                self._wait(self.connected)
        if not self.connected():
            raise DeviceNotConnected(f"{self.name}: it did not connect, and does not say why")

    def _wait(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            # Some servers answer nothing while they connect.
            with contextlib.suppress(DeviceTimeout):
                if done():
                    return
            if time.monotonic() > deadline:
                raise DeviceTimeout(f"{self.name}: not connected within {CONNECT_TIMEOUT_S:g} s")
            time.sleep(0.1)

    def _interface_version(self) -> int:
        # alpyca takes every failure of this question, a timeout too, for version 1.
        try:
            return self._ask("InterfaceVersion", whole(1, 1000))
        except (DeviceLacks, DeviceNonsense):
            return 1

    def disconnect(self) -> None:
        """Let it go; it is left as it is.

        Raises
        ------
        DeviceError
            It does not take the command.
        """
        if self._interface_version() >= self.platform_7:
            self._alpaca._put("disconnect")
        else:
            self._alpaca._put("connected", Connected=False)

    def _ask(self, attribute: str, check: Callable[[object], T], device: Any = None) -> T:
        """Ask for a property, by the name that ASCOM gives it.

        The value is taken as it came: alpyca's enumerations take true for 1, which a shutter
        means by closed.

        Raises
        ------
        DeviceNonsense
            The value cannot be.
        DeviceError
            There is none.
        """
        call = attribute.lower()
        value: object = (device or self._alpaca)._get(call)
        try:
            return check(value)
        except ValueError as error:
            raise DeviceNonsense(f"{self.name}: {call} is {shown(value)}: {error}") from None

    def _ask_if_there(self, attribute: str, check: Callable[[object], T]) -> T | None:
        """Ask for a property that not every device has; None where it has none."""
        try:
            return self._ask(attribute, check)
        except DeviceLacks:
            return None
