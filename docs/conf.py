"""How Sphinx builds the documentation; `make docs` treats warnings as errors."""

import logging
import sys
from pathlib import Path

import toros

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its plugins on import

project = "TOROS"
author = "the TOROS developers"
version = release = toros.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "toros_reference",
]
smartquotes = False  # names and values stay as they are written
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # numpydoc's sections have the types, with units
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"TOROS {release}"
html_show_copyright = False
html_show_sphinx = False
