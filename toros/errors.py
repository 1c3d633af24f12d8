"""The errors of TOROS, and the one code that each of them has everywhere.

``code`` is the XML-RPC fault code, the row of the StatusCode table and the
number in the documentation. A code never changes its meaning. 0 is success.

::

    TorosError
    ├── CalibrationError            100   a file batch could not be calibrated
    │   ├── SourceUnreachable       101   the files cannot be had now
    │   ├── SourceForbidden         102   the url points where it must not
    │   ├── UnsafeArchive           103   the archive breaks a rule or a limit
    │   ├── UnusableFrame           104   a file is no frame that can be used
    │   ├── NoUsableFrames          105   the batch has no frame for any step
    │   ├── MissingMaster           106   a product lacks a master it needs
    │   ├── StackingFailed          107   a group of frames could not be stacked
    │   ├── CorrectionFailed        108   a light could not be corrected
    │   ├── FileBatchNotFound       109   no such file batch
    │   ├── SourceIncomplete        110   the source changed or broke off
    │   └── DamagedFile             111   a file's checksum is not the recorded one
    ├── OrderError                  200   a work order could not be accepted
    │   ├── MalformedOrder          201   not a work order at all
    │   ├── UnknownRequest          202   no daemon knows the request
    │   ├── NotMine                 203   the request is another daemon's
    │   ├── InvalidField            204   a field's value is wrong
    │   ├── OrderConflict           205   the id was used for something else
    │   ├── OrderNotFound           206   no such order
    │   ├── Busy                    207   the queue is full
    │   ├── NotCancellable          208   the order has already ended
    │   ├── OrderCancelled          209   the order was cancelled
    │   ├── AuthenticationFailed    210   user or password is wrong
    │   ├── PermissionDenied        211   the user may not send this request
    │   ├── TooManyAttempts         212   too many wrong passwords
    │   ├── TransportRefused        220   the HTTP message is not acceptable
    │   ├── TooLarge                221   the message is over a limit
    │   ├── TooSlow                 222   the message did not arrive in time
    │   ├── TooManyConnections      223   no connection is free
    │   ├── MalformedMessage        224   the body is not acceptable XML-RPC
    │   ├── ServiceUnreachable      230   the daemon does not answer
    │   └── WaitTimeout             231   the order did not end in time
    ├── DomeError                   300   the dome could not do it
    │   ├── UnsafeWeather           301   the weather is not known to be safe
    │   ├── OutsideWindow           302   the dome is not to be open at this time
    │   ├── FaultLatched            303   an error waits to be acknowledged
    │   ├── DomeBusy                304   another motion of the dome is under way
    │   ├── WrongMode               305   the mode does not allow it
    │   ├── LeaseHeld               306   another holds the lease
    │   ├── NotSupported            307   the dome does not support it
    │   ├── ShutterFailed           308   the shutter did not do as told
    │   └── TurnFailed              309   the dome did not turn as told
    ├── TelescopeError              400   the telescope could not do it
    │   ├── NeverObservable         401   the target can never be observed from here
    │   ├── BeyondLimit             402   the pointing is beyond a limit
    │   ├── NotInThisState          403   the state of the night does not allow it
    │   ├── TelescopeBusy           404   the telescope is at other work
    │   ├── NightFaultLatched       405   an error of the night waits to be acknowledged
    │   ├── PointingFailed          406   the telescope does not point as told
    │   ├── ExposureFailed          407   an exposure failed
    │   ├── FocusFailed             408   no focus was found
    │   ├── CalibrationFailed       409   calibration frames could not be taken
    │   ├── DomeNotOpen             410   the dome is not open
    │   ├── TargetNotFound          411   no such target
    │   ├── Interrupted             412   the work was interrupted
    │   ├── NotSolved               413   the exposure's place on the sky was not found
    │   └── NoDevice                414   the device is not configured
    ├── AlertError                  500
    │   ├── NoticeRefused           501   a notice cannot be read
    │   ├── SkyMapRefused           502   a sky map is broken or beyond a limit
    │   ├── SkyMapUnreachable       503   a sky map cannot be had now
    │   ├── CatalogueRefused        504   a galaxy catalogue cannot be used
    │   └── EventNotFound           505   no such event
    ├── DeviceError                 600   a device did not do as told
    │   ├── DeviceUnreachable       601   the device does not answer
    │   ├── DeviceNotConnected      602   the device is not connected
    │   ├── DeviceRefused           603   the device refuses what it is told
    │   ├── DeviceLacks             604   the device cannot do this
    │   ├── DeviceFault             605   the device reports a fault
    │   ├── DeviceTimeout           606   the device did not finish in time
    │   └── DeviceNonsense          607   the device gives an answer that cannot be
    └── InternalError               900   a defect; the log has more under the tag
        ├── ConfigurationError      901   the configuration is wrong
        ├── DatabaseUnavailable     902   the database does not answer
        ├── SchemaMismatch          903   the database has another schema version
        ├── DiskFull                904   less than the reserve is free
        ├── AlreadyRunning          905   another instance runs
        ├── StorageFailed           906   a file cannot be read or written
        ├── Stopping                907   the daemon is going down
        └── Abandoned               908   the order ended its process again and again
"""

