"""The faults that the proxy can inject between a driver and an Alpaca server.

This is the one list of them: a class each, its fields are its options, `act` is what
it does to a call. docs/how-to/rehearse-device-faults.md describes them to users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from toros.errors import ConfigurationError
from toros.simulation.exchange import Call, Exchange
from toros.simulation.striking import DeviceFault, Memory, Strike

_OPENING, _CLOSING, _SHUTTER_ERROR = 2, 3, 4  # of Alpaca's ShutterState
_TRAVEL = {"openshutter": _OPENING, "closeshutter": _CLOSING}
_INT32 = 2**31

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Hang(Strike):
    """The call is accepted and never answered; the server does not get it."""

    fault: Literal["hang"] = "hang"
    lasting: ClassVar[bool] = True

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await exchange.hold(memory.released)


class LateReply(Strike):
    """The server carries the call out at once; its reply comes late."""

    fault: Literal["late_reply"] = "late_reply"
    lasting: ClassVar[bool] = True
    delay_s: Seconds

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        reply = await exchange.forward()
        try:
            await memory.wait(self.delay_s)
            await exchange.relay(reply)
        finally:
            reply.close()


class LateCall(Strike):
    """The server gets the call late, also when the client has given up by then."""

    fault: Literal["late_call"] = "late_call"
    lasting: ClassVar[bool] = True
    delay_s: Seconds

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await memory.wait(self.delay_s)
        await exchange.relay(await exchange.forward())


class LostReply(Strike):
    """The server carries the call out; the connection closes without a reply."""

    fault: Literal["lost_reply"] = "lost_reply"

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await exchange.execute()
        exchange.close()


class Reset(Strike):
    """The connection is reset; the server does not get the call."""

    fault: Literal["reset"] = "reset"

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        exchange.reset()


class HttpStatus(Strike):
    """The answer is an HTTP error."""

    fault: Literal["http_status"] = "http_status"
    status: Annotated[int, Field(ge=400, le=599)] = 500
    executed: bool = False
    """Whether the server carries the call out all the same."""

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        if self.executed:
            await exchange.execute()
        await exchange.answer(self.status, b"injected by toros rehearse proxy", "text/plain")


class AlpacaError(Strike):
    """The answer is an error of Alpaca's, as devices report their own."""

    fault: Literal["error"] = "error"
    number: Annotated[int, Field(ge=-_INT32, lt=_INT32)]
    """Such as 0x500; JSON wants it in decimal."""
    message: str = "injected by toros rehearse proxy"
    executed: bool = False
    """Whether the server carries the call out all the same."""

    @field_validator("number")
    @classmethod
    def _is_an_error(cls, number: int) -> int:
        if number == 0:
            raise ValueError("0 is Alpaca's word for no error")
        return number

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        if self.executed:
            await exchange.execute()
        await exchange.answer_alpaca(self.number, self.message)


class Garbage(Strike):
    """The server carries the call out; the answer is no JSON and no image."""

    fault: Literal["garbage"] = "garbage"
    text: str = "<html>\x00 {not this"

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await exchange.execute()
        await exchange.answer(200, self.text.encode())


class Truncated(Strike):
    """The server carries the call out; the connection closes within the body."""

    fault: Literal["truncated"] = "truncated"
    bytes: Annotated[int, Field(ge=0)] = 20
    """So many of the body arrive; its last byte never does."""

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await exchange.relay_part(await exchange.forward(), self.bytes)
        exchange.close()


class Stalled(Strike):
    """The server carries the call out; the answer stops within the body and never goes on."""

    fault: Literal["stalled"] = "stalled"
    lasting: ClassVar[bool] = True
    bytes: Annotated[int, Field(ge=0)] = 20
    """So many of the body arrive; its last byte never does."""

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await exchange.relay_part(await exchange.forward(), self.bytes)
        await exchange.hold(memory.released)


class Slow(Strike):
    """The answer's body arrives at a certain speed."""

    fault: Literal["slow"] = "slow"
    lasting: ClassVar[bool] = True
    bytes_per_s: Annotated[float, Field(ge=1)]

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await exchange.relay(await exchange.forward(), self.bytes_per_s)


class Value(Strike):
    """A question gets this value; the server is not asked."""

    model_config = ConfigDict(allow_inf_nan=True)

    fault: Literal["value"] = "value"
    value: Any
    """Anything: a number out of range, .nan, null, text, a list."""

    def concerns(self, call: Call) -> bool:
        """Tell whether a call is one of those that the fault is about."""
        return call.verb == "GET" and super().concerns(call)

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await exchange.answer_alpaca(Value=self.value)


