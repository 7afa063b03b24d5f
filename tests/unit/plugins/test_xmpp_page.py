# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xmpp-page: every page that it writes, from the templates and languages of role website."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.page import languages, main, site, state
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.promises import PROMISES, TESTERS

TOP = Path(__file__).resolve().parents[3]
SOURCES = TOP / "roles/website/templates/usr/local/share/xmpp-page"
TEXTS = languages.load(str(SOURCES / "languages"))
CLIENTS = json.loads((SOURCES / "clients.json").read_text())
STYLE = TOP / "roles/nginx/templates/var/www/pages/style.css"
EVIL = "<script>alert(1)</script>"
CONFIG = {
    "host": "host.example.org",
    "domains": [
        {
            "domain": "bücher.example",
            "dns": "xn--bcher-kva.example",
            "web": "xn--bcher-kva.example",
            "components": {"muc": "conference.xn--bcher-kva.example", "upload": "upload.xn--bcher-kva.example"},
        },
        {"domain": "kale.example", "dns": "kale.example", "web": "www.kale.example", "components": {}},
    ],
    "services": ["client", "server", "web"],
    "ports": {"client": 5222, "client_tls": 5223, "server": 5269, "server_tls": 5270},
    "registration": "open",
    "chat": True,
    "contacts": ["xmpp:b%C3%BCcherwurm@example.org"],
    "abuse": ["mailto:abuse@example.org"],
    "provider": {
        **{"organization": "private person", "since": "2024-05-01", "serverLocations": ["de"], "busFactor": 2},
        **{"freeOfCharge": True, "professionalHosting": True, "website": {"en": "https://example.org/"}},
        **{"legalNotice": {}, "passwordReset": {"de": "https://example.org/passwort"}},
    },
    "archive_days": 30,
    "upload_days": "never",
    "upload_size": 104857600,
    "graphs": ["prosody_c2s", "prosody_uptime"],
    "texts": [
        {"id": "rules", "title": {"en": "Rules"}, "text": {"en": f"# Be kind\n\n{EVIL}\n\n[go](javascript:alert(1))"}},
        {"id": "imprint", "title": {"en": "Imprint", "de": "Impressum"}, "text": {"en": "Us.", "de": "Wir."}},
    ],
    "clients": CLIENTS,
}
# What HTML has without an end tag.
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """A page that is well-formed: what is opened is closed, no ID is twice, and every picture has words."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open[-1:] == [tag]:
            self.open.pop()
        else:
            assert tag not in self.open, (tag, self.open)

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def recorded(reason: str = "", broken: int = 0, answer: str = "A") -> dict:
    entries = [
        {"id": promise.id, "state": "kept", "since": "2026-11-28T10:00:00Z", "reason": ""} for promise in PROMISES
    ]
    for entry in entries[:broken]:
        entry.update(state="broken", reason=reason)
    return {
        "checked": "2026-11-29T02:30:00Z",
        "domains": {
            domain["dns"]: {"promises": entries, "testers": [{"id": TESTERS[0].id, "answer": answer}]}
            for domain in CONFIG["domains"]
        },
    }


@pytest.fixture
def made(tmp_path):
    def run(found=None, **changed) -> dict[str, str]:
        (tmp_path / "promises.json").write_text(found if isinstance(found, str) else json.dumps(found or {}))
        for name in ("prosody_c2s", "prosody_uptime"):
            (tmp_path / f"{name}.png").touch()
        config = {**CONFIG, "state": str(tmp_path / "promises.json"), "graphs_folder": str(tmp_path), **changed}
        return dict(site.Site(config, TEXTS, str(SOURCES)).pages())

    return run


def shapes(texts, where=""):
    """Each text's key and the values that are filled in."""
    if isinstance(texts, str):
        yield where, tuple(sorted(re.findall(r"{\w*}", texts)))
    else:
        for key, inner in texts.items() if isinstance(texts, dict) else enumerate(texts):
            yield from shapes(inner, f"{where}.{key}")


def test_each_language_has_every_text():
    wanted = sorted(shapes(json.loads((SOURCES / "languages/en.json").read_text())))
    print(f"{len(wanted)} texts in {len(TEXTS)} languages")
    assert len(wanted) > 80 and len(TEXTS) >= 2
    for path in (SOURCES / "languages").glob("*.json"):
        assert sorted(shapes(json.loads(path.read_text()))) == wanted, path
    assert set(TEXTS["en"]["errors"]) == set(site.ERRORS)


