# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages in Markdown and the documentation of plugins and roles: links, decisions, versions."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).resolve().parents[3]
PAGES = sorted(page for folder in ("*.md", "docs/**/*.md", "roles/*/README.md") for page in TOP.glob(folder))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as Git forges make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_to_something(page):
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _hash, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_the_website_has_every_page():
    """A page that no table of contents lists fails bin/docs, which takes minutes to say so."""
    lists = re.findall(r"```\{toctree\}\n(.*?)```", (TOP / "docs/docsite/index.md").read_text(), re.S)
    listed = {line for text in lists for line in text.split() if "*" not in line}
    pages = {str(page.relative_to(TOP).with_suffix("")) for page in (TOP / "docs").glob("*.md")}
    print(f"{len(pages)} pages")
    assert pages - listed == set()


def test_every_decision_is_listed_and_has_its_parts():
    folder = TOP / "docs" / "decisions"
    listed = set(re.findall(r"^\| \[[^\]]+\]\(([^)]+)\)", (folder / "README.md").read_text(), re.M))
    pages = {page.name for page in folder.glob("*.md")} - {"README.md"}
    print(f"{len(pages)} decisions")
    assert listed == pages
    for name in pages:
        assert re.findall(r"^## (.+)$", (folder / name).read_text(), re.M) == ["Context", "Decision", "Consequences"]


def test_defaults_in_the_model_have_the_type_of_their_option():
    """ansible-doc may show words in place of a computed text or list, but antsibull-docs rejects them for a dictionary."""
    model = yaml.safe_load((TOP / "playbooks" / "site.meta.yml").read_text())["argument_specs"]["site"]["options"]
    kinds = {"bool": bool, "int": int, "dict": dict}
    for name, option in model.items():
        if "default" in option:
            kind = dict if option.get("elements") == "dict" else kinds.get(option["type"], object)
            values = option["default"] if option.get("elements") == "dict" else [option["default"]]
            assert all(isinstance(value, kind) for value in values), name


def test_version_added_is_a_version_that_has_been_or_will_be_released():
    """Each plugin and each role says since when it is there."""
    released = set(yaml.safe_load((TOP / "changelogs" / "changelog.yaml").read_text())["releases"])
    versions = released | {yaml.safe_load((TOP / "galaxy.yml").read_text())["version"]}
    documented = [TOP / "playbooks" / "site.meta.yml", *TOP.glob("roles/*/meta/argument_specs.yml")]
    documented += [path for kind in ("lookup", "modules") for path in TOP.glob(f"plugins/{kind}/*.py")]
    documented += [path for kind in ("filter", "test") for path in TOP.glob(f"plugins/{kind}/*.yml")]
    found = {
        path.relative_to(TOP): re.findall(r"^ *version_added: (.+)$", path.read_text(), re.M) for path in documented
    }
    print(f"{len(found)} files, versions {sorted(versions)}")
    assert [str(path) for path, added in found.items() if not added] == []
    assert [f"{path}: {version}" for path, added in found.items() for version in added if version not in versions] == []


@pytest.mark.parametrize(("kind", "plugins"), [("filter", "FilterModule"), ("test", "TestModule")])
def test_the_documentation_of_a_filter_has_its_parameters(kind, plugins):
    """Filters of one subject are in one file, and the documentation of each is beside it by its own name."""
    folder, found = TOP / "plugins" / kind, {}
    for path in folder.glob("*.py"):
        module = importlib.import_module(f"ansible_collections.magicbroccoli.xmpp.plugins.{kind}.{path.stem}")
        found |= getattr(getattr(module, plugins)(), f"{kind}s")()
    print(f"{len(found)} in {len(list(folder.glob('*.py')))} files: {', '.join(found)}")
    assert {path.stem for path in folder.glob("*.yml")} == set(found)
    for name, function in found.items():
        documented = yaml.safe_load((folder / f"{name}.yml").read_text())["DOCUMENTATION"]
        _input, *parameters = inspect.signature(function).parameters.values()
        options = {key: option for key, option in documented["options"].items() if key != "_input"}
        assert documented["name"] == name
        assert list(options) == [parameter.name for parameter in parameters], name
        required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
        assert [key for key, option in options.items() if option.get("required")] == required, name
        positional = [word.strip() for word in documented.get("positional", "").split(",") if word.strip()]
        assert positional == list(options)[: len(positional)], name
