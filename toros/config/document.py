"""Reading a YAML file into plain data, with the line of every value.

The file is read with the core schema of YAML 1.2 (section 10.3.2): ``yes``,
``12:30`` and ``2019-03-05`` are text and ``1e-3`` is a number, where YAML 1.1
makes a truth value, 750, a date and text of them. Aliases, anchors and tags
are refused, since a few lines of them can stand for gigabytes or run code;
so are repeated keys, of which one would silently win.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.events import AliasEvent, NodeEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from toros.config.shape import Place, readable
from toros.errors import ConfigurationError

SIZE_LIMIT_BYTES = 1_000_000
DEPTH_LIMIT = 32

_STR, _INT, _FLOAT, _BOOL, _NULL = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")
)


@dataclass
class Document:
    """What a file holds.

    Attributes
    ----------
    source : Path
        The file.
    data : object
        Dictionaries, lists, text, numbers, truth values and None.
    lines : dict
        From the readable names of places to their lines, counted from 1.
    sha256 : str
        The SHA-256 of the file's bytes.
    readable_by_all : bool
        Every user of this machine may read the file.
    """

    source: Path
    data: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    sha256: str = ""
    readable_by_all: bool = False


class _Refused(Exception):
    """Something in the file that is not taken, and its line counted from 0."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """A loader that makes nodes of scalars, lists and mappings alone."""

    # Of its own: the class attribute is shared with every other loader.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            # Neither name is echoed: it may be a password that begins with * or &.
            raise _Refused(
                line, "an alias or anchor; expected text that begins with * or & in quotes"
            )
        if getattr(event, "tag", None) is not None:
            raise _Refused(line, "a tag; expected text that begins with ! in quotes")
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise _Refused(line, f"nested too deeply; expected at most {DEPTH_LIMIT} levels")
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        _FLOAT,
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises
    ------
    ConfigurationError
        The file cannot be read, is too large, or is not the YAML described above.
    """
    content, mode = _read(path)
    document = Document(path, sha256=hashlib.sha256(content).hexdigest())
    document.readable_by_all = bool(mode & stat.S_IROTH)
    try:
        document.data = _parse(_decode(content), document.lines)
    except _Refused as refused:
        raise ConfigurationError(f"{path}:{refused.line + 1}: {refused}") from None
    return document


def _read(path: Path) -> tuple[bytes, int]:
    try:
        # A pipe in the file's place must not block the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{path}: not a file; expected a YAML file")
            content = file.read(SIZE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: no such file; expected the configuration (TOROS_CONFIG or an option names "
            "another file)"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"{path}: cannot be read: {reason}; expected a file that this process may read"
        ) from None
    if len(content) > SIZE_LIMIT_BYTES:
        raise ConfigurationError(
            f"{path}: too large; expected at most {SIZE_LIMIT_BYTES} bytes of YAML"
        )
    return content, mode


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start)
        raise _Refused(line, f"byte 0x{content[error.start]:02x}; expected UTF-8 text") from None


def _parse(text: str, lines: dict[str, int]) -> Any:
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        raise _Refused(line, "a character that YAML does not allow; expected plain text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Refused(mark.line if mark else 0, f"not YAML: {_without_content(error)}") from None
    return None if node is None else _build(node, (), lines)


# What YAML's words for the usual mistakes mean for the person who made them.
_RIGHT = (
    ("'\\t'", "; expected blanks, not tabs, before a key"),
    ("mapping values are not allowed", "; expected quotes around a text that holds ': ', "
     "and the same number of blanks before all keys of a section"),
    ("end of stream", "; expected a closing quote or bracket"),
    ("expected <block end>", "; expected the same number of blanks before all keys of a section"),
)  # fmt: skip


def _without_content(error: yaml.MarkedYAMLError) -> str:
    """Take out of YAML's own words what they quote of the file, which may be a secret."""

    def shown(match: re.Match[str]) -> str:
        # Names of tokens stand in <>; a character or an escape says nothing of a secret.
        return match[0] if match[1].startswith("<") or len(match[1]) <= 2 else "something"

    problem = error.problem or "not understood"
    right = next((right for words, right in _RIGHT if words in problem), "")
    return re.sub(r"'([^']*)'", shown, problem) + right


def _build(node: Node, place: Place, lines: dict[str, int]) -> Any:
    lines.setdefault(readable(place), node.start_mark.line + 1)
    if isinstance(node, SequenceNode):
        return [_build(item, (*place, n), lines) for n, item in enumerate(node.value)]
    if isinstance(node, MappingNode):
        return _build_mapping(node, place, lines)
    assert isinstance(node, ScalarNode)
    return _build_scalar(node)


def _build_mapping(node: MappingNode, place: Place, lines: dict[str, int]) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line
        if not isinstance(key_node, ScalarNode) or key_node.tag == _NULL:
            raise _Refused(line, "a list, a mapping or nothing as a key; expected text")
        key = key_node.value
        inner = (*place, key)
        if key in built:
            first = lines[readable(inner)]
            raise _Refused(
                line, f"{readable(inner)}: given twice; expected once (it is in line {first} too)"
            )
        lines[readable(inner)] = line + 1
        built[key] = _build(value_node, inner, lines)
    return built


def _build_scalar(node: ScalarNode) -> Any:
    text, tag = node.value, node.tag
    if tag == _NULL:
        return None
    if tag == _BOOL:
        return text.lower() == "true"
    if tag == _INT and len(text) <= 20:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)
    if tag in (_INT, _FLOAT):  # more digits than any setting has; still a number, for the message
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower())) if text[:2] != "0x" else text
    return text
