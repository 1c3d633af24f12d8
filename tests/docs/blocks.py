"""The code blocks of the documentation, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import PROJECT

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One code block."""

    page: str
    line: int
    language: str
    text: str


def pages() -> list[Path]:
    """List every page written in Markdown."""
    return sorted(
        [
            *PROJECT.glob("*.md"),
            *(p for p in PROJECT.glob("docs/**/*.md") if "_build" not in p.parts),
        ]
    )


def blocks(*languages: str) -> Iterator[Block]:
    """Find the blocks in these languages, the generated reference included."""
    from toros_reference import insert

    for path in pages():
        text = insert(path.read_text("utf-8"))
        for match in _BLOCK.finditer(text):
            if match[1] in languages:
                line = text.count("\n", 0, match.start()) + 1
                yield Block(str(path.relative_to(PROJECT)), line, match[1], match[2])


def commands() -> Iterator[tuple[Block, list[str]]]:
    """Find the shell commands, as lists of words, without sudo."""
    for block in blocks("sh"):
        joined = block.text.replace("\\\n", " ")
        without_scripts = re.sub(r"<<'END'\n.*?^END$", "", joined, flags=re.MULTILINE | re.DOTALL)
        for line in without_scripts.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["sudo"]:
                words = words[3:] if words[1] == "-u" else words[1:]
            if words:
                yield block, words
