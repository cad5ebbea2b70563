# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx settings of the documentation site that make docs builds: guides by hand, reference by antsibull-docs.

Every warning is an error there, so a reference that leads nowhere fails the build. Nothing is fetched
while it builds: references to other collections become links to docs.ansible.com.
"""

from __future__ import annotations

import re
import typing as t

from docutils import nodes
from pygments.lexers.special import TextLexer

project = "frugal.cloud"
copyright = "frugal.cloud contributors"
html_title = "frugal.cloud"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
html_use_index = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
nitpicky = True

OTHER_COLLECTION = re.compile(
    r"ansible_collections\.(?P<namespace>[a-z0-9_]+)\.(?P<name>[a-z0-9_]+)\.(?P<plugin>[a-z0-9_]+_[a-z]+)(__|$)"
)
DOCUMENTATION = "https://docs.ansible.com/ansible/latest"
#: what antsibull-docs refers to in Ansible's own documentation
CORE = {
    "action_plugins": "plugins/action.html",
    "ansible_collections.ansible.builtin": "collections/ansible/builtin/index.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "inventory_plugins": "plugins/inventory.html",
}


def link_to_ansible(_app: t.Any, _environment: t.Any, node: t.Any, content: t.Any) -> t.Any:
    """Turn a reference to Ansible or another collection's plugin into a link; None leaves it broken."""
    target = str(node.get("reftarget", ""))
    found = OTHER_COLLECTION.match(target)
    if target in CORE:
        path = CORE[target]
    elif found is not None and (found["namespace"], found["name"]) != ("frugal", "cloud"):
        path = f"collections/{found['namespace']}/{found['name']}/{found['plugin']}.html"
    else:
        return None
    link = nodes.reference("", "", internal=False, refuri=f"{DOCUMENTATION}/{path}")
    link.append(content)
    return link


def setup(app: t.Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("missing-reference", link_to_ansible)
    # Pygments' lexer of PromQL knows no recorded series, whose names have colons.
    app.add_lexer("promql", TextLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
