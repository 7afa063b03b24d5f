# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of a host, as texts by their paths, from its configuration, the texts of its languages and its state."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from .. import words
from ..promises import TOPICS
from . import state
from .languages import FIRST, chosen

# What nginx answers with a page of ours.
ERRORS = ("403", "404", "405", "413", "414", "429", "500", "502", "503", "504")


def markdown() -> MarkdownIt:
    """Return a reader of the operator's words: tags in them are shown as text, and links run no script.

    A picture would be another host's, which the pages do not ask for anything.
    """
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def fill(text: str, **values: Any) -> Markup:
    """Return a text of a language with values in it, all of them escaped."""
    return Markup(escape(text)).format(**values)  # noqa: S704 - it is escaped just before


def account(uri: str) -> str:
    """Return how people write the address of a URI."""
    return unquote(uri.partition(":")[2])


class Site:
    """Makes the pages of all names of a host."""

    def __init__(self, config: Mapping[str, Any], languages: Mapping[str, Mapping[str, Any]], folder: str):
        self.config, self.languages = config, languages
        self.recorded = state.read(config["state"])
        self.environment = Environment(
            loader=FileSystemLoader(os.path.join(folder, "templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self.environment.filters.update(fill=fill, account=account, markdown=self._markdown, size=words.size)
        self._reader = markdown()

    def _markdown(self, text: str) -> Markup:
        environment: dict[str, Any] = {}
        tokens = self._reader.parse(text, environment)
        headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
        # The page has its title already: the highest heading in a text comes next.
        highest = min((int(token.tag[1]) for token in headings), default=0)
        for token in headings:
            token.tag = f"h{min(int(token.tag[1]) - highest + 2, 6)}"
        html = self._reader.renderer.render(tokens, self._reader.options, environment)
        return Markup(html)  # noqa: S704 - its reader escapes tags

    def pages(self) -> Iterator[tuple[str, str]]:
        """Return each file's path below the folder of pages, and its content."""
        for domain in self.config["domains"]:
            yield from self._of_domain(domain)
            if "upload" in domain["components"]:
                yield from self._of_uploads(domain)

    def _graphs(self, domain: Mapping[str, Any]) -> list[str]:
        """Return the graphs that are drawn: munin shows them at the first domain."""
        if domain is not self.config["domains"][0]:
            return []
        folder = self.config["graphs_folder"]
        return [name for name in self.config["graphs"] if os.path.exists(os.path.join(folder, f"{name}.png"))]

    def _texts(self, domain: Mapping[str, Any], language: str) -> list[dict[str, str]]:
        return [
            {
                "id": text["id"],
                "title": chosen(text["title"], language),
                "text": chosen(text["text"], language),
                # Its language, where it is not that of the page.
                "lang": "" if isinstance(text["text"], str) or language in text["text"] else FIRST,
            }
            for text in self.config["texts"]
        ]

    def _render(self, template: str, domain: Mapping[str, Any], language: str, path: str, **more: Any) -> str:
        texts = self._texts(domain, language)
        return self.environment.get_template(template).render(
            t=self.languages[language],
            language=language,
            languages={code: found["language"] for code, found in self.languages.items()},
            path=path,
            site=self.config,
            domain=domain,
            base=f"https://{domain['web']}",
            texts=texts,
            chosen=chosen,
            **more,
        )

    def _of_domain(self, domain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        web = domain["web"]
        checked = state.of_domain(self.recorded, domain["dns"])
        yield f"{web}/robots.txt", self._render("robots.txt", domain, FIRST, "/robots.txt")
        for language in self.languages:
            given = {"checked": checked, "topics": TOPICS, "addresses": self._addresses(domain)}
            yield f"{web}/{language}/index.html", self._render("home.html", domain, language, "/", **given)
            yield (
                f"{web}/{language}/status/index.html",
                self._render("status.html", domain, language, "/status/", graphs=self._graphs(domain), **given),
            )
            yield f"{web}/{language}/badge.svg", self._render("badge.svg", domain, language, "/badge.svg", **given)
            for text in self._texts(domain, language):
                path = f"/{text['id']}/"
                yield f"{web}/{language}{path}index.html", self._render("text.html", domain, language, path, text=text)
            yield from self._errors(domain, language, web, "")

    def _of_uploads(self, domain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        name = domain["components"]["upload"]
        yield f"{name}/robots.txt", "User-agent: *\nDisallow: /\n"
        for language in self.languages:
            # Its pages lead to those of the domain.
            yield f"{name}/{language}/index.html", self._render("uploads.html", domain, language, "")
            yield from self._errors(domain, language, name, f"https://{domain['web']}")

    def _errors(self, domain: Mapping[str, Any], language: str, name: str, home: str) -> Iterator[tuple[str, str]]:
        for code in ERRORS:
            yield (
                f"{name}/{language}/pages/errors/{code}.html",
                self._render("error.html", domain, language, "", code=code, home=home),
            )

    def _addresses(self, domain: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the addresses to connect with: a key of the texts, and what a client is told."""
        services, ports, web = self.config["services"], self.config["ports"], domain["web"]
        found = []
        for service in ("client", "server"):
            if service in services:
                found += [(key, f"{self.config['host']}:{ports[key]}") for key in (service, f"{service}_tls")]
        if {"client", "web"} <= set(services):
            found += [("websocket", f"wss://{web}/xmpp-websocket"), ("bosh", f"https://{web}/http-bind")]
        return found
