# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web client, as somebody uses it."""

from __future__ import annotations

import asyncio
import secrets
import shlex

import pytest
from clients import CLIENT, Client, Refused
from conftest import INVENTORY, LOOP, SIZES, site_of
from hosts import CA, apply
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

# Where the pictures of messages that could be shown come from.
PICTURES = """
return [...document.querySelectorAll("converse-chat-message-body img, .chat-msg__media img")]
    .filter((image) => image.complete && image.naturalWidth > 0).map((image) => new URL(image.src).origin);
"""
PUBSUB = "http://jabber.org/protocol/pubsub"
ATTACKS = """
const script = document.createElement("script");
script.textContent = "window.taken = 1";
document.body.append(script);
const foreign = document.createElement("script");
foreign.src = "data:text/javascript,window.taken=2";
document.body.append(foreign);
document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.taken = 3'>");
// Later, since what a debugger itself evaluates is allowed more.
setTimeout(() => setTimeout("window.taken = 4"));
"""


def text_is_there(browser, selector: str, text: str):
    return browser.wait(
        lambda b: any(text in (element.text or "") for element in b.find_elements(By.CSS_SELECTOR, selector)),
    )


def run(coroutine):
    return LOOP.run_until_complete(coroutine)


async def tell(client, jid: str, text: str) -> None:
    client.say(jid, f"<body>{text}</body>")
    await client.ping()


def by_websocket(site, jid: str) -> bool:
    """Whether Prosody has the account's sessions by WebSocket, all of them."""
    code = f"""
        local count, others = 0, 0
        for _, session in pairs(prosody.bare_sessions[{jid!r}].sessions) do
          if session.websocket_request then count = count + 1 else others = others + 1 end
        end
        return count > 0 and others == 0
    """
    answer = site.host.out(f"prosodyctl shell {shlex.quote('> ' + ' '.join(code.split()))}")
    print(answer)
    return "true" in answer


@pytest.fixture
def friend(site):
    """Somebody with another client."""
    asyncio.set_event_loop(LOOP)
    jid, password = site.create("friend")
    client = Client(jid, password, (site.address, 5222), CA)
    LOOP.run_until_complete(client.login())
    yield client
    LOOP.run_until_complete(client.logout())


def encrypts(friend, jid: str) -> bool:
    """Whether somebody's devices are published with which a friend could talk encrypted (XEP-0384)."""
    items = f"<pubsub xmlns='{PUBSUB}'><items node='eu.siacs.conversations.axolotl.devicelist'/></pubsub>"
    try:
        found = run(friend.ask("get", items, jid))
    except Refused:
        return False
    return bool(list(found.iter("{eu.siacs.conversations.axolotl}device")))


@pytest.mark.parametrize(("language", "width"), SIZES)
def test_somebody_comes_and_talks(site, browse, friend, language, width):
    browser = browse(language, width)
    name, password = f"juliet-{secrets.token_hex(3)}", secrets.token_urlsafe(18)
    jid = f"{name}@{site.domain}"
    browser.get(site.host.out(f"xmpp-invite {site.domain}"))
    browser.fill(name=name, password=password, again=password)
    browser.get(f"https://{site.web}/chat/")
    user = browser.see("#converse-login-jid")
    assert browser.title == site.domain
    browser.picture("chat-login")
    user.send_keys(name)
    browser.find_element(By.ID, "converse-login-password").send_keys(password)
    # On a device of one's own there is end-to-end encryption, by WebAssembly.
    trusted = language == "en"
    if trusted:
        browser.find_element(By.ID, "converse-login-trusted").click()
    browser.find_element(By.CSS_SELECTOR, "#converse-login button[type=submit]").click()
    browser.see(".controlbox-section, .userinfo, converse-user-profile")
    browser.picture("chat-home")

    said, answered = f"Hello {secrets.token_hex(8)}", f"Good morning {secrets.token_hex(8)}"
    run(tell(friend, jid, said))
    browser.see(f"a.open-chat[data-jid='{friend.boundjid.bare}'], a[data-jid='{friend.boundjid.bare}']").click()
    text_is_there(browser, "converse-chat-message", said)
    browser.see("textarea.chat-textarea").send_keys(answered, Keys.ENTER)
    text_is_there(browser, "converse-chat-message", answered)
    run(friend.body(answered))
    assert by_websocket(site, jid)
    if trusted:
        browser.wait(lambda _: encrypts(friend, jid))

    # Pictures go to the uploads and come back from there, and from nowhere else.
    browser.find_element(By.CSS_SELECTOR, "input.fileupload").send_keys(str(browser.pictures["chat-login"]))
    browser.wait(lambda b: b.execute_script(PICTURES) == [f"https://upload.{site.domain}"])
    shared = run(
        friend.take(lambda stanza: f"https://upload.{site.domain}/" in (stanza.findtext(f"{CLIENT}body") or ""))
    )
    print(shared.findtext(f"{CLIENT}body"))
    browser.picture("chat-talk")
    # What webpack leaves in the page is empty: nothing is lost with it. The client's own complaints are not ours.
    policy = {text for text in browser.complaints() if "Content Security Policy" in text}
    assert {text for text in policy if "Applying inline style" not in text} == set()