from __future__ import annotations

from typing import ClassVar

SUCCESS = 0


class TorosError(Exception):
    """The root of every error that TOROS raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, and what would be right, for a person; a line for each problem.
    """

    code: ClassVar[int] = 999
    description: ClassVar[str] = "unspecified error"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.description)
        self.status: dict[str, object] | None = None
        """The status of the order that this error ended, where a client knows it."""

    @property
    def message(self) -> str:
        """The text for a person."""
        return str(self.args[0])


class CalibrationError(TorosError):
    """A file batch could not be calibrated."""

    code = 100
    description = "a file batch could not be calibrated"


class SourceUnreachable(CalibrationError):
    """The files cannot be had now."""

    code = 101
    description = "the files cannot be had now"


class SourceForbidden(CalibrationError):
    """The url points where it must not."""

    code = 102
    description = "the url points where it must not"


class UnsafeArchive(CalibrationError):
    """The archive breaks a rule or a limit."""

    code = 103
    description = "the archive breaks a rule or a limit"


class UnusableFrame(CalibrationError):
    """A file is no frame that can be used."""

    code = 104
    description = "a file is no frame that can be used"


class NoUsableFrames(CalibrationError):
    """The batch has no frame for any step."""

    code = 105
    description = "the batch has no frame for any step"


class MissingMaster(CalibrationError):
    """A product lacks a master it needs."""

    code = 106
    description = "a product lacks a master it needs"


class StackingFailed(CalibrationError):
    """A group of frames could not be stacked."""

    code = 107
    description = "a group of frames could not be stacked"


class CorrectionFailed(CalibrationError):
    """A light could not be corrected."""

    code = 108
    description = "a light could not be corrected"


class FileBatchNotFound(CalibrationError):
    """No such file batch."""

    code = 109
    description = "no such file batch"


class SourceIncomplete(CalibrationError):
    """The source changed or broke off."""

    code = 110
    description = "the source changed or broke off"


class DamagedFile(CalibrationError):
    """A file's checksum is not the recorded one."""

    code = 111
    description = "a file's checksum is not the recorded one"


class OrderError(TorosError):
    """A work order could not be accepted."""

    code = 200
    description = "a work order could not be accepted"


class MalformedOrder(OrderError):
    """Not a work order at all."""

    code = 201
    description = "not a work order at all"


class UnknownRequest(OrderError):
    """No daemon knows the request."""

    code = 202
    description = "no daemon knows the request"


class NotMine(OrderError):
    """The request is another daemon's."""

    code = 203
    description = "the request is another daemon's"


class InvalidField(OrderError):
    """A field's value is wrong."""

    code = 204
    description = "a field's value is wrong"


class OrderConflict(OrderError):
    """The id was used for something else."""

    code = 205
    description = "the id was used for something else"


class OrderNotFound(OrderError):
    """No such order."""

    code = 206
    description = "no such order"


class Busy(OrderError):
    """The queue is full."""

    code = 207
    description = "the queue is full"