class ShutterStuck(DeviceFault):
    """Opening and closing are answered with success and do not happen."""

    fault: Literal["shutter_stuck"] = "shutter_stuck"
    moving: bool = False
    """Whether the shutter says from then on that it opens or closes, without end."""

    def concerns(self, call: Call) -> bool:
        """Tell whether a call is one of those that the fault is about."""
        asked = call.verb == "GET" and self.moving and call.member in ("shutterstatus", "slewing")
        told = call.verb == "PUT" and call.member in _TRAVEL
        return (asked or told) and super().concerns(call)

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        call = exchange.call
        if call.verb == "PUT":
            memory.told[call.device] = call.member
            await exchange.answer_alpaca()
        elif call.device not in memory.told:
            await exchange.relay(await exchange.forward())
        elif call.member == "slewing":
            await exchange.answer_alpaca(Value=True)
        else:
            await exchange.answer_alpaca(Value=_TRAVEL[memory.told[call.device]])


class ShutterError(DeviceFault):
    """The shutter says Error; what it is told goes through."""

    fault: Literal["shutter_error"] = "shutter_error"

    def concerns(self, call: Call) -> bool:
        """Tell whether a call is one of those that the fault is about."""
        asked = call.verb == "GET" and call.member == "shutterstatus"
        return asked and super().concerns(call)

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        await exchange.answer_alpaca(Value=_SHUTTER_ERROR)


class FalsePark(DeviceFault):
    """Parking is answered with success and does not happen; the device says that it is parked."""

    fault: Literal["false_park"] = "false_park"

    def concerns(self, call: Call) -> bool:
        """Tell whether a call is one of those that the fault is about."""
        asked = call.verb == "GET" and call.member == "atpark"
        leaves = call.member == "unpark" or call.member.startswith("slewto")
        told = call.verb == "PUT" and (call.member == "park" or leaves)
        return (asked or told) and super().concerns(call)

    async def act(self, exchange: Exchange, memory: Memory) -> None:
        """Do to a call what this fault does."""
        call = exchange.call
        if call.member == "park":
            memory.told[call.device] = call.member
            await exchange.answer_alpaca()
        elif call.verb == "GET" and call.device in memory.told:
            await exchange.answer_alpaca(Value=True)
        else:
            if call.verb == "PUT":
                memory.told.pop(call.device, None)
            await exchange.relay(await exchange.forward())


Fault = (
    Hang | LateReply | LateCall | LostReply | Reset | HttpStatus | AlpacaError | Garbage
    | Truncated | Stalled | Slow | Value | ShutterStuck | ShutterError | FalsePark
)  # fmt: skip

KINDS: Mapping[str, type[DeviceFault]] = {
    kind.model_fields["fault"].default: kind for kind in Fault.__args__
}
"""Every kind of fault by its name."""

_ADAPTER: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="fault")])


def parse_fault(fault: object) -> Fault:
    """Read a fault as it is written in a file or sent to the proxy.

    Raises
    ------
    ConfigurationError
        Says for each wrong option what would be right.
    """
    try:
        return _ADAPTER.validate_python(fault)
    except ValidationError as error:
        raise ConfigurationError(
            "; ".join(_problem(dict(problem), fault) for problem in error.errors())
        ) from None


def parse_faults(faults: object) -> list[Fault]:
    """Read a list of faults.

    Raises
    ------
    ConfigurationError
        Says for each wrong option what would be right.
    """
    if not isinstance(faults, list):
        raise ConfigurationError("a list of faults is wanted, each with fault and calls")
    found: list[Fault] = []
    problems = []
    for place, fault in enumerate(faults, 1):
        try:
            found.append(parse_fault(fault))
        except ConfigurationError as error:
            problems.append(f"fault {place}: {error.message}")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return found


def _problem(problem: dict[str, Any], fault: object) -> str:
    if problem["type"].startswith("union_tag") or not isinstance(fault, Mapping):
        return f"{fault!r}: fault is one of {', '.join(KINDS)}"
    where = ".".join(str(part) for part in problem["loc"][1:])  # the first is the kind
    got = "" if problem["type"] == "missing" else f", not {problem['input']!r}"
    return f"{where}: {problem['msg']}{got}"
