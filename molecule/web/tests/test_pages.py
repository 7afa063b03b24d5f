# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public pages as somebody sees them: at every width, light and dark, in both languages, and with whatever aids."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

import pytest
from hosts import TOP

(ARCHIVE,) = (TOP / ".cache/web").glob("axe-core-*.tgz")
# Path, and what it is called on pictures.
PAGES = {"": "home", "status/": "status", "rules/": "rules", "nothing/": "missing", "register/": "register"}
WIDTHS = (320, 768, 1280)
LOADED = """
const [page] = performance.getEntriesByType('navigation'), others = performance.getEntriesByType('resource');
return {bytes: [page, ...others].reduce((sum, one) => sum + one.encodedBodySize, 0), names: others.map((one) => one.name)};
"""
JUDGE = (
    "axe.run().then((found) => arguments[0](found.violations.map((one) => [one.id, ...one.nodes.map((n) => n.html)])));"
)


@pytest.fixture(scope="session")
def axe() -> str:
    with tarfile.open(ARCHIVE) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return io.TextIOWrapper(member, "utf-8").read()


# One promise of each.
STATES = {"xep-0045": "kept", "xep-0065": "broken", "xep-0124": "weakened", "xep-0156": "unknown"}


def promises() -> list[dict]:
    return [
        {"id": name, "state": state, "since": "2026-11-29T02:30:00Z", "reason": "as a test says"}
        for name, state in STATES.items()
    ]


@pytest.fixture
def checked(site):
    """A host whose self-test has found something, as this scenario has none."""
    entry = {"promises": promises(), "testers": [{"id": "cryptcheck", "answer": "A+ for clients and servers"}]}
    text = json.dumps({"checked": "2026-11-29T02:30:00Z", "domains": {site.domain: entry}})
    site.host.out("mkdir -p /var/lib/xmpp-status")
    site.host.out("tee /var/lib/xmpp-status/promises.json", stdin=text)
    # As xmpp-status leaves it.
    site.host.out("chmod 640 /var/lib/xmpp-status/promises.json")
    site.host.out("systemctl restart xmpp-page.service")


def tidy(html: str) -> str:
    """What is wrong with a page's HTML."""
    said = subprocess.run(
        ["tidy", "-quiet", "-errors", "-utf8"], input=html, text=True, capture_output=True, check=False
    )
    return said.stderr


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_can_be_read(site, browse, checked, axe, language):
    """Every width, light and dark: nothing sticks out, axe-core finds nothing, and all of it is this host's and small."""
    browser = browse(language, 1280 if language == "en" else 390)
    largest = 0
    links = {"invited": site.domain, "reset": f"--reset {site.create('forgetful')[0]}"}
    paths = {
        site.host.out(f"xmpp-invite {given}").removeprefix(f"https://{site.web}/"): name
        for name, given in links.items()
    }
    pages = {**PAGES, **paths}
    for path, name in pages.items():
        for width in WIDTHS:
            browser.width = width
            metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            for scheme in ("light", "dark"):
                features = [{"name": "prefers-color-scheme", "value": scheme}]
                browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
                browser.get(f"https://{site.web}/{path}")
                loaded = browser.execute_script(LOADED)
                largest = max(largest, loaded["bytes"])
                assert all(one.startswith(f"https://{site.web}/") for one in loaded["names"]), loaded
                browser.label = f"{site.release}-{language}-{width}-{scheme}"
                browser.picture(f"page-{name}")
                assert browser.find_element("tag name", "html").get_attribute("lang") == language
                marks = [mark.get_attribute("class") for mark in browser.find_elements("css selector", ".states li")]
                assert marks == (list(STATES.values()) if name in ("home", "status") else [])
                told = "A+ for clients and servers" in browser.find_element("tag name", "main").text
                assert told == (name == "status")
                browser.execute_script(axe)
                assert browser.execute_async_script(JUDGE) == [], (path, width, scheme)
        if path.startswith("register/"):
            continue
        file = "pages/errors/404" if name == "missing" else f"{path}index"
        assert tidy(site.host.out(f"cat /var/lib/xmpp-page/{site.web}/{language}/{file}.html")) == ""
    print(f"{len(pages) * len(WIDTHS) * 2} views, at most {largest} bytes")
    assert largest < 50_000
    # Chromium tells of the page that is missing.
    assert {text for text in browser.complaints() if "status of 404" not in text} == set()


def test_a_page_needs_no_script_and_prints(site, browse, checked):
    browser = browse("de", 390, False)
    browser.get(f"https://{site.web}/")
    assert "Gehalten:" in browser.find_element("tag name", "main").text
    browser.find_element("css selector", "nav a[hreflang=en]").click()
    assert "Kept:" in browser.find_element("tag name", "main").text
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find_element("css selector", "header nav").is_displayed()
    assert browser.complaints() == set()
