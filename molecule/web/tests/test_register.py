# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page where accounts are made, as somebody sees it, with scripts and without."""

from __future__ import annotations

import asyncio
import json
import secrets
import time

import pytest
from clients import Client, Refused
from conftest import LOOP
from hosts import CA
from selenium.webdriver.common.by import By

TEXTS = {
    "en": {
        "form": "Make an account",
        "question": "What colour is broccoli?",
        "answer": "green",
        "waits": "Your account waits for approval",
        "invited": "You are invited to",
        "done": "Your account is ready",
        "used": "This invitation is not valid",
    },
    "de": {
        "form": "Konto anlegen",
        "question": "Welche Farbe hat Brokkoli?",
        "answer": "grün",
        "waits": "Dein Konto wartet auf Freigabe",
        "invited": "Du bist zu",
        "done": "Dein Konto ist fertig",
        "used": "Diese Einladung gilt nicht",
    },
}
each = pytest.mark.parametrize(("language", "width", "scripts"), [("en", 1280, True), ("de", 390, False)])


READ_POOL = """
import base64, json, pathlib
files = [path.read_bytes().split(b"\\n", 1) for path in pathlib.Path("/var/lib/xmpp-captcha").iterdir()]
print(json.dumps({base64.b64encode(picture).decode(): letters.decode() for letters, picture in files}))
"""


def heading(browser) -> str:
    return browser.find_element(By.TAG_NAME, "h1").text


def can_log_in(site, jid: str, password: str) -> bool:
    async def log_in() -> bool:
        try:
            await (await Client(jid, password, (site.address, 5222), CA).login()).logout()
        except Refused:
            return False
        return True

    asyncio.set_event_loop(LOOP)
    return LOOP.run_until_complete(log_in())


@each
def test_somebody_makes_an_account_that_is_approved(site, browse, language, width, scripts):
    browser, texts = browse(language, width, scripts), TEXTS[language]
    # None is drawn meanwhile, of which this would not know the letters.
    site.host.out("systemctl stop xmpp-captcha.timer; systemctl start xmpp-captcha.service")
    pool = json.loads(site.host.out("python3 -", stdin=READ_POOL))

    def letters() -> str:
        image = browser.find_element(By.CSS_SELECTOR, "form img")
        assert (image.get_property("naturalWidth"), bool(image.get_attribute("alt"))) == (240, True)
        return pool[image.get_attribute("src").partition(",")[2]]

    browser.get(f"https://{site.web}/register/")
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == language
    assert heading(browser) == texts["form"]
    assert texts["question"] in browser.find_element(By.TAG_NAME, "form").text
    browser.picture("register")

    name, password = f"romeo-{secrets.token_hex(3)}", secrets.token_urlsafe(18)
    browser.fill(name="admin", password=password, again=f"{password}!", answer="blue", letters="222222")
    assert len(browser.find_elements(By.CSS_SELECTOR, "[aria-invalid=true]")) == 4
    browser.picture("register-wrong")

    # No human is faster.
    time.sleep(2)
    browser.fill(name=name, password=password, again=password, answer=texts["answer"], letters=letters())
    assert heading(browser) == texts["waits"]
    browser.picture("register-waits")
    jid = f"{name}@{site.domain}"
    assert not can_log_in(site, jid, password)
    site.host.out(f"xmpp-registrations approve {jid}")
    assert can_log_in(site, jid, password)
    assert {text for text in browser.complaints() if "status of 422" not in text} == set()


@each
def test_somebody_is_invited(site, browse, language, width, scripts):
    browser, texts = browse(language, width, scripts), TEXTS[language]
    link = site.host.out(f"xmpp-invite {site.domain}")
    assert link.startswith(f"https://{site.web}/register/?t=")
    browser.get(link)
    assert heading(browser).startswith(texts["invited"])
    assert browser.find_element(By.CSS_SELECTOR, "a.button").get_attribute("href").startswith("xmpp:")
    browser.picture("register-invited")
    name, password = f"rosalind-{secrets.token_hex(3)}", secrets.token_urlsafe(18)
    browser.fill(name=name, password=password, again=password)
    assert heading(browser) == texts["done"]
    browser.picture("register-done")
    assert can_log_in(site, f"{name}@{site.domain}", password)
    browser.get(link)
    assert heading(browser) == texts["used"]
    browser.picture("register-used")


def test_the_other_language_is_a_click_away(site, browse):
    browser = browse()
    browser.get(f"https://{site.web}/register/")
    browser.find_element(By.CSS_SELECTOR, "nav a[hreflang=de]").click()
    assert heading(browser) == TEXTS["de"]["form"]
