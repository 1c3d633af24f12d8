"""Decode an XML-RPC call, strictly and at bounded cost.

Built straight on expat, because the standard library's decoder takes entities,
a DTD, any nesting, NaN, unknown structure and integers of any size. Here a
message either is plain XML-RPC within the limits, or it is refused with a
sentence that names what is wrong and where (``work_order.targets[3].ra``).

References
----------
XML-RPC specification, http://xmlrpc.com/spec.md; nil as in the extension by
which every client library sends it (``<nil/>``, and ``<ex:nil/>`` of Apache).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from toros.errors import MalformedMessage, TooLarge
from toros.frontdesk.scalars import SCALARS, Value, shown


@dataclass(frozen=True)
class WireLimits:
    """How much one call may hold, whatever the size of its body.

    Parameters
    ----------
    depth : int
        How many arrays and structs may lie inside each other.
    elements : int
        How many XML elements the call may have.
    text_chars : int
        How long one text may be [characters].
    name_chars : int
        How long the name of a member or of the method may be [characters].
    """

    depth: int = 32
    elements: int = 100_000
    text_chars: int = 1_000_000
    name_chars: int = 256


# One piece at a time, so that a refusal comes before the rest is looked at.
_PIECE_BYTES = 1 << 16
_XML_SPACE = " \t\r\n"
_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1"})

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# Which elements may stand in which, in which order where it matters.
_CHILDREN: dict[str, tuple[str, ...]] = {
    "": ("methodCall",),
    "methodCall": ("methodName", "params"),
    "params": ("param",),
    "param": ("value",),
    "value": (*SCALARS, "array", "struct"),
    "array": ("data",),
    "data": ("value",),
    "struct": ("member",),
    "member": ("name", "value"),
}
_TEXTS = frozenset({"value", "methodName", "name", *SCALARS})
# Elements whose children come once each, in the order of _CHILDREN, and all of them.
_SEQUENCES = frozenset({"", "param", "array", "member"})


@dataclass(slots=True)
class _Element:
    """An element that has begun and not yet ended."""

    tag: str
    parts: list[Value] = field(default_factory=list)  # the values of its children
    # The tags seen so far, in order; for a struct the names of its members.
    names: dict[str, None] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    chars: int = 0


class _Decoder:
    """The state of one parse; expat calls `start`, `text` and `end`."""

    def __init__(self, limits: WireLimits) -> None:
        self.limits = limits
        self.stack = [_Element("")]
        self.depth = 0
        self.elements = 0
        self.method = ""
        self.parameters: list[Value] = []

    # -- what expat calls ----------------------------------------------------

    def start(self, tag: str, attributes: list[str]) -> None:
        self.elements += 1
        if self.elements > self.limits.elements:
            raise TooLarge(f"the call has more than {self.limits.elements} XML elements")
        parent = self.stack[-1]
        for name in attributes[::2]:
            if name != "xmlns" and not name.startswith("xmlns:"):
                raise self.refusal(f"the attribute {shown(name)} means nothing in XML-RPC")
        self._check_place(parent, tag)
        if parent.text:
            self._drop_space(parent)
        if tag in ("array", "struct"):
            self.depth += 1
            if self.depth > self.limits.depth:
                raise TooLarge(f"arrays and structs are nested over {self.limits.depth} deep")
        self.stack.append(_Element(tag))

    def text(self, text: str) -> None:
        element = self.stack[-1]
        element.chars += len(text)
        named = element.tag in ("name", "methodName")
        limit = self.limits.name_chars if named else self.limits.text_chars
        if element.chars > limit:
            raise TooLarge(f"{self.path()}: a text is longer than {limit} characters")
        if element.tag in _TEXTS and not element.names:
            element.text.append(text)
        elif text.strip(_XML_SPACE):
            raise self.refusal(f"the text {shown(text)} stands outside of a value")

    def end(self, tag: str) -> None:
        element = self.stack[-1]
        if tag in _SEQUENCES and len(element.names) < len(_CHILDREN[tag]):
            raise self.refusal(f"<{tag}> lacks its <{_CHILDREN[tag][len(element.names)]}>")
        if tag in _TEXTS and tag != "value":
            self._end_text(element)
        elif tag == "value":
            value = element.parts[0] if element.names else "".join(element.text)
            self.stack[-2].parts.append(value)
        elif tag == "struct":
            self.stack[-2].parts.append(dict(zip(element.names, element.parts, strict=True)))
        elif tag == "array":
            self.stack[-2].parts.extend(element.parts)
        elif tag == "data":
            self.stack[-2].parts.append(element.parts)
        elif tag == "methodCall":
            if not self.method:
                raise self.refusal("<methodCall> lacks its <methodName>")
        elif tag == "params":
            self.parameters = element.parts
        else:  # param, member
            self.stack[-2].parts.append(element.parts[-1])
        if tag in ("array", "struct"):
            self.depth -= 1
        self.stack.pop()

    # -- their parts ---------------------------------------------------------

    def _check_place(self, parent: _Element, tag: str) -> None:
        allowed = _CHILDREN.get(parent.tag, ())
        if tag not in allowed:
            place = f"inside <{parent.tag}>" if parent.tag else "as the outermost element"
            expected = ", ".join(allowed) or "text only"
            raise self.refusal(f"<{shown(tag)[1:-1]}> {place} is not XML-RPC (here: {expected})")
        if parent.tag == "methodCall":
            if tag in parent.names or (tag == "params" and not parent.names):
                raise self.refusal(f"<{tag}> stands in the wrong place of <methodCall>")
            parent.names[tag] = None
        elif parent.tag in _SEQUENCES:
            if len(parent.names) >= len(allowed) or allowed[len(parent.names)] != tag:
                raise self.refusal(f"<{tag}> stands in the wrong place of <{parent.tag}>")
            parent.names[tag] = None
        elif parent.tag == "value":
            if parent.names:
                raise self.refusal("a <value> holds more than one value")
            parent.names[tag] = None

    def _drop_space(self, element: _Element) -> None:
        """Forget the space before the typed child of a value; refuse other text there."""
        text = "".join(element.text)
        if text.strip(_XML_SPACE):
            raise self.refusal(f"the text {shown(text)} stands beside a typed value")
        element.text.clear()

    def _end_text(self, element: _Element) -> None:
        text = "".join(element.text)
        parent = self.stack[-2]
        if element.tag == "methodName":
            self.method = text
        elif element.tag == "name":
            struct = self.stack[-3]
            if text in struct.names:
                raise self.refusal(f"the member {shown(text)} occurs twice")
            struct.names[text] = None
            parent.parts.append(text)
        else:
            try:
                parent.parts.append(SCALARS[element.tag](text))
            except ValueError as error:
                raise self.refusal(str(error)) from None

    def path(self) -> str:
        """Name the place of the parse, as a reader of the work order would."""
        path = ""
        for element in self.stack:
            if element.tag == "params":
                number = len(element.parts)
                path = "work_order" if number == 0 else f"parameter {number + 1}"
            elif element.tag == "data":
                path += f"[{len(element.parts)}]"
            elif element.tag == "member" and element.parts:
                name = str(element.parts[0])
                path += f".{name}" if _IDENTIFIER.fullmatch(name) else f"[{shown(name)}]"
        return path or "the call"

    def refusal(self, reason: str) -> MalformedMessage:
        return MalformedMessage(f"{self.path()}: {reason}")


def _refuse_doctype(*_: object) -> None:
    raise MalformedMessage("a document type declaration (DTD) is not taken in XML-RPC")


def _refuse_instruction(*_: object) -> None:
    raise MalformedMessage("a processing instruction is not taken in XML-RPC")


def _check_declaration(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in _ENCODINGS:
        raise MalformedMessage(f"the XML's encoding is {shown(encoding)}; send UTF-8")


def decode_call(body: bytes, limits: WireLimits | None = None) -> tuple[str, list[Value]]:
    """Decode an XML-RPC ``methodCall``.

    A text without a type is a string; ``dateTime.iso8601`` becomes a string as
    `toros.clock.to_iso` writes it (UTC; a naive time is UTC); nil is None.

    Parameters
    ----------
    body : bytes
        The XML document, in UTF-8, US-ASCII or ISO-8859-1.
    limits : WireLimits, optional
        What it may hold; by default the defaults of `WireLimits`.

    Returns
    -------
    method : str
        The name of the method.
    parameters : list of Value
        Its parameters, plain values.

    Raises
    ------
    MalformedMessage
        The body is no acceptable XML-RPC; the message says what and where.
    TooLarge
        It holds more than `limits` allow.
    """
    if not body:
        raise MalformedMessage("the body is empty; it should be an XML-RPC methodCall")
    if body[:2] in (b"\xfe\xff", b"\xff\xfe", b"<\0", b"\0<"):
        raise MalformedMessage("the XML's encoding is UTF-16; send UTF-8")
    decoder = _Decoder(limits or WireLimits())
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _PIECE_BYTES
    parser.ordered_attributes = True
    parser.XmlDeclHandler = _check_declaration
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    parser.ProcessingInstructionHandler = _refuse_instruction
    parser.StartElementHandler = decoder.start
    parser.EndElementHandler = decoder.end
    parser.CharacterDataHandler = decoder.text
    try:
        for end in range(_PIECE_BYTES, len(body) + _PIECE_BYTES, _PIECE_BYTES):
            parser.Parse(body[end - _PIECE_BYTES : end], False)
            # What expat holds back is the beginning of one tag or comment, which it
            # reads from its start again with every piece (CVE-2023-52425).
            if min(end, len(body)) - parser.CurrentByteIndex > _PIECE_BYTES:
                raise TooLarge(f"a tag or comment is longer than {_PIECE_BYTES} bytes")
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise MalformedMessage(
            f"the body is not well-formed XML: {expat.errors.messages[error.code]}, "
            f"line {error.lineno}, column {error.offset}"
        ) from None
    return decoder.method, decoder.parameters
