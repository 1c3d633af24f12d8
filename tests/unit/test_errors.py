"""The error tree: one stable code each."""

from __future__ import annotations

import inspect

import pytest

from toros import errors

# A code never changes: a row may be added here, none may be altered.
CODES = {
    "CalibrationError": 100, "SourceUnreachable": 101, "SourceForbidden": 102,
    "UnsafeArchive": 103, "UnusableFrame": 104, "NoUsableFrames": 105, "MissingMaster": 106,
    "StackingFailed": 107, "CorrectionFailed": 108, "FileBatchNotFound": 109,
    "SourceIncomplete": 110, "DamagedFile": 111, "OrderError": 200, "MalformedOrder": 201,
    "UnknownRequest": 202, "NotMine": 203, "InvalidField": 204, "OrderConflict": 205,
    "OrderNotFound": 206, "Busy": 207, "NotCancellable": 208, "OrderCancelled": 209,
    "AuthenticationFailed": 210, "PermissionDenied": 211, "TooManyAttempts": 212,
    "TransportRefused": 220, "TooLarge": 221, "TooSlow": 222, "TooManyConnections": 223,
    "MalformedMessage": 224, "ServiceUnreachable": 230, "WaitTimeout": 231, "DomeError": 300,
    "UnsafeWeather": 301, "OutsideWindow": 302, "FaultLatched": 303, "DomeBusy": 304,
    "WrongMode": 305, "LeaseHeld": 306, "NotSupported": 307, "ShutterFailed": 308,
    "TurnFailed": 309, "TelescopeError": 400, "NeverObservable": 401, "BeyondLimit": 402,
    "NotInThisState": 403, "TelescopeBusy": 404, "NightFaultLatched": 405, "PointingFailed": 406,
    "ExposureFailed": 407, "FocusFailed": 408, "CalibrationFailed": 409, "DomeNotOpen": 410,
    "TargetNotFound": 411, "Interrupted": 412, "NotSolved": 413, "NoDevice": 414,
    "AlertError": 500, "NoticeRefused": 501, "SkyMapRefused": 502, "SkyMapUnreachable": 503,
    "CatalogueRefused": 504, "EventNotFound": 505,
    "DeviceError": 600, "DeviceUnreachable": 601, "DeviceNotConnected": 602,
    "DeviceRefused": 603, "DeviceLacks": 604, "DeviceFault": 605, "DeviceTimeout": 606,
    "DeviceNonsense": 607, "InternalError": 900, "ConfigurationError": 901,
    "DatabaseUnavailable": 902, "SchemaMismatch": 903, "DiskFull": 904, "AlreadyRunning": 905,
    "StorageFailed": 906, "Stopping": 907, "Abandoned": 908,
}  # fmt: skip


def test_codes_are_stable():
    assert {cls.__name__: cls.code for cls in errors.error_classes()} == CODES


def test_codes_are_unique_and_within_their_family():
    classes = errors.error_classes()
    assert len({cls.code for cls in classes}) == len(classes)
    for cls in classes:
        family = cls.__mro__[-5]  # the class right below TorosError
        assert cls.code // 100 == family.code // 100, cls


@pytest.mark.parametrize("cls", errors.error_classes(), ids=lambda cls: cls.__name__)
def test_an_error_comes_back_as_itself(cls):
    back = errors.from_code(cls.code, "why")
    assert type(back) is cls
    assert back.message == "why"


def test_an_unknown_code_is_told():
    assert errors.from_code(777, "why").message == "[unknown code 777] why"


def test_the_drawn_tree_names_every_class():
    drawn = inspect.getdoc(errors)
    for cls in errors.error_classes():
        assert f"{cls.__name__} " in drawn
        assert f" {cls.code}" in drawn
