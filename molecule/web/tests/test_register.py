# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page where accounts are made, as somebody sees it, with scripts and without."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shlex
import subprocess
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


LINUX_APPS = ["Linux: Gajim", "Linux: Dino"]


def codes_on(browser, name: str) -> list[str]:
    """What a phone reads from the picture of a page."""
    said = subprocess.run(
        ["zbarimg", "--quiet", "--raw", browser.pictures[name]], capture_output=True, text=True, check=False
    )
    return said.stdout.split()


def landing_page(site, name: str, registers: bool) -> str:
    """The link of an invitation of a user's."""
    lua = f"> return prosody.hosts['{site.domain}'].modules.invites.create_contact('{name}', {str(registers).lower()}).landing_page"
    return site.host.out(f"prosodyctl shell {shlex.quote(lua)}").partition("Result: ")[2].strip()


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
    assert codes_on(browser, "register-invited") == [link]
    # The lab's browsers run on Linux.
    assert [item.text.split(" (")[0] for item in browser.find_elements(By.CSS_SELECTOR, "main > ul li")] == LINUX_APPS
    name, password = f"rosalind-{secrets.token_hex(3)}", secrets.token_urlsafe(18)
    browser.fill(name=name, password=password, again=password)
    assert heading(browser) == texts["done"]
    browser.picture("register-done")
    assert can_log_in(site, f"{name}@{site.domain}", password)
    browser.get(link)
    assert heading(browser) == texts["used"]
    browser.picture("register-used")


@each
def test_somebody_has_forgotten_the_password(site, browse, language, width, scripts):
    """The link for a new one, which is opened at a desk and goes on on a phone."""
    jid, _ = site.create("forgetful")
    link = site.host.out(f"xmpp-invite --reset {jid}")
    browser = browse(language, width, scripts)
    browser.get(link)
    assert jid in heading(browser)
    browser.picture("reset")
    assert codes_on(browser, "reset") == [link]
    password = secrets.token_urlsafe(18)
    browser.fill(password=password, again=password)
    assert can_log_in(site, jid, password)
    browser.get(link)
    assert heading(browser) == TEXTS[language]["used"]


@each
def test_somebody_becomes_a_contact(site, browse, language, width, scripts):
    """An invitation of a user's that makes no account."""
    jid, _ = site.create("nurse")
    name = jid.partition("@")[0]
    link = landing_page(site, name, False)
    assert link.startswith(f"https://{site.web}/register/?t=") and link.endswith(f"&u={name}")
    browser = browse(language, width, scripts)
    browser.get(link)
    assert jid in heading(browser)
    uri = browser.find_element(By.CSS_SELECTOR, "a.button").get_attribute("href")
    assert re.fullmatch(rf"xmpp:{re.escape(jid)}\?roster;preauth=[A-Za-z0-9_-]+", uri)
    assert browser.find_elements(By.TAG_NAME, "form") == []
    browser.picture("contact")
    assert codes_on(browser, "contact") == [link]
    # Its token is good for nothing else.
    token = re.search("t=([^&]*)", link)[1]
    for other in (f"?t={token}", f"?t={token}&u=admin", "?t=none&u=admin"):
        browser.get(f"https://{site.web}/register/{other}")
        assert heading(browser) == TEXTS[language]["used"]
    assert {text for text in browser.complaints() if "status of 404" not in text} == set()


def test_a_first_hour(site, browse):
    """Somebody reads the page, is invited by a friend, registers, logs in on two clients, and is the friend's contact."""
    friend_jid, friend_password = site.create("friend")
    browser = browse("de", 390)
    browser.get(f"https://{site.web}/")
    assert "ist ein XMPP-Server" in browser.see("main").text
    assert "https://play.google.com/" in browser.page_source
    browser.get(landing_page(site, friend_jid.partition("@")[0], True))
    browser.picture("first-hour")
    (link,) = codes_on(browser, "first-hour")
    browser.get(link)
    assert heading(browser).startswith(friend_jid)
    name, password = f"viola-{secrets.token_hex(3)}", secrets.token_urlsafe(18)
    browser.fill(name=name, password=password, again=password)
    jid = f"{name}@{site.domain}"
    assert jid in browser.see("main").text

    async def meet() -> list[tuple[str, str]]:
        address = (site.address, 5222)
        phone, desk = [await Client(jid, password, address, CA).login() for _ in range(2)]
        friend = await Client(friend_jid, friend_password, address, CA).login()
        roster = await friend.ask("get", "<query xmlns='jabber:iq:roster'/>")
        contacts = [(item.get("jid"), item.get("subscription")) for item in roster]
        for client in (phone, desk):
            friend.say(client.boundjid.full, "<body>Welcome!</body>")
            assert (await client.body("Welcome!")).get("from") == friend.boundjid.full
        for client in (phone, desk, friend):
            await client.logout()
        return contacts

    asyncio.set_event_loop(LOOP)
    assert LOOP.run_until_complete(meet()) == [(jid, "both")]


WATCH = """
import pathlib, socket, ssl, subprocess, sys
domain, web = sys.argv[1:]
link = subprocess.check_output(["xmpp-invite", domain], text=True).strip()
token = link.partition("t=")[2]
request = f"GET /register/qr.svg?t={token} HTTP/1.1\\r\\nHost: {web}\\r\\nConnection: close\\r\\n\\r\\n".encode()
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
seen, answers = set(), set()
for _ in range(5):
    with context.wrap_socket(socket.create_connection(("127.0.0.1", 443)), server_hostname=web) as stream:
        stream.sendall(request)
        answers.add(stream.recv(65536).split(b" ")[1].decode())
        for one in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(one.read_bytes())
            except OSError:
                pass
journal = subprocess.check_output(["journalctl", "--boot", "--no-pager", "--output=cat"], text=True)
print(answers, any(b"xmpp-qr" in line for line in seen), any(token.encode() in line for line in seen), token in journal)
"""


def test_a_token_is_in_no_list_of_processes_and_no_log(site):
    """The codes are drawn by a program that gets the token in a request."""
    said = site.host.out(f"python3 - {site.domain} {site.web}", stdin=WATCH)
    assert said == "{'200'} True False False"


def test_the_other_language_is_a_click_away(site, browse):
    browser = browse()
    browser.get(f"https://{site.web}/register/")
    browser.find_element(By.CSS_SELECTOR, "nav a[hreflang=de]").click()
    assert heading(browser) == TEXTS["de"]["form"]