class NotCancellable(OrderError):
    """The order has already ended."""

    code = 208
    description = "the order has already ended"


class OrderCancelled(OrderError):
    """The order was cancelled."""

    code = 209
    description = "the order was cancelled"


class AuthenticationFailed(OrderError):
    """User or password is wrong."""

    code = 210
    description = "user or password is wrong"


class PermissionDenied(OrderError):
    """The user may not send this request."""

    code = 211
    description = "the user may not send this request"


class TooManyAttempts(OrderError):
    """Too many wrong passwords."""

    code = 212
    description = "too many wrong passwords"


class TransportRefused(OrderError):
    """The HTTP message is not acceptable."""

    code = 220
    description = "the HTTP message is not acceptable"


class TooLarge(OrderError):
    """The message is over a limit."""

    code = 221
    description = "the message is over a limit"


class TooSlow(OrderError):
    """The message did not arrive in time."""

    code = 222
    description = "the message did not arrive in time"


class TooManyConnections(OrderError):
    """No connection is free."""

    code = 223
    description = "no connection is free"


class MalformedMessage(OrderError):
    """The body is not acceptable XML-RPC."""

    code = 224
    description = "the body is not acceptable XML-RPC"


class ServiceUnreachable(OrderError):
    """The daemon does not answer."""

    code = 230
    description = "the daemon does not answer"


class WaitTimeout(OrderError):
    """The order did not end in time."""

    code = 231
    description = "the order did not end in time"


class DomeError(TorosError):
    """The dome could not do it."""

    code = 300
    description = "the dome could not do it"


class UnsafeWeather(DomeError):
    """The weather is not known to be safe."""

    code = 301
    description = "the weather is not known to be safe"


class OutsideWindow(DomeError):
    """The dome is not to be open at this time."""

    code = 302
    description = "the dome is not to be open at this time"


class FaultLatched(DomeError):
    """An error waits to be acknowledged."""

    code = 303
    description = "an error waits to be acknowledged"


class DomeBusy(DomeError):
    """Another motion of the dome is under way."""

    code = 304
    description = "another motion of the dome is under way"


class WrongMode(DomeError):
    """The mode does not allow it."""

    code = 305
    description = "the mode does not allow it"


class LeaseHeld(DomeError):
    """Another holds the lease."""

    code = 306
    description = "another holds the lease"


class NotSupported(DomeError):
    """The dome does not support it."""

    code = 307
    description = "the dome does not support it"


class ShutterFailed(DomeError):
    """The shutter did not do as told."""

    code = 308
    description = "the shutter did not do as told"


class TurnFailed(DomeError):
    """The dome did not turn as told."""

    code = 309
    description = "the dome did not turn as told"


class TelescopeError(TorosError):
    """The telescope could not do it."""

    code = 400
    description = "the telescope could not do it"


class NeverObservable(TelescopeError):
    """The target can never be observed from here."""

    code = 401
    description = "the target can never be observed from here"


class BeyondLimit(TelescopeError):
    """The pointing is beyond a limit."""

    code = 402
    description = "the pointing is beyond a limit"


class NotInThisState(TelescopeError):
    """The state of the night does not allow it."""

    code = 403
    description = "the state of the night does not allow it"


class TelescopeBusy(TelescopeError):
    """The telescope is at other work."""

    code = 404
    description = "the telescope is at other work"


class NightFaultLatched(TelescopeError):
    """An error of the night waits to be acknowledged."""

    code = 405
    description = "an error of the night waits to be acknowledged"


class PointingFailed(TelescopeError):
    """The telescope does not point as told."""

    code = 406
    description = "the telescope does not point as told"


class ExposureFailed(TelescopeError):
    """An exposure failed."""

    code = 407
    description = "an exposure failed"


class FocusFailed(TelescopeError):
    """No focus was found."""

    code = 408
    description = "no focus was found"


class CalibrationFailed(TelescopeError):
    """Calibration frames could not be taken."""

    code = 409
    description = "calibration frames could not be taken"


class DomeNotOpen(TelescopeError):
    """The dome is not open."""

    code = 410
    description = "the dome is not open"


