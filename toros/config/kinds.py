"""The kinds of values that settings have: how each is checked and how it is called.

Every kind carries a `Kind`, the words by which error messages and the
reference call what is expected. Nothing is converted behind the reader's back:
a quoted ``"8080"`` is no number and ``12`` is no text; only a whole number
stands where a number is wanted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SecretStr,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Value = TypeVar("Value")

EXPECTED = "expected"
"""The type of the errors that our own validators raise: their text says what would be right."""


@dataclass(frozen=True)
class Kind:
    """What a value should be, in words that fit after "expected".

    Parameters
    ----------
    text : str
        For example "a port, 1 to 65535".
    secret : bool
        The value is never shown.
    url : bool
        The value may hold a user and a password before an ``@``.
    """

    text: str
    secret: bool = False
    url: bool = False


class FrozenDict(dict[str, Value], Generic[Value]):
    """A dictionary that cannot be changed, and can be hashed and pickled."""

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("settings cannot be changed; edit the configuration and restart")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict[Value]], tuple[dict[str, Value]]]:
        return type(self), (dict(self),)


def freeze(value: object) -> Any:
    """Turn lists into tuples and dictionaries into `FrozenDict`, all the way down."""
    if isinstance(value, Mapping):
        return FrozenDict({str(key): freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


class Section(BaseModel):
    """A part of the configuration: frozen, strict, and without unknown keys.

    A key without a value (``Key:``) means the same as a key that is not there.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )
    null_means_default: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        if not isinstance(data, dict) or not cls.null_means_default:
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        # An unknown key stays, to be refused even without a value.
        return {k: value for k, value in data.items() if value is not None or k not in known}

    def _derive(self, name: str, value: object) -> None:
        """Give the setting `name` a default that depends on others, unless it was given."""
        if name not in self.model_fields_set:
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class GivenKeys:
    """Check a mapping as the section `model`, and keep of it the keys that were given."""

    model: type[Section]

    def __get_pydantic_core_schema__(
        self, _source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def given(section: Section) -> FrozenDict[Any]:
            return FrozenDict(
                {
                    name: getattr(section, name)
                    for name in type(section).model_fields
                    if name in section.model_fields_set
                }
            )

        return core_schema.no_info_after_validator_function(
            given, handler.generate_schema(self.model)
        )


def expected(text: str) -> PydanticCustomError:
    """Make the error that says what would be right, where it differs from the `Kind`."""
    # The text goes in as a value, so that braces in it are not taken for a template.
    return PydanticCustomError(EXPECTED, "{text}", {"text": text})


def _matches(pattern: str, text: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise expected(text)
        return value

    return AfterValidator(check)


def whole(low: int, high: int) -> tuple[Any, ...]:
    """Give the metadata of a whole number from `low` to `high`."""
    return Field(ge=low, le=high), Kind(f"a whole number, {low} to {high}")


def number(low: float, high: float, unit: str = "") -> tuple[Any, ...]:
    """Give the metadata of a number from `low` to `high`, both included."""
    words = f"a number{' of ' + unit if unit else ''}, {low:.12g} to {high:.12g}"
    return Field(ge=low, le=high), Kind(words)


def _absolute(value: object) -> object:
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        raise expected(_PATH)
    # A daemon's working folder and home are accidents of how it was started.
    if not value.startswith("/") or "\0" in value or ".." in Path(value).parts:
        raise expected(_PATH)
    return Path(value)


def _host_of(url: str) -> str | None:
    """Return the host of an http(s) url, or None if it is no such url."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return None
    good = good and not parts.query and not parts.fragment and url.isprintable() and " " not in url
    return parts.hostname if good else None


def _http(value: str) -> str:
    if not _host_of(value):
        raise expected(_HTTP)
    return value


def _data_address(value: str) -> str:
    """Take an address that may have a query, such as a weather station's."""
    if not _host_of(value.partition("?")[0]) or not value.isprintable() or "#" in value:
        raise expected(_DATA)
    return value


def _host_port(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdigit() and 1 <= int(port) <= 65535):
        raise expected(_HOST_PORT)
    return value


def _ip(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise expected(_IP) from None


_PATH = "an absolute path, such as /var/lib/toros, without .. and ~"
_HTTP = "an address such as http://127.0.0.1:8080"
_IP = "an IP address, such as 127.0.0.1"
_DATA = "an address such as http://127.0.0.1:8000/weather.json?now"
_HOST_PORT = "a host and its port, such as 127.0.0.1:11111"
_MAIL = "an e-mail address, such as astronomer@example.org"
_HOST = "a host's name or address, such as archive.example.org, without http:// and port"

Flag = Annotated[bool, Kind("true or false")]
Port = Annotated[int, Field(ge=1, le=65535), Kind("a port, a whole number, 1 to 65535")]
IP = Annotated[str, AfterValidator(_ip), Kind(_IP)]
WebAddress = Annotated[str, AfterValidator(_http), Kind(_HTTP, url=True)]
HTTP = Annotated[WebAddress, Field(repr=False)]
DataAddress = Annotated[str, AfterValidator(_data_address), Kind(_DATA, url=True)]
HostPort = Annotated[str, AfterValidator(_host_port), Kind(_HOST_PORT)]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute), Kind(_PATH)]
Secret = Annotated[SecretStr, Kind("text in quotes", secret=True)]

# Control characters would break the log lines, headers and mails that these end up in.
Text = Annotated[
    str,
    _matches(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+", "text on one line, not empty"),
    Kind("text (in quotes if it looks like something else)"),
]
Mail = Annotated[
    str,
    _matches(r"[^\s@<>,;:\x00-\x1f\x7f]+@[^\s@<>,;:\x00-\x1f\x7f]+", _MAIL),
    Kind(_MAIL),
]
HostName = Annotated[
    str,
    # Colons are those of an IPv6 address.
    _matches(r"(?=.{1,253}\Z)[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9:])?", _HOST),
    AfterValidator(str.lower),
    Kind(_HOST),
]


def _list_of(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Listed = BeforeValidator(_list_of)
"""Goes with every tuple: a YAML list is taken for it, and nothing else is."""


def duplicates(values: Iterable[str]) -> list[str]:
    """List what occurs more than once, in the order of the first repetition."""
    seen: dict[str, int] = {}
    for value in values:
        seen[value] = seen.get(value, 0) + 1
    return [value for value, count in seen.items() if count > 1]
