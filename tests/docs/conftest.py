"""The extension that writes the reference, importable as Sphinx imports it."""

from __future__ import annotations

import sys

from tests.conftest import PROJECT

sys.path.insert(0, str(PROJECT / "docs" / "_ext"))