def test_nginx_has_a_page_for_each_error():
    text = (TOP / "roles/nginx/templates/etc/nginx/snippets/xmpp-pages.conf.j2").read_text()
    assert re.findall(r"error_page (\d+) /pages/errors/\1;", text) == list(site.ERRORS)


def test_every_page_is_sound(made):
    pages = made(recorded("it is <b>late</b>", 2))
    print(f"{len(pages)} files, the largest page of {max(map(len, pages.values()))} characters")
    assert len(pages) > 60
    for path, text in pages.items():
        assert "{{" not in text and "{%" not in text, path
        if not path.endswith(".html"):
            continue
        page = Page(text)
        name, language = path.split("/")[:2]
        assert page.all("html") == [{"lang": language}], path
        assert len(page.all("h1")) == 1 and len(page.all("title")) == 1, path
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(set(ids)) == len(ids), path
        assert all(image.get("alt") for image in page.all("img")), path
        # Neither scripts nor styles in the page, which its CSP forbids.
        assert {tag for tag, _ in page.elements} & {"script", "style", "iframe"} == set(), path
        assert not any(name in ("style", "srcset") or name.startswith("on") for _, its in page.elements for name in its)
        for attributes in page.all("link") + page.all("img"):
            assert urlsplit(attributes.get("href") or attributes["src"])[:2] == ("", ""), path
        # Each link is to a page that is there, of this name or of the domain.
        for attributes in page.all("a"):
            target = urlsplit(attributes["href"])
            assert target.scheme in ("", "https", "xmpp", "mailto"), attributes
            host = target.netloc or name
            known = [entry["web"] for entry in CONFIG["domains"]] + ["upload.xn--bcher-kva.example"]
            if target.scheme in ("", "https") and host in known:
                there = f"{host}{target.path}index.html"
                assert there in pages or target.path in ("/register/", "/chat/"), (path, target)


def test_the_words_of_others_are_text(made):
    pages = made(recorded(EVIL, 1))
    for path in (
        "xn--bcher-kva.example/en/rules/index.html",
        "xn--bcher-kva.example/de/status/index.html",
    ):
        assert EVIL in Page(pages[path]).text
        assert "<script" not in pages[path]
    told = made(recorded(answer=EVIL))["www.kale.example/en/status/index.html"]
    assert EVIL in Page(told).text and "<script" not in told
    # What the operator wrote in English is marked as such on a page in German.
    assert Page(pages["kale.example/de/rules/index.html".replace("kale", "www.kale")]).all("div") == [{"lang": "en"}]
    assert not any("javascript" in a["href"] for a in Page(pages["www.kale.example/en/rules/index.html"]).all("a"))


@pytest.mark.parametrize("found", [{}, "", "no JSON", "[]", '{"domains": []}', '{"domains": {"kale.example": [1]}}'])
def test_a_page_without_a_check_says_so(made, found):
    pages = made(found)
    assert TEXTS["en"]["unchecked"] in Page(pages["www.kale.example/en/index.html"]).text
    assert TEXTS["de"]["badge_unchecked"] in pages["www.kale.example/de/badge.svg"]


def test_the_page_says_what_was_found(made):
    for broken in (0, 1):
        pages = made(recorded("port 5222 is closed", broken))
        home, status = (Page(pages[f"www.kale.example/en/{path}index.html"]).text for path in ("", "status/"))
        total = len(PROMISES)
        said = "All" if not broken else f"{total - 1} of"
        assert f"{said} {total} promises are kept." in home and "2026-11-29 02:30 UTC" in home
        assert ("port 5222 is closed" in status, "Broken:" in home) == (bool(broken), bool(broken))
        assert (f"{total} promises kept" if not broken else f"{total - 1} of {total}") in pages[
            "www.kale.example/en/badge.svg"
        ]
        for promise in PROMISES:
            assert promise.en in home and promise.en in status


def test_a_promise_that_this_version_does_not_know_is_left_out(made):
    found = recorded()
    found["domains"]["kale.example"]["promises"] = [{"id": "no-such-one", "state": "kept"}]
    assert TEXTS["en"]["unchecked"] in made(found)["www.kale.example/en/index.html"]
    checked = state.of_domain(
        {"domains": {"a": {"promises": [{"id": PROMISES[0].id, "state": "great"}, {"state": "kept"}]}}}, "a"
    )
    assert [one.state for one in checked.found] == ["unknown"]


