# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the website that bin/docs builds: the guides in Markdown, and the reference that antsibull-docs writes."""

from __future__ import annotations

import re

from docutils import nodes

project = "magicbroccoli.xmpp"
author = "magicbroccoli contributors"
copyright = author  # the name that Sphinx asks for

extensions = ["myst_parser", "sphinx_antsibull_ext"]
# The names of headings, as Git forges make them.
myst_heading_anchors = 4
exclude_patterns = ["docs/docsite", "collections/environment_variables.rst"]

pygments_style = "ansible"
highlight_language = "YAML+Jinja"
default_role = "any"

html_theme = "alabaster"
html_theme_options = {"page_width": "72rem", "sidebar_width": "16rem", "show_powered_by": False}
html_copy_source = False
html_show_sphinx = False


# Pages of Ansible's documentation that the reference refers to. Asking that site for its index at every build would need
# a network.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
PAGES = {
    "common_return_values": "reference_appendices/common_return_values.html",
    "action_plugins": "plugins/action.html",
}


def ansible_page(app, env, node, contnode):
    """The link for a label that is Ansible's, or None: Sphinx then warns."""
    target = node.get("reftarget", "")
    plugin = re.fullmatch(r"ansible_collections\.ansible\.builtin\.(\w+)", target)
    page = f"collections/ansible/builtin/{plugin[1]}.html" if plugin else PAGES.get(target)
    return nodes.reference("", "", contnode, internal=False, refuri=ANSIBLE + page) if page else None


def setup(app):
    app.connect("missing-reference", ansible_page)