REFUSED = {"en": "The name or the password is wrong.", "de": "Name oder Passwort ist falsch."}


def log_in(browser, name: str, password: str) -> None:
    browser.see("#converse-login-jid").send_keys(name)
    browser.find_element(By.ID, "converse-login-password").send_keys(password)
    browser.find_element(By.CSS_SELECTOR, "#converse-login button[type=submit]").click()


def click(browser, selector: str) -> None:
    """What just moves in or is covered yet is clicked as soon as it can be."""

    def clicked(b):
        b.find_element(By.CSS_SELECTOR, selector).click()
        return True

    browser.wait(clicked)


@pytest.mark.parametrize(("language", "width"), SIZES)
def test_who_is_refused_or_leaves_can_log_in(site, browse, language, width):
    """On a device that is not trusted, where nothing is to be left behind."""
    browser = browse(language, width)
    jid, password = site.create("portia")
    name = jid.partition("@")[0]
    browser.get(f"https://{site.web}/chat/")
    log_in(browser, name, f"{password}!")
    text_is_there(browser, "[role=alert]", REFUSED[language])
    browser.picture("chat-refused")
    log_in(browser, name, password)
    browser.see(".show-profile")
    assert browser.find_elements(By.ID, "converse-login-jid") == []
    click(browser, ".show-profile")
    click(browser, "converse-profile-modal .btn-danger")
    click(browser, "converse-confirm-modal button[type=submit]")
    browser.see("#converse-login-jid")
    alerts = [alert.text for alert in browser.find_elements(By.CSS_SELECTOR, "[role=alert]")]
    print(alerts)
    assert not any(alerts)
    # Nobody is logged in by the page alone.
    browser.refresh()
    browser.see("#converse-login-jid")
    kept = browser.execute_script("return JSON.stringify([{...localStorage}, {...sessionStorage}])")
    print(kept)
    assert name not in kept and password not in kept


@pytest.mark.parametrize(("language", "width"), SIZES)
def test_the_page_says_which_language_it_has(site, browse, language, width):
    browser = browse(language, width)
    browser.get(f"https://{site.web}/chat/")
    browser.see("#converse-login-jid")
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang").partition("-")[0] == language


def test_accounts_are_offered_where_strangers_may_make_them(site, browse):
    browser = browse()
    browser.get(f"https://{site.web}/chat/")
    browser.see("#converse-login-jid")
    offered = [link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, "a[href*='/register/']")]
    print(offered)
    # On the one host they may, by what the inventory says.
    assert offered == ([f"https://{site.web}/register/"] if site.release == "trixie" else [])


def test_without_scripts_the_page_says_so(site, browse):
    browser = browse("de", 390, scripts=False)
    browser.get(f"https://{site.web}/chat/")
    assert "braucht JavaScript" in browser.find_element(By.TAG_NAME, "body").text
    browser.picture("chat-without-scripts")


def test_no_script_of_others_runs(site, browse):
    """What an answer of the server, or a hole of the client, would put into the page."""
    browser = browse()
    browser.get(f"https://{site.web}/chat/")
    browser.see("#converse-login-jid")
    assert browser.execute_script(ATTACKS) is None
    assert browser.execute_async_script("setTimeout(() => arguments[0](window.taken ?? null), 1000)") is None
    assert any("Refused" in text or "violates" in text for text in browser.complaints())


def test_nothing_is_left_of_a_client_that_is_removed():
    name = "dill.parsley.test"
    host = site_of(name).host
    done = apply(["nginx"], name, inventory=INVENTORY, nginx_chat=False)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert host.run("ls -d /var/www/chat /usr/local/share/converse.js").stdout == ""
    finally:
        done = apply(["nginx"], name, inventory=INVENTORY)
    assert done.returncode == 0, done.stdout + done.stderr
