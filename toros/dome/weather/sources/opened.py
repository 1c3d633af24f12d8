"""A device that is opened when it is first needed, and connected again when it was let go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from toros.devices.protocols import Device
from toros.errors import DeviceNotConnected, DeviceUnreachable

AnyDevice = TypeVar("AnyDevice", bound=Device)
Answer = TypeVar("Answer")


class Opened(Generic[AnyDevice]):
    """A device, as it is needed.

    Parameters
    ----------
    name : str
        What messages call it.
    opener : callable
        Returns the device; None if there is none.
    """

    def __init__(self, name: str, opener: Callable[[], AnyDevice | None]) -> None:
        self._name = name
        self._opener = opener
        self._device: AnyDevice | None = None
        self._connected = False

    def ask(self, question: Callable[[AnyDevice], Answer]) -> Answer:
        """Put a question to the connected device.

        Raises
        ------
        DeviceError
        """
        if self._device is None:
            self._device = self._opener()
        if self._device is None:
            raise DeviceUnreachable(f"{self._name}: there is no such device (Driver: none)")
        if not self._connected:
            self._device.connect()
            self._connected = True
        try:
            return question(self._device)
        except DeviceNotConnected:
            self._connected = False
            raise