class TargetNotFound(TelescopeError):
    """No such target."""

    code = 411
    description = "no such target"


class Interrupted(TelescopeError):
    """The work was interrupted."""

    code = 412
    description = "the work was interrupted"


class NotSolved(TelescopeError):
    """The exposure's place on the sky was not found."""

    code = 413
    description = "the exposure's place on the sky was not found"


class NoDevice(TelescopeError):
    """The device is not configured."""

    code = 414
    description = "the device is not configured"


class AlertError(TorosError):
    """An alert robot error."""

    code = 500
    description = "an alert robot error"


class NoticeRefused(AlertError):
    """The notice cannot be read."""

    code = 501
    description = "the notice cannot be read"


class SkyMapRefused(AlertError):
    """The sky map is broken, or beyond a limit."""

    code = 502
    description = "the sky map is broken, or beyond a limit"


class SkyMapUnreachable(AlertError):
    """The sky map cannot be had now; it may be later."""

    code = 503
    description = "the sky map cannot be had now"


class CatalogueRefused(AlertError):
    """The galaxy catalogue, or what it is made of, cannot be used."""

    code = 504
    description = "the galaxy catalogue cannot be used"


class EventNotFound(AlertError):
    """There is no such event."""

    code = 505
    description = "no such event"


class DeviceError(TorosError):
    """A device did not do as told."""

    code = 600
    description = "a device did not do as told"


class DeviceUnreachable(DeviceError):
    """The device does not answer."""

    code = 601
    description = "the device does not answer"


class DeviceNotConnected(DeviceError):
    """The device is not connected."""

    code = 602
    description = "the device is not connected"


class DeviceRefused(DeviceError):
    """The device refuses what it is told."""

    code = 603
    description = "the device refuses what it is told"


class DeviceLacks(DeviceError):
    """The device cannot do this."""

    code = 604
    description = "the device cannot do this"


class DeviceFault(DeviceError):
    """The device reports a fault."""

    code = 605
    description = "the device reports a fault"


class DeviceTimeout(DeviceError):
    """The device did not finish in time."""

    code = 606
    description = "the device did not finish in time"


class DeviceNonsense(DeviceError):
    """The device gives an answer that cannot be."""

    code = 607
    description = "the device gives an answer that cannot be"


class InternalError(TorosError):
    """A defect; the log has more under the tag."""

    code = 900
    description = "a defect; the log has more under the tag"


class ConfigurationError(InternalError):
    """The configuration is wrong."""

    code = 901
    description = "the configuration is wrong"


class DatabaseUnavailable(InternalError):
    """The database does not answer."""

    code = 902
    description = "the database does not answer"


class SchemaMismatch(InternalError):
    """The database has another schema version."""

    code = 903
    description = "the database has another schema version"


class DiskFull(InternalError):
    """Less than the reserve is free."""

    code = 904
    description = "less than the reserve is free"


class AlreadyRunning(InternalError):
    """Another instance runs."""

    code = 905
    description = "another instance runs"


class StorageFailed(InternalError):
    """A file cannot be read or written."""

    code = 906
    description = "a file cannot be read or written"


class Stopping(InternalError):
    """The daemon is going down."""

    code = 907
    description = "the daemon is going down"


class Abandoned(InternalError):
    """The order ended its process again and again."""

    code = 908
    description = "the order ended its process again and again"


def error_classes() -> list[type[TorosError]]:
    """List every error class below `TorosError`, by ascending code."""

    def below(cls: type[TorosError]) -> list[type[TorosError]]:
        return [c for sub in cls.__subclasses__() for c in (sub, *below(sub))]

    return sorted(below(TorosError), key=lambda cls: cls.code)


def from_code(code: int, message: str) -> TorosError:
    """Make the error that a fault stands for.

    Parameters
    ----------
    code : int
        A fault code; one that this version does not know gives a plain
        `TorosError` that says so.
    message : str
        The fault's text.
    """
    for cls in error_classes():
        if cls.code == code:
            return cls(message)
    return TorosError(f"[unknown code {code}] {message}")
