"""Settings of devices, the same for each kind."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from toros.config.kinds import HostPort, Kind, Section, expected, number, whole

_DRIVERS = "one of none, alpaca, simulated"


class Device(Section):
    """A device, and how it is reached."""

    driver: Annotated[Literal["none", "alpaca", "simulated"], Kind(_DRIVERS)] = Field(
        "none",
        alias="Driver",
        description="none: there is no such device; alpaca: an ASCOM Alpaca server; simulated: "
        "the package's own simulation (Rehearsal).",
    )
    address: HostPort | None = Field(
        None, alias="Address", description="Host and port of the Alpaca server."
    )
    device_number: Annotated[int, *whole(0, 4_000_000_000)] = Field(
        0, alias="Number", description="Number of the device on its server."
    )
    timeout_s: Annotated[float, *number(0.1, 120)] = Field(
        5.0, alias="Timeout (s)", description="How long one call to the device may take."
    )
    retries: Annotated[int, *whole(0, 20)] = Field(
        2,
        alias="Retries",
        description="How often a question that was not answered is asked again; commands that "
        "move something are never resent blindly.",
    )

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if self.driver == "alpaca" and self.address is None:
            raise expected("Address: an Alpaca device needs the host and port of its server")
        return self