def test_the_page_says_what_testers_would_say(made):
    """In both languages; the answer is in English, and marked as such. Without a tester, there is no such section."""
    pages = made(recorded())
    for language in ("en", "de"):
        page = Page(pages[f"www.kale.example/{language}/status/index.html"])
        for text in (TEXTS[language]["testers"], TEXTS[language]["testers_about"], TESTERS[0].texts[language]):
            assert text in page.text
        assert '<small lang="en">A</small>' in pages[f"www.kale.example/{language}/status/index.html"]
        assert TEXTS[language]["testers"] not in Page(pages[f"www.kale.example/{language}/index.html"]).text
    found = recorded()
    for entry in found["domains"].values():
        entry["testers"] = [{"id": "no-such-one", "answer": "A"}, {"id": TESTERS[0].id}, 7]
    assert TEXTS["en"]["testers"] not in made(found)["www.kale.example/en/status/index.html"]
    for entry in found["domains"].values():
        del entry["testers"]
    page = made(found)["www.kale.example/en/status/index.html"]
    assert TEXTS["en"]["testers"] not in page and PROMISES[0].en in page


def test_what_is_off_is_not_offered(made):
    for registration, button in (("closed", False), ("invite", False), ("open", True)):
        home = Page(made(registration=registration)["www.kale.example/en/index.html"])
        assert any(a["href"].startswith("/register/") for a in home.all("a")) == button
        assert TEXTS["en"][registration] in home.text
    off = {"services": ["web"], "chat": False, "contacts": [], "abuse": [], "provider": {}}
    home = Page(made(**off)["www.kale.example/en/index.html"])
    assert not any(word in home.text for word in ("5222", "BOSH", "Conversations", "Report abuse", "Run by"))
    # Graphs are the main domain's, as soon as they are drawn.
    pages = made()
    for web, count in (("xn--bcher-kva.example", 2), ("www.kale.example", 0)):
        graphs = [img for img in Page(pages[f"{web}/en/status/index.html"]).all("img") if "/munin/" in img["src"]]
        assert len(graphs) == count


def test_another_language_is_one_more_file(made, tmp_path):
    folder = tmp_path / "languages"
    folder.mkdir()
    for path in (SOURCES / "languages").glob("*.json"):
        (folder / path.name).write_text(path.read_text())
    (folder / "fr.json").write_text(json.dumps({"language": "Français", "status": "État"}))
    texts = languages.load(str(folder))
    assert list(texts)[0] == "en" and set(texts) == {"en", "de", "fr"}
    config = {**CONFIG, "state": str(tmp_path / "none"), "graphs_folder": str(tmp_path)}
    pages = dict(site.Site(config, texts, str(SOURCES)).pages())
    page = Page(pages["www.kale.example/fr/status/index.html"])
    assert "État" in page.text
    assert [a["hreflang"] for a in page.all("a") if "hreflang" in a] == ["en", "de"]


def test_what_is_no_longer_made_goes(made, tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    pages = made()
    assert main.write(pages, str(folder)) == len(pages)
    assert main.write(pages, str(folder)) == 0
    less = {path: text for path, text in pages.items() if not path.startswith("www.kale")}
    main.write(less, str(folder))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == set(less) and not (folder / "www.kale.example").exists()


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(itertools.chain(*zip(colour, colour, strict=True)))
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_style_is_small_fetches_nothing_and_can_be_read():
    """WCAG 2.2, success criterion 1.4.3: 4.5 to 1 for each colour of text, light, dark and in print."""
    text = STYLE.read_text()
    assert not re.search(r"url\(|@import|expression", text) and len(text) < 8192
    schemes = [dict(re.findall(r"--(\w+): #(\w+);", block)) for block in re.findall(r":root {([^}]*)}", text)]
    assert len(schemes) == 3
    for scheme in schemes:
        for colour in ("text", "green", "wrong", "weak", "quiet"):
            for ground in ("page", "card"):
                bright, dim = sorted((luminance(scheme[colour]), luminance(scheme[ground])), reverse=True)
                contrast = (bright + 0.05) / (dim + 0.05)
                assert contrast >= 4.5, (colour, ground, contrast)
