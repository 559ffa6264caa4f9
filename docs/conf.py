"""How the documentation is built: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

from ganneal import __version__  # noqa: E402

project = "ganneal"
author = "the ganneal authors"
copyright = "the ganneal authors, MIT licence"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "plaintext", "generated"]
exclude_patterns = ["_build", "extensions", "stabilisers/generated/measured.md"]
default_role = "code"
smartquotes = False  # two dashes are an option, not a dash

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_title = f"ganneal {__version__}"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sourcelink = False
# MathJax 3.2.2 lies beside the pages, so that they need no network.
mathjax_path = "tex-svg.js"
