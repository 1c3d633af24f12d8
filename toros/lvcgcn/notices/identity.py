"""The identity of a notice: the same for the same notice, however it came."""

from __future__ import annotations

import hashlib

_DIGITS = 32


def identity(*parts: str | bytes) -> str:
    """Make an identity, 32 hexadecimal digits, of what is the same in the same notice only."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        # Its length sets each part apart from the next.
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.hexdigest()[:_DIGITS]
