# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may make an account, on the page and in an app, and who may not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import re
import secrets
import shlex
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from clients import CLIENT, SECONDS, Client, Refused, condition
from conftest import (
    ADDRESS,
    CA,
    DOMAIN,
    DOMAINS,
    EXTRA,
    HOSTS,
    IDN,
    LOOP,
    RELEASE,
    Account,
    as_xmpp,
    create,
    logs_in,
)
from hosts import until
from slixmpp.exceptions import IqError
from streams import Stream

ADMINS = {DOMAIN: "admin", EXTRA: "gardener", IDN: "bücherwurm"}
REGISTER = "jabber:iq:register"
COMMANDS = "http://jabber.org/protocol/commands"
INVITE = "urn:xmpp:invite#invite"
CREATE_ACCOUNT = "urn:xmpp:invite#create-account"
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; img-src 'self'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
SECOND = "2001:db8:100::153"
ATTACK = "\"><script>alert(1)</script>'{name}%s"


class Page(HTMLParser):
    """What of a page the tests look at."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.lang, self.fields, self.labels, self.links, self.wrong, self.tags = "", {}, set(), [], {}, []
        self.heading = self.text = self._within = ""
        self._style = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self._within, self._style = tag, attrs
        self.tags.append((tag, attrs))
        if tag == "html":
            self.lang = attrs.get("lang", "")
        if tag == "input":
            self.fields[attrs["name"]] = attrs
        if tag == "label":
            self.labels.add(attrs["for"])
        if tag == "a":
            self.links.append(attrs["href"])

    def handle_data(self, data):
        self.text += data
        if self._within == "h1":
            self.heading += data.strip()
        if self._within == "p" and self._style.get("class") == "wrong" and data.strip():
            self.wrong[self._style.get("id", "form").removesuffix("-hint")] = data.strip()


class Browser:
    """A browser without JavaScript, by curl on internet.test."""

    def __init__(self, internet, options: str = "--ipv4", domain: str = DOMAIN):
        self.internet, self.domain = internet, domain
        self.jar = f"/tmp/jar-{secrets.token_hex(6)}"
        self.options = f"{options} --cookie {self.jar} --cookie-jar {self.jar}"

    def ask(self, url: str, options: str = "", body: str | None = None):
        # The body by standard input, as the password is in it.
        data = "" if body is None else "--data @-"
        command = (
            f"curl --silent --show-error --include --max-time 10 {self.options} {options} {data} {shlex.quote(url)}"
        )
        deadline = time.monotonic() + 60
        while True:
            text = self.internet.out(command, stdin=body)
            head, _, answer = text.replace("\r\n", "\n").partition("\n\n")
            status, *lines = head.split("\n")
            # nginx lets an address have so many pages a second, and these tests ask for more: they were not passed on.
            if not re.search(r'class="hint">\w+ 429<', answer) or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        return SimpleNamespace(status=int(status.split()[1]), headers=headers, body=answer, page=Page(answer))

    def open(self, token: str | None = None, options: str = ""):
        return self.ask(f"https://{self.domain}/register/" + (f"?t={quote(token)}" if token else ""), options)

    def submit(self, shown, options: str = "", **typed: str):
        """Fills in the form and sends it."""
        values = {name: field.get("value", "") for name, field in shown.page.fields.items()} | typed
        body = "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items())
        return self.ask(f"https://{self.domain}/register/", options, body)


@pytest.fixture
def browser(internet):
    return Browser(internet)


@pytest.fixture
def invite(rosewood):
    """The token of a new invitation."""

    def make(whom: str = DOMAIN) -> str:
        link = rosewood.out(f"xmpp-invite {whom}")
        prefix = f"https://{whom.rpartition('@')[2].encode('idna').decode()}/register/?t="
        assert re.fullmatch(re.escape(prefix) + r"[\w-]{16,}", link), link
        return link.removeprefix(prefix)

    return make


def newcomer(name: str = "new", domain: str = DOMAIN) -> Account:
    return Account(f"{name}-{secrets.token_hex(4)}@{domain}", secrets.token_urlsafe(18))


def second_address(internet) -> None:
    """One more address of the same /64."""
    device = "$(ip -6 -o route get 2001:db8:100::20 | grep -o 'dev [^ ]*' | cut -c5-)"
    internet.out(f"ip -6 addr replace {SECOND}/64 dev {device}")


def typed(account: Account) -> dict:
    return {"name": account.jid.split("@")[0], "password": account.password, "again": account.password}


@pytest.fixture
def can(connect, client):
    def log_in(account: Account) -> bool:
        # slixmpp is told of the first domain's address only.
        if account.jid.endswith(f"@{EXTRA}"):
            return "jid" in client("login", account=account.by())
        return LOOP.run_until_complete(logs_in(connect, account))

    return log_in


class InBand(Client):
    """A client that makes its account before it logs in (XEP-0077), with an invitation (XEP-0445) if it has one."""

    def __init__(self, account: Account, token: str | None, answer: str | None, read=None):
        super().__init__(account.jid, account.password, (ADDRESS, 5222), CA)
        self.token, self.answer, self.read = token, answer, read
        # slixmpp keeps stanzas that it does not expect before a login.
        self._always_send_everything = True
        self.outcome = asyncio.get_event_loop().create_future()
        self.add_event_handler("register", self.register)
        self.form_of_plugin = self.plugin["xep_0077"].get_registration
        self.plugin["xep_0077"].get_registration = self.form
        # It goes on to log in where no account can be made.
        self.add_event_handler("failed_all_auth", lambda _: self.outcome.set_result("not offered"))

    async def form(self) -> ET.Element:
        try:
            return await self.form_of_plugin(timeout=SECONDS)
        except IqError as error:
            self.outcome.set_result("no form: " + condition(error.iq.xml.find("{jabber:client}error")))
            raise

    async def register(self, form) -> None:
        fields = {"username": self.boundjid.user, "password": self.password}
        if self.read:
            # As Conversations does: it shows the picture, and fills in nothing else.
            fields |= {"FORM_TYPE": REGISTER, "ocr": self.read(bits_of_binary(form.xml))}
            inner = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
            inner = f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"
        elif self.answer is None:
            inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
        else:
            fields |= {"FORM_TYPE": REGISTER, "answer": self.answer}
            inner = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
            inner = f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"
        try:
            if self.token:
                await self.put(f"<preauth xmlns='urn:xmpp:pars:0' token='{self.token}'/>")
            await self.put(f"<query xmlns='{REGISTER}'>{inner}</query>")
            self.outcome.set_result("registered")
        except IqError as error:
            self.outcome.set_result(condition(error.iq.xml.find("{jabber:client}error")))
        self.abort()

    async def put(self, payload: str) -> None:
        iq = self.make_iq(ito=self.boundjid.domain, itype="set")
        iq.xml.append(ET.fromstring(payload))
        await iq.send(timeout=SECONDS)


def bits_of_binary(iq: ET.Element) -> bytes:
    """The picture that a field of the form shows (XEP-0221), and that comes with it (XEP-0231)."""
    (field,) = [field for field in iq.iter("{jabber:x:data}field") if field.get("var") == "ocr"]
    (uri,) = field.iter("{urn:xmpp:media-element}uri")
    (data,) = iq.iter("{urn:xmpp:bob}data")
    picture = base64.b64decode(data.text)
    assert (uri.get("type"), data.get("type")) == ("image/png", "image/png")
    assert uri.text == f"cid:{data.get('cid')}" == f"cid:sha1+{hashlib.sha1(picture).hexdigest()}@bob.xmpp.org"
    return picture


def in_band(
    account: Account, token: str | None = None, answer: str | None = None, read=None, seconds: int = SECONDS
) -> str:
    """What comes of making an account in an app."""

    async def run() -> str:
        app = InBand(account, token, answer, read)
        app.connect(*app.address)
        return await asyncio.wait_for(app.outcome, seconds)

    asyncio.set_event_loop(LOOP)
    outcome = LOOP.run_until_complete(run())
    print(f"{account.jid} in-band: {outcome}")
    return outcome


@pytest.fixture(autouse=True)
def fresh(rosewood):
    """As if nobody had made an account in the last hour."""
    said = rosewood.out("prosodyctl shell \"module:reload('register_page')\"")
    assert f"OK: Module reloaded on {len(DOMAINS)} hosts" in said


@pytest.mark.parametrize(
    ("wanted", "lang", "heading"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de", "Nur mit Einladung"),
        ("en-GB,en;q=0.9,de;q=0.8", "en", "By invitation only"),
        ("fr,*;q=0.5", "en", "By invitation only"),
    ],
)
@pytest.mark.parametrize("domain", DOMAINS)
def test_without_an_invitation_the_page_says_whom_to_ask(internet, domain, wanted, lang, heading):
    shown = Browser(internet, domain=domain).open(options=f"--header 'Accept-Language: {wanted}'")
    assert (shown.status, shown.page.lang, shown.page.heading) == (200, lang, heading)
    asked = f"{ADMINS[as_xmpp(domain)]}@{as_xmpp(domain)}"
    assert f"xmpp:{quote(asked, safe='@')}" in shown.page.links
    assert asked in shown.page.text
    assert shown.page.fields == {}


def test_the_language_is_the_visitor_s_choice(browser, invite):
    token = invite()
    shown = browser.open(token, "--header 'Accept-Language: de'")
    assert shown.page.lang == "de"
    (other,) = [link for link in shown.page.links if link.startswith("?lang=")]
    shown = browser.ask(f"https://{DOMAIN}/register/{other}", "--header 'Accept-Language: de'")
    assert (shown.page.lang, shown.page.fields["t"]["value"]) == ("en", token)
    # It stays chosen when something is wrong.
    assert browser.submit(shown, "--header 'Accept-Language: de'", name="a").page.lang == "en"


def test_nothing_on_the_page_is_active_or_of_others(browser, invite):
    shown = browser.open(invite())
    assert {name: shown.headers.get(name) for name in HEADERS} == HEADERS
    cookie = shown.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    for tag, attributes in shown.page.tags:
        assert tag not in {"script", "style", "iframe", "object", "base"}
        # The QR code is drawn on the host.
        assert tag != "img" or attributes["src"].startswith("qr.svg?")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
    links = {attributes["rel"]: attributes["href"] for tag, attributes in shown.page.tags if tag == "link"}
    assert set(links) == {"icon", "stylesheet"} and all(re.match("/pages/", link) for link in links.values())
    style = browser.ask(f"https://{DOMAIN}{links['stylesheet']}")
    assert (style.status, style.headers["content-type"]) == (200, "text/css") and style.body.isascii()
    assert "url(" not in style.body
    assert "@import" not in style.body


def test_the_form_is_for_people_and_their_password_managers(browser, invite):
    fields = browser.open(invite()).page.fields
    seen = {name: field for name, field in fields.items() if field.get("type") != "hidden"}
    assert set(seen) == browser.open(invite()).page.labels
    assert fields["name"]["autocomplete"] == "username"
    for name in ("password", "again"):
        assert (fields[name]["autocomplete"], fields[name]["type"]) == ("new-password", "password")


@pytest.mark.parametrize("domain", DOMAINS)
def test_who_is_invited_makes_an_account_once(internet, rosewood, can, invite, domain):
    browser, account, token = Browser(internet, domain=domain), newcomer(domain=as_xmpp(domain)), invite(domain)
    shown = browser.open(token)
    assert shown.status == 200
    assert f"xmpp:{as_xmpp(domain)}?register;preauth={token}" in shown.page.links
    done = browser.submit(shown, **typed(account))
    assert done.status == 200, done.body
    assert account.jid in done.page.text
    assert can(account)

    again = newcomer(domain=as_xmpp(domain))
    assert browser.submit(shown, **typed(again)).status == 404
    assert browser.open(token).status == 404
    if domain == DOMAIN:
        assert in_band(again, token) == "forbidden"
        assert not can(again)
    for place in ("journalctl --no-pager --since=-10min --output=cat", "cat /var/log/nginx/* 2>/dev/null; true"):
        logged = rosewood.out(place)
        assert account.password not in logged
        assert quote(account.password) not in logged
        assert token not in logged


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("Straße", "strasse"),
        ("\N{LATIN SMALL LIGATURE FI}lm", "film"),
        ("\N{FULLWIDTH LATIN SMALL LETTER J}uliet", "juliet"),
        ("mu\N{COMBINING DIAERESIS}ller", "müller"),
        ("a+b", "a+b"),
    ],
)
@pytest.mark.parametrize("domain", ["broccoli.test", "xn--bcher-kva.test"])
def test_a_name_is_the_one_that_xmpp_knows(internet, rosewood, invite, can, written, known, domain):
    """By an invitation for it; and typed into the page, where Prosody prepares it, too. Each spelling logs in."""
    browser, end = Browser(internet, domain=domain), secrets.token_hex(4)
    made = rosewood.run(f"xmpp-invite {written}-{end}@{domain}")
    account = Account(f"{known}-{end}@{as_xmpp(domain)}", secrets.token_urlsafe(18))
    note = "" if f"{written}-{end}@{domain}" == account.jid else f"xmpp-invite: for {account.jid}\n"
    print(made.stdout, made.stderr)
    assert (made.rc, made.stderr) == (0, note)
    token = made.stdout.strip().removeprefix(f"https://{domain}/register/?t=")
    done = browser.submit(browser.open(token), password=account.password, again=account.password)
    assert done.status == 200, done.body
    assert can(account)
    assert can(Account(f"{written}-{end}@{as_xmpp(domain)}", account.password))
    again = rosewood.run(f"xmpp-invite {written}-{end}@{domain}")
    assert (again.rc, again.stderr) == (1, f"xmpp-invite: {written}-{end}@{domain}: there is an account of that name\n")

    # Who chooses a name without being invited for it has fewer letters.
    typed_in = Account(f"{known}-x{end}@{as_xmpp(domain)}", secrets.token_urlsafe(18))
    done = browser.submit(browser.open(invite(domain)), **typed(typed_in) | {"name": f"{written}-x{end}"})
    assert done.status == (200 if re.fullmatch("[a-z]+", known) else 422), done.body
    assert can(typed_in) == (done.status == 200)


@pytest.mark.parametrize(
    "given",
    [
        "o'neill@broccoli.test",
        "\N{GRINNING FACE}@broccoli.test",
        "a b@broccoli.test",
        "@broccoli.test",
        "\N{SOFT HYPHEN}@broccoli.test",
        "'; error()--",
        "",
    ],
)
def test_what_is_no_name_is_refused(rosewood, given):
    said = "(neither a domain nor an account; write .*|it is not an account; write .*|no invitations are made for .*)"
    for program, call in (("invite", ""), ("registrations", "approve "), ("deleted", "restore ")):
        refused = rosewood.run(f"xmpp-{program} {call}{shlex.quote(given)}")
        print(refused.stderr)
        assert (refused.rc, refused.stdout) == (1, "")
        assert re.fullmatch(rf"xmpp-{program}: {re.escape(given)}: {said}\n", refused.stderr)


def test_every_program_takes_the_names_that_xmpp_knows(rosewood):
    given = f"Stra\N{LATIN SMALL LETTER SHARP S}e+{secrets.token_hex(4)}@xn--bcher-kva.test"
    for command, said in (
        ("registrations refuse", "nobody of that name waits"),
        ("deleted restore", "no account of that name waits for its deletion"),
        ("invite --reset", "There is no account of that name"),
    ):
        refused = rosewood.run(f"xmpp-{command} {given}")
        assert (refused.rc, refused.stderr) == (1, f"xmpp-{command.split()[0]}: {given}: {said}\n")


def test_an_app_makes_the_account_with_the_same_invitation(can, invite, browser):
    account, token = newcomer(), invite()
    assert in_band(account, token) == "registered"
    assert can(account)
    assert browser.open(token).status == 404


def test_an_app_needs_an_invitation_and_has_the_same_rules(can, invite):
    stranger = newcomer()
    assert in_band(stranger) == "not-acceptable"
    assert in_band(stranger, "AAAAAAAAAAAAAAAAAAAAAAAA") == "forbidden"
    assert not can(stranger)
    token = invite()
    for name in ("admin", "postmaster", "adm1n"):
        assert in_band(Account(f"{name}@{DOMAIN}", secrets.token_urlsafe(18)), token) == "not-acceptable"
    assert in_band(Account(newcomer().jid, "short"), token) == "not-acceptable"
    # None of that has used it up.
    assert in_band(stranger, token) == "registered"


@pytest.mark.parametrize(
    ("what", "field", "words"),
    [
        ({"name": ATTACK}, "name", "cannot be a name here"),
        ({"name": "a"}, "name", "cannot be a name here"),
        ({"name": "julіet"}, "name", "cannot be a name here"),
        ({"name": "Hostmaster"}, "name", "reserved"),
        ({"name": "admin"}, "name", "reserved"),
        ({"name": "a.d.m1n"}, "name", "reserved"),
        ({"name": "alice"}, "name", "not free"),
        ({"password": "a b c d e", "again": "a b c d e"}, "password", "at least 10"),
        ({"password": "tab\tinside-it", "again": "tab\tinside-it"}, "password", "cannot be used"),
        ({"again": "another password"}, "again", "differ"),
        ({"website": "https://example.org/"}, "form", "Ask the administrators"),
        ({"form": "1.00"}, "form", "open too long"),
    ],
)
def test_what_is_wrong_is_said_next_to_it(browser, invite, accounts, can, what, field, words):
    if what.get("name") == "alice":
        what = {"name": accounts["alice"].jid.split("@")[0]}
    account, token = newcomer(), invite()
    shown = browser.submit(browser.open(token), **(typed(account) | what))
    assert shown.status == 422
    assert words in shown.page.wrong[field]
    assert "<script" not in shown.body
    assert shown.page.fields["password"].get("value", "") == shown.page.fields["again"].get("value", "") == ""
    assert shown.page.fields["name"]["value"] == what.get("name", typed(account)["name"])
    assert account.password not in shown.body
    # The corrected form makes the account.
    assert browser.submit(shown, **(typed(account) | {"website": ""})).status == 200
    assert can(account)


def test_other_sites_cannot_send_the_form(browser, internet, invite, can):
    """Their visitors' browsers leave out the cookie, or have another one."""
    account, token = newcomer(), invite()
    shown = browser.open(token)
    other = Browser(internet)
    assert other.submit(shown, **typed(account)).status == 422
    other.open(token)
    refused = other.submit(shown, **typed(account))
    assert (refused.status, list(refused.page.wrong)) == (422, ["form"])
    assert not can(account)


def test_only_by_tls(browser, internet):
    answer = browser.ask(f"http://{DOMAIN}/register/", body="name=a")
    assert (answer.status, answer.headers["location"]) == (301, f"https://{DOMAIN}/register/")
    for method in ("PUT", "DELETE", "OPTIONS"):
        assert browser.ask(f"https://{DOMAIN}/register/", f"--request {method}").status == 403


@pytest.mark.parametrize("token", ["x", ATTACK, "AAAAAAAAAAAAAAAAAAAAAAAA", "%00", "A" * 3000])
def test_what_is_no_invitation(browser, token):
    shown = browser.open(token)
    assert (shown.status, shown.page.heading) == (404, "This invitation is not valid")
    assert "<script" not in shown.body


def lua(host, code: str) -> str:
    """What a piece of Lua answers that sees the modules of the domain as m."""
    answer = host.out(f"prosodyctl shell {shlex.quote(f'> local m = prosody.hosts[{DOMAIN!r}].modules; {code}')}")
    return answer.partition("Result: ")[2].strip()


def test_an_invitation_expires(browser, rosewood):
    token = lua(rosewood, "return m.invites.create_account(nil, nil, -1).token")
    assert browser.open(token).status == 404
    assert in_band(newcomer(), token) == "forbidden"


def test_an_invitation_for_a_name_is_for_that_one(browser, invite, can):
    account = newcomer("special")
    token = invite(account.jid)
    shown = browser.open(token)
    assert shown.page.fields["name"]["value"] == typed(account)["name"]
    assert in_band(newcomer(), token) == "not-acceptable"
    assert browser.submit(shown, **(typed(account) | {"name": "other-name"})).status == 200
    assert can(account)


def test_one_invitation_is_good_for_one_account_whoever_has_shown_it(browser, invite, can):
    """Four streams show it before the first of them makes an account; so does a page."""
    people, token = [newcomer() for _ in range(5)], invite()
    streams = [Stream() for _ in people[:4]]
    for stream in streams:
        assert stream.ask("set", f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>") == ""
    shown = browser.open(token)
    outcomes = [stream.register(account) for stream, account in zip(streams, people, strict=False)]
    # Nor does the stream that has used it make a second account.
    outcomes.append(streams[0].register(newcomer()))
    for stream in streams:
        stream.socket.close()
    print(outcomes)
    assert outcomes == ["", "forbidden", "forbidden", "forbidden", "forbidden"]
    assert browser.submit(shown, **typed(people[4])).status == 404
    assert [can(account) for account in people] == [True, False, False, False, False]


def test_who_may_make_an_account_is_told_that_a_name_is_taken(rosewood, invite, accounts):
    """As XEP-0077 says; who may not make one learns nothing of names."""
    gone = create(rosewood, "gone", DOMAIN)
    rosewood.out(f"prosodyctl shell 'user:delete(\"{gone.jid}\")'")
    for account in (accounts["alice"], gone):
        with Stream() as stream:
            assert stream.register(account) == stream.register(newcomer()) == "not-acceptable"
            assert stream.ask("set", f"<preauth xmlns='urn:xmpp:pars:0' token='{invite()}'/>") == ""
            assert stream.register(Account(account.jid, secrets.token_urlsafe(18))) == "conflict"
            # It is still good for another one.
            assert stream.register(newcomer()) == ""


def test_no_app_sets_the_password_of_an_account_that_is_there(rosewood, accounts, can):
    alice = accounts["alice"]
    token = rosewood.out(f"xmpp-invite --reset {alice.jid}").partition("?t=")[2]
    thief = Account(alice.jid, secrets.token_urlsafe(18))
    assert in_band(thief, token) == "forbidden"
    assert not can(thief)
    assert can(alice)


def of_the_configuration(rosewood, jid: str) -> Iterator[Account]:
    account = Account(jid, secrets.token_urlsafe(18))
    rosewood.out(f"prosodyctl adduser {account.jid}", stdin=f"{account.password}\n" * 2)
    yield account
    rosewood.out(f"prosodyctl deluser {account.jid}")


@pytest.fixture
def chief(rosewood):
    """The server operator, whom the configuration names."""
    yield from of_the_configuration(rosewood, f"admin@{DOMAIN}")


@pytest.fixture
def keeper(rosewood):
    """An account of this domain that administers the second one."""
    yield from of_the_configuration(rosewood, f"keeper@{DOMAIN}")


@pytest.fixture
def deputy(rosewood):
    """An account that has the role."""
    account = create(rosewood, "deputy", DOMAIN)
    call = "set_role({}, {}, {})" if RELEASE == "trixie" else "setroles({}, {}, {{{}}})"
    rosewood.out(
        "prosodyctl shell 'user:" + call.format(*map(json.dumps, (account.jid, DOMAIN, "prosody:admin"))) + "'"
    )
    return account


async def command(client, node: str) -> dict:
    """Run a command without a form (XEP-0050), and return the fields of its result."""
    done = await client.ask("set", f"<command xmlns='{COMMANDS}' node='{node}' action='execute'/>", DOMAIN)
    data = "{jabber:x:data}"
    fields = {field.get("var"): field.findtext(f"{data}value") for field in done.iter(f"{data}field")}
    print(client.boundjid.bare, node, fields)
    return fields


RESET = "xmpp:prosody.im/mod_invites_adhoc#password-reset"


async def reset_link(admin, jid: str) -> str:
    """What the command for a new password answers: the link, or why there is none."""
    begin = f"<command xmlns='{COMMANDS}' node='{RESET}' "
    form = await admin.ask("set", begin + "action='execute'/>", DOMAIN)
    done = await admin.ask(
        "set",
        f"{begin} sessionid='{form.get('sessionid')}' action='complete'><x xmlns='jabber:x:data' type='submit'>"
        f"<field var='accountjid'><value>{jid}</value></field></x></command>",
        DOMAIN,
    )
    fields = {field.get("var"): field.findtext("{jabber:x:data}value") for field in done.iter("{jabber:x:data}field")}
    return fields.get("landing-url") or done.findtext(f"{{{COMMANDS}}}note")


@pytest.mark.parametrize("lang", ["en", "de"])
def test_an_administrator_hands_out_a_link_for_a_new_password(connect, chief, rosewood, internet, can, lang):
    def run(coroutine):
        return LOOP.run_until_complete(coroutine)

    account = create(rosewood, "forgetful", DOMAIN)
    online, admin = run(connect(account)), run(connect(chief))
    link, other = (run(reset_link(admin, account.jid)) for _ in range(2))
    browser = Browser(internet, f"--ipv4 --header 'Accept-Language: {lang}'")
    shown = browser.ask(link)
    heading = {"en": f"A new password for {account.jid}", "de": f"Ein neues Passwort für {account.jid}"}[lang]
    assert (shown.status, shown.page.lang, shown.page.heading) == (200, lang, heading)
    assert not [target for target in shown.page.links if target.startswith("xmpp:") and "register" in target]
    changed, late = (Account(account.jid, secrets.token_urlsafe(18)) for _ in range(2))
    # The rules are those of new accounts, and what is refused uses nothing up.
    refused = browser.submit(shown, password="short", again="short")
    assert (refused.status, list(refused.page.wrong)) == (422, ["form", "password"])
    # Whatever name the browser sends, it is this account's.
    done = browser.submit(shown, name="admin", password=changed.password, again=changed.password)
    assert (done.status, account.jid in done.page.text) == (200, True)
    run(asyncio.wait_for(online.disconnected, 10))
    assert can(changed)
    assert not can(account)
    # Once; and the new password has ended the other link, too.
    assert browser.submit(shown, password=late.password, again=late.password).status == 404
    assert browser.ask(link).status == browser.ask(other).status == 404
    assert not can(late)
    assert changed.password not in rosewood.out("journalctl --no-pager --since=-10min --output=cat")


def test_links_for_a_new_password_are_for_accounts_of_the_domain_that_can_log_in(
    connect, chief, alice, accounts, rosewood, browser, can
):
    def run(coroutine):
        return LOOP.run_until_complete(coroutine)

    admin = run(connect(chief))
    assert "no account" in run(reset_link(admin, newcomer().jid))
    for other in (accounts["kim"].jid, DOMAIN, "nobody"):
        assert "Write an account" in run(reset_link(admin, other))
    with pytest.raises(Refused, match="forbidden"):
        run(reset_link(alice, accounts["bob"].jid))
    # It ends with the password, with the account, and after its time.
    account, gone = create(rosewood, "careful", DOMAIN), create(rosewood, "gone", DOMAIN)
    links = [rosewood.out(f"xmpp-invite --reset {jid}") for jid in (account.jid, gone.jid)]
    assert [browser.ask(link).status for link in links] == [200, 200]
    rosewood.out(f"prosodyctl shell 'user:delete(\"{gone.jid}\")'")
    rosewood.out(f'prosodyctl shell \'user:password("{account.jid}", "{secrets.token_urlsafe(18)}")\'')
    assert [browser.ask(link).status for link in links] == [404, 404]
    user = account.jid.split("@")[0]
    late = lua(rosewood, f"return m.invites.create_account_reset({user!r}, -1).landing_page")
    assert browser.ask(late).status == 404
    refused = rosewood.run(f"xmpp-invite --reset {gone.jid}")
    assert (refused.rc, refused.stderr) == (1, f"xmpp-invite: {gone.jid}: There is no account of that name\n")


def test_administrators_invite_by_a_command_and_others_only_as_contacts(connect, chief, alice, internet, can):
    def run(coroutine):
        return LOOP.run_until_complete(coroutine)

    link = run(command(run(connect(chief)), CREATE_ACCOUNT))["landing-url"]
    account, browser = newcomer(), Browser(internet)
    assert browser.submit(browser.ask(link), **typed(account)).status == 200
    assert can(account)

    with pytest.raises(Refused, match="forbidden"):
        run(command(alice, CREATE_ACCOUNT))
    fields = run(command(alice, INVITE))
    shown = browser.ask(fields["landing-url"])
    assert (shown.status, shown.page.fields) == (200, {})
    assert fields["uri"] in html.unescape(shown.body) and f"{alice.boundjid.bare} invites you" in shown.body
    token = re.search(r"preauth=([\w-]+)", fields["uri"])[1]
    assert browser.open(token).status == 404
    assert in_band(newcomer(), token) == "forbidden"

    # Whoever shows its token is a contact at once (XEP-0379), and nobody else is by it.
    asked = f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>"
    # A new account: those of other tests know each other.
    friend = run(connect(account))
    friend.say(alice.boundjid.bare, asked, kind="subscribe", name="presence")
    # Alice's server asks back for her, and shows her to the new contact.
    for kind, sender in (("subscribe", alice.boundjid.bare), (None, alice.boundjid.full)):
        run(friend.take(lambda stanza, wanted=(kind, sender): (stanza.get("type"), stanza.get("from")) == wanted))
    assert browser.ask(fields["landing-url"]).status == 404


def test_an_address_makes_a_few_accounts_in_an_hour(internet, invite, can):
    """Whatever its proxy says, and all of a /64 together."""
    second_address(internet)
    interfaces = [HOSTS["internet.test"]["world_address6"], SECOND]
    answers = []
    for number in range(6):
        browser, account = Browser(internet, f"--ipv6 --interface {interfaces[number % 2]}"), newcomer()
        forged = f"--header 'X-Forwarded-For: 192.0.2.{number}'"
        answers.append(browser.submit(browser.open(invite()), forged, **typed(account)).status)
    print(answers)
    assert answers == [200] * 5 + [429]
    assert not can(account)
    # Another address is not affected.
    browser = Browser(internet)
    assert browser.submit(browser.open(invite()), **typed(account)).status == 200


def test_requests_are_limited(internet):
    """And what is refused leaves no trace of the visitor."""
    codes = internet.out(
        f"curl --silent --ipv6 --output /dev/null --write-out '%{{http_code}}\\n' 'https://{DOMAIN}/register/?t=[1-100]'"
    ).split()
    print({code: codes.count(code) for code in set(codes)})
    # What the tests before have asked for counts, too.
    assert 40 <= codes.count("404") < 80
    assert codes.count("404") + codes.count("429") == 100


def rule_breakers(user: str) -> list[str]:
    return ["", "a", " " * 12, "tab\tinside-it", f"{user}1234567890", "x" * 2000]


def test_owners_change_the_password_by_the_rules(rosewood, connect, can):
    account = create(rosewood, "changing", DOMAIN)
    user = account.jid.split("@")[0]
    member = LOOP.run_until_complete(connect(account))

    def change(password: str) -> None:
        body = f"<username>{user}</username><password>{password}</password>"
        LOOP.run_until_complete(member.ask("set", f"<query xmlns='{REGISTER}'>{body}</query>", DOMAIN))

    for password in rule_breakers(user):
        with pytest.raises(Refused, match="not-acceptable"):
            change(password)
    assert can(account)
    changed = Account(account.jid, secrets.token_urlsafe(18))
    change(changed.password)
    assert can(changed)
    assert not can(account)


async def by_command(admin, name: str, jid: str, password: str) -> str:
    """What a command of administrators (XEP-0133) answers."""
    begin = f"<command xmlns='{COMMANDS}' node='http://jabber.org/protocol/admin#{name}' "
    form = await admin.ask("set", begin + "action='execute'/>", DOMAIN)
    values = {"FORM_TYPE": "http://jabber.org/protocol/admin", "accountjid": jid}
    values |= {"password": password, "password-verify": password}
    inner = "".join(f"<field var='{key}'><value>{value}</value></field>" for key, value in values.items())
    done = await admin.ask(
        "set",
        f"{begin} sessionid='{form.get('sessionid')}' action='complete'><x xmlns='jabber:x:data' type='submit'>{inner}</x>"
        "</command>",
        DOMAIN,
    )
    return done.findtext(f"{{{COMMANDS}}}note")


def test_administrators_and_the_shell_set_passwords_by_the_rules(connect, chief, rosewood, can):
    admin = LOOP.run_until_complete(connect(chief))

    def command(name: str, jid: str, password: str) -> str:
        answer = LOOP.run_until_complete(by_command(admin, name, jid, password))
        print(name, answer)
        return answer

    account, new = create(rosewood, "commanded", DOMAIN), newcomer()
    for jid, name in ((account.jid, "change-user-password"), (new.jid, "add-user")):
        for password in rule_breakers(jid.split("@")[0])[1:]:
            assert "assword " in command(name, jid, password)
    for call, jid in (("password", account.jid), ("create", new.jid)):
        done = rosewood.run(f"prosodyctl shell 'user:{call}({json.dumps(jid)}, {json.dumps('short')})'")
        assert "too short" in done.stdout + done.stderr
    for call, jid in (("passwd", account.jid), ("adduser", new.jid)):
        for password in rule_breakers(jid.split("@")[0])[1:]:
            done = rosewood.run(f"prosodyctl {call} {jid}", stdin=f"{password}\n" * 2)
            print(call, done.rc, done.stdout, done.stderr)
            assert done.rc != 0
            assert "The password " in done.stdout + done.stderr
    assert can(account)
    # Nothing is left of an account that could not be made.
    assert new.jid.split("@")[0] not in rosewood.out(f"prosodyctl shell 'user:list(\"{DOMAIN}\")'")
    changed = Account(account.jid, secrets.token_urlsafe(18))
    assert "success" in command("change-user-password", account.jid, changed.password)
    assert "success" in command("add-user", new.jid, new.password)
    assert [can(changed), can(new), can(account)] == [True, True, False]


async def offered(admin) -> dict[str, str]:
    """The commands of the domain that an account sees: their nodes and names."""
    items = await admin.ask("get", f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>", DOMAIN)
    return {item.get("node"): item.get("name") for item in items}


async def by_form(admin, node: str, jid: str, password: str) -> str | None:
    """What a command answers that has this account in all fields for accounts, or None where it has none of these."""
    begin = f"<command xmlns='{COMMANDS}' node='{node}' "
    form = await admin.ask("set", begin + "action='execute'/>", DOMAIN)
    data = "{jabber:x:data}"
    kinds = {field.get("var"): field.get("type") for field in form.iter(f"{data}field")}
    if not {"jid-single", "jid-multi"} & set(kinds.values()):
        return None
    values = {"jid-single": jid, "jid-multi": jid, "text-private": password}
    values |= {"hidden": form.findtext(f".//{data}field[@var='FORM_TYPE']/{data}value")}
    inner = "".join(f"<field var='{key}'><value>{values[kind]}</value></field>" for key, kind in kinds.items())
    end = f"sessionid='{form.get('sessionid')}' action='complete'><x xmlns='jabber:x:data' type='submit'>{inner}</x>"
    done = await admin.ask("set", f"{begin} {end}</command>", DOMAIN)
    return done.findtext(f"{{{COMMANDS}}}note") or ET.tostring(done, "unicode")


MODULES = {f"http://prosody.im/protocol/modules#{act}" for act in ("load", "reload", "unload")}


def test_administrators_of_a_domain_do_nothing_to_accounts_with_more_rights(
    connect, chief, keeper, deputy, rosewood, can
):
    """Whatever command they are offered: the operator's account, and that of an administrator of another domain."""

    def run(coroutine):
        return LOOP.run_until_complete(coroutine)

    operator, admin = run(connect(chief)), run(connect(deputy))
    nodes = run(offered(admin))
    print(nodes)
    assert not MODULES & set(nodes)
    assert set(run(offered(operator))) > set(nodes) | MODULES
    for node in MODULES:
        with pytest.raises(Refused, match="forbidden"):
            run(by_form(admin, node, "", ""))

    stolen = secrets.token_urlsafe(18)
    acting = set()
    for node in nodes:
        for jid in (chief.jid, f"{chief.jid.upper()}/x", keeper.jid):
            try:
                answer = run(by_form(admin, node, jid, stolen))
            except Refused as refusal:
                assert str(refusal) == "forbidden"
                acting.add(node)
            else:
                assert answer is None, f"{node}, {jid}: {answer}"
    print(sorted(acting))
    assert len(acting) >= 7
    assert operator.is_connected()
    assert can(chief)
    assert can(keeper)

    # They set the passwords of everybody else, and the operator those of all.
    member, change = create(rosewood, "member", DOMAIN), "http://jabber.org/protocol/admin#change-user-password"
    for by, account in ((admin, member), (operator, keeper), (operator, deputy)):
        changed = Account(account.jid, secrets.token_urlsafe(18))
        assert "success" in run(by_form(by, change, account.jid, changed.password))
        assert can(changed)


def test_administrators_of_a_domain_make_no_operator(connect, deputy, rosewood):
    """Whom the configuration names is one as soon as there is such an account."""
    admin, add = LOOP.run_until_complete(connect(deputy)), "http://jabber.org/protocol/admin#add-user"
    for name in ("admin", "keeper"):
        with pytest.raises(Refused, match="forbidden"):
            LOOP.run_until_complete(by_form(admin, add, f"{name}@{DOMAIN}", secrets.token_urlsafe(18)))
        assert name not in rosewood.out(f"prosodyctl shell 'user:list(\"{DOMAIN}\")'").split()


def leaves(member) -> None:
    """Delete the account, as apps do (XEP-0077): the answer comes, and the session ends."""
    ended = member.disconnected
    LOOP.run_until_complete(member.ask("set", f"<query xmlns='{REGISTER}'><remove/></query>", DOMAIN))
    LOOP.run_until_complete(asyncio.wait_for(ended, 10))


def test_who_leaves_can_come_back_for_some_days_and_then_nothing_is_left(
    rosewood, internet, connect, chief, invite, accounts, can
):
    def run(coroutine):
        return LOOP.run_until_complete(coroutine)

    account, alice = create(rosewood, "leaving", DOMAIN), run(connect(accounts["alice"]))
    user = account.jid.split("@")[0]
    member = run(connect(account))
    member.send_presence_subscription(pto=alice.boundjid.bare)
    run(alice.take(lambda stanza: stanza.get("type") == "subscribe" and stanza.get("from") == account.jid))
    size = 5000 + secrets.randbelow(100000)
    internet.out(f"head -c {size} /dev/urandom > /tmp/leaving.bin")
    internet.out(
        f"go-sendxmpp --suppress-root-warning --http-upload /tmp/leaving.bin --username {account.jid} "
        f"--password {shlex.quote(account.password)} {account.jid} >/dev/null"
    )
    path = rosewood.out(f"find /var/lib/prosody -path '*http_file_share*' -size {size}c")
    assert path

    def taken() -> str:
        with Stream() as stream:
            assert stream.ask("set", f"<preauth xmlns='urn:xmpp:pars:0' token='{invite()}'/>") == ""
            return stream.register(Account(account.jid, secrets.token_urlsafe(18)))

    leaves(member)
    assert not can(account)
    assert taken() == "conflict"
    assert account.jid in rosewood.out("xmpp-deleted")
    assert rosewood.out(f"xmpp-deleted restore {account.jid}") == f"{account.jid}: restored"
    member = run(connect(account))
    roster = run(member.ask("get", "<query xmlns='jabber:iq:roster'/>"))
    assert [item.get("jid") for item in roster] == [alice.boundjid.bare]
    assert rosewood.run(f"test -e {path}").rc == 0

    # By the command of administrators, too.
    leaves(member)
    admin = run(connect(chief))
    node = f"<command xmlns='{COMMANDS}' node='deleted-accounts' "
    with pytest.raises(Refused, match="forbidden"):
        run(alice.ask("set", node + "action='execute'/>", DOMAIN))
    form = run(admin.ask("set", node + "action='execute'/>", DOMAIN))
    assert user in {value.text for value in form.iter("{jabber:x:data}value")}
    done = run(
        admin.ask(
            "set",
            f"{node} sessionid='{form.get('sessionid')}' action='complete'><x xmlns='jabber:x:data' type='submit'>"
            f"<field var='accounts'><value>{user}</value></field></x></command>",
            DOMAIN,
        )
    )
    assert done.findtext(f"{{{COMMANDS}}}note") == f"{user}: restored"
    assert can(account)

    leaves(run(connect(account)))
    soon, late = (f"return m.deleted_accounts.purge(os.time() + {days} * 86400)" for days in (6.9, 7.1))
    lua(rosewood, soon)
    assert account.jid in rosewood.out("xmpp-deleted")
    lua(rosewood, late)
    assert account.jid not in rosewood.out("xmpp-deleted")
    assert user not in rosewood.out(f"prosodyctl shell 'user:list(\"{DOMAIN}\")'")
    assert rosewood.run(f"test -e {path}").rc == 1
    refused = rosewood.run(f"xmpp-deleted restore {account.jid}")
    assert (refused.rc, refused.stderr) == (
        1,
        f"xmpp-deleted: {account.jid}: no account of that name waits for its deletion\n",
    )
    assert taken() == "conflict"


def test_an_account_that_was_shut_again_meanwhile_is_kept(rosewood, connect, can, site):
    """It is no longer the owner's wish."""
    account = create(rosewood, "undecided", DOMAIN)
    leaves(LOOP.run_until_complete(connect(account)))
    for state in ("enabled", "disabled"):
        variables = json.dumps({"xmpp_users": [{"jid": account.jid, "state": state}]})
        assert site("--extra-vars", variables, playbook="users").returncode == 0
    lua(rosewood, "return m.deleted_accounts.purge(os.time() + 8 * 86400)")
    assert account.jid not in rosewood.out("xmpp-deleted")
    assert account.jid.split("@")[0] in rosewood.out(f"prosodyctl shell 'user:list(\"{DOMAIN}\")'")


def test_an_account_that_an_administrator_deletes_leaves_no_uploads(rosewood, internet):
    account = create(rosewood, "removed", DOMAIN)
    internet.out("head -c 5000 /dev/urandom > /tmp/removed.bin")
    internet.out(
        f"go-sendxmpp --suppress-root-warning --http-upload /tmp/removed.bin --username {account.jid} "
        f"--password {shlex.quote(account.password)} {account.jid} >/dev/null"
    )
    store = f"require'core.storagemanager'.open('upload.{DOMAIN}', 'uploads', 'archive')"
    count = f"local n = 0; for _ in {store}:find(nil, {{ with = '{account.jid}' }}) do n = n + 1 end return n"
    assert lua(rosewood, count) == "1"
    rosewood.out(f"prosodyctl shell 'user:delete(\"{account.jid}\")'")
    assert lua(rosewood, count) == "0"


def test_closed_is_closed(roles_with, browser, invite, accounts, rosewood, connect, can):
    token = invite()
    roles_with(xmpp_registration="closed")
    for shown in (browser.open(), browser.open(token), browser.ask(f"https://{DOMAIN}/register/qr.svg?t={token}")):
        assert shown.status == 404
    stranger = newcomer()
    assert in_band(stranger) == in_band(stranger, token) == "not offered"
    assert not can(stranger)
    refused = rosewood.run(f"xmpp-invite {DOMAIN}")
    assert (refused.rc, refused.stderr) == (1, f"xmpp-invite: {DOMAIN}: no invitations are made for {DOMAIN}\n")

    # Who has an account still changes the password, and can leave.
    kept = create(rosewood, "kept", DOMAIN)
    changed = Account(kept.jid, secrets.token_urlsafe(18))
    member = LOOP.run_until_complete(connect(kept))
    user = kept.jid.split("@")[0]
    body = f"<username>{user}</username><password>{changed.password}</password>"
    LOOP.run_until_complete(member.ask("set", f"<query xmlns='{REGISTER}'>{body}</query>", DOMAIN))
    assert can(changed)
    assert not can(kept)


QUESTION = {"en": "What colour is the <b>logo</b>?", "de": "Welche Farbe hat das Logo?", "answers": ["green", "grün"]}
RIGHT = {"answer": " Green "}


@pytest.fixture(scope="module")
def opened(roles_with):
    """Whoever answers the question may register, but nobody from one address of internet.test."""
    roles_with(
        xmpp_registration="open",
        prosody_registration_questions=[QUESTION],
        prosody_registration_blocklist=[f"{SECOND}/128"],
        prosody_registration_most_waiting=3,
    )


def ripen(shown):
    """Wait until a form is as old as one that a human has filled in; it says when it was issued."""
    issued = int(shown.page.fields["form"]["value"].partition(".")[0])
    until(lambda: time.time() >= issued + 2)
    return shown


def slowly(browser):
    """The page without an invitation, after as much time as a human needs."""
    return ripen(browser.open())


def test_open_asks_a_question_and_an_administrator(opened, browser, rosewood, can):
    account = newcomer()
    shown = browser.open()
    assert browser.submit(shown, **typed(account), **RIGHT).page.wrong["form"].startswith("That was too fast")
    ripen(shown)
    for wrong in ({"answer": "red"}, {"answer": ""}, {}):
        assert browser.submit(shown, **typed(account), **wrong).page.wrong == {
            "form": "Something is wrong below.",
            "answer": "This is not the answer.",
        }
    assert QUESTION["en"] in shown.page.text
    done = browser.submit(shown, **typed(account), **RIGHT)
    assert (done.status, done.page.heading) == (200, "Your account waits for approval")
    assert not can(account)
    assert account.jid in rosewood.out("xmpp-registrations")
    assert rosewood.out(f"xmpp-registrations approve {account.jid}") == f"{account.jid}: approved"
    assert can(account)
    assert account.jid not in rosewood.out("xmpp-registrations")
    again = rosewood.run(f"xmpp-registrations refuse {account.jid}")
    assert (again.rc, again.stderr) == (1, f"xmpp-registrations: {account.jid}: nobody of that name waits\n")


def test_apps_are_asked_the_same(opened, rosewood, can):
    account = newcomer()
    assert in_band(account) == in_band(account, answer="red") == "not-acceptable"
    assert in_band(account, answer="green") == "registered"
    assert not can(account)
    rosewood.out(f"xmpp-registrations refuse {account.jid}")
    assert not can(account)
    assert account.jid not in rosewood.out("xmpp-registrations")


def test_who_guesses_the_answer_is_stopped(opened, browser):
    """As if each guess had been an account, in an app and on the page."""
    with Stream() as stream:
        assert stream.register(newcomer()) == "not-acceptable"
        guesses = [stream.register(newcomer(), answer=f"red{number}") for number in range(6)]
        assert guesses == ["not-acceptable"] * 5 + ["resource-constraint"]
        assert stream.register(newcomer(), answer="green") == "resource-constraint"
    shown = slowly(browser)
    statuses = [browser.submit(shown, **typed(newcomer()), answer=f"red{number}").status for number in range(6)]
    assert statuses == [422] * 5 + [429]
    assert browser.submit(shown, **typed(newcomer()), **RIGHT).status == 429


def test_no_more_wait_than_may_however_many_ask_at_once(opened, rosewood):
    """Each has seen the form before the first of them is done."""
    people, streams = [newcomer() for _ in range(5)], [Stream() for _ in range(5)]
    for stream, account in zip(streams, people, strict=True):
        stream.send_registration(account, answer="green")
    outcomes = sorted(stream.condition() for stream in streams)
    for stream in streams:
        stream.socket.close()
    waiting = rosewood.out("xmpp-registrations")
    for account in people:
        rosewood.run(f"xmpp-registrations refuse {account.jid}")
    print(outcomes, waiting)
    assert outcomes == ["", "", "", "resource-constraint", "resource-constraint"]
    assert sum(account.jid in waiting for account in people) == 3


def test_an_invitation_needs_neither(opened, browser, invite, can):
    account, other = newcomer(), newcomer()
    shown = browser.open(invite())
    assert "answer" not in shown.page.fields
    assert browser.submit(shown, **typed(account)).page.heading == "Your account is ready"
    assert can(account)
    assert in_band(other, invite()) == "registered"
    assert can(other)


def test_who_is_on_the_blocklist_makes_none(opened, internet, invite):
    second_address(internet)
    browser = Browser(internet, f"--ipv6 --interface {SECOND}")
    for shown, answers in ((slowly(browser), RIGHT), (browser.open(invite()), {})):
        refused = browser.submit(shown, **typed(newcomer()), **answers)
        assert (refused.status, refused.page.wrong["form"][:34]) == (422, "The account could not be made. Ask")


def test_administrators_are_told_and_decide_by_a_command_and_the_queue_is_short(
    opened, connect, chief, deputy, browser, can, accounts
):
    def run(coroutine):
        return LOOP.run_until_complete(coroutine)

    admins = [run(connect(chief)), run(connect(deputy))]
    admin = admins[0]
    asked = [newcomer() for _ in range(3)]
    for account in asked:
        assert browser.submit(slowly(browser), **typed(account), **RIGHT).status == 200
        for one in admins:
            told = run(
                one.take(lambda message, account=account: account.jid in (message.findtext(f"{CLIENT}body") or ""))
            )
            print(f"{one.boundjid.bare}: {told.findtext(f'{CLIENT}body')}")
    assert browser.submit(slowly(browser), **typed(newcomer()), **RIGHT).status == 429

    node = f"<command xmlns='{COMMANDS}' node='registrations' "
    # Nobody's connection has outlived the change to open registration.
    alice = run(connect(accounts["alice"]))
    with pytest.raises(Refused, match="forbidden"):
        run(alice.ask("set", node + "action='execute'/>", DOMAIN))
    users = [account.jid.split("@")[0] for account in asked]
    for decision, names in (("approve", users[:1]), ("refuse", users[1:])):
        form = run(admin.ask("set", node + "action='execute'/>", DOMAIN))
        offered = {value.text for value in form.iter("{jabber:x:data}value")}
        assert set(names) <= offered
        values = "".join(f"<value>{name}</value>" for name in names)
        done = run(
            admin.ask(
                "set",
                f"{node} sessionid='{form.get('sessionid')}' action='complete'><x xmlns='jabber:x:data' type='submit'>"
                f"<field var='accounts'>{values}</field><field var='decision'><value>{decision}</value></field></x></command>",
                DOMAIN,
            )
        )
        print(done.findtext(f"{{{COMMANDS}}}note"))
    assert [can(account) for account in asked] == [True, False, False]


POOL = "/var/lib/xmpp-captcha"
READ_POOL = f"""
import hashlib, json, pathlib
files = [path.read_bytes().split(b"\\n", 1) for path in pathlib.Path("{POOL}").iterdir()]
print(json.dumps({{hashlib.sha256(picture).hexdigest(): letters.decode() for letters, picture in files}}))
"""
# Long enough for a slow machine.
LIFETIME = 30


@pytest.fixture(scope="module")
def pictured(roles_with):
    """Whoever answers the question and reads the picture may register, and nobody has to approve."""
    roles_with(
        xmpp_registration="open",
        prosody_registration_questions=[QUESTION],
        prosody_registration_captcha=True,
        prosody_registration_approval=False,
        prosody_settings_extra={"register_captcha_lifetime": LIFETIME},
    )


@pytest.fixture
def letters(pictured, rosewood):
    """Reads a picture that is shown from now on, as only the host can. None is drawn meanwhile, which it would not know."""
    rosewood.out("systemctl stop xmpp-captcha.timer; systemctl start xmpp-captcha.service")
    known = json.loads(rosewood.out("python3 -", stdin=READ_POOL))

    def read(picture: bytes) -> str:
        return known[hashlib.sha256(picture).hexdigest()]

    yield read
    rosewood.out("systemctl start xmpp-captcha.timer")


def picture_of(shown) -> bytes:
    (image,) = [attributes for tag, attributes in shown.page.tags if tag == "img"]
    kind, _, data = image["src"].partition(",")
    assert (kind, bool(image["alt"])) == ("data:image/png;base64", True)
    return base64.b64decode(data)


def test_open_asks_for_letters_of_a_picture(letters, browser, can):
    account, other = newcomer(), newcomer()
    shown = slowly(browser)
    assert shown.headers["content-security-policy"] == HEADERS["content-security-policy"] + " data:"
    first = letters(picture_of(shown))
    # A wrong answer is the end of that picture, and the right one comes too late.
    wrong = browser.submit(shown, **typed(account), **RIGHT, letters="222222")
    assert (wrong.status, list(wrong.page.wrong)) == (422, ["form", "letters"])
    assert browser.submit(shown, **typed(account), **RIGHT, letters=first).page.wrong["letters"].startswith("The time")
    ripen(wrong)
    second = letters(picture_of(wrong))
    assert second != first
    # The question is asked as well. Who has read the letters is not shown others.
    missing = browser.submit(wrong, **typed(account), answer="red", letters=f" {second[:3]} {second[3:].lower()}")
    assert list(missing.page.wrong) == ["form", "answer"]
    assert "letters" not in missing.page.fields
    assert missing.headers["content-security-policy"] == HEADERS["content-security-policy"]
    ripen(missing)
    done = browser.submit(missing, **typed(account), **RIGHT)
    assert (done.status, done.page.heading) == (200, "Your account is ready")
    assert can(account)
    # They were for one account.
    for again in (wrong, missing):
        refused = browser.submit(again, **typed(other), **RIGHT, letters=second)
        assert (refused.status, list(refused.page.wrong)) == (422, ["form", "letters"])
    assert not can(other)


def test_letters_are_of_one_form(letters, browser, internet, can):
    """Nobody sends what others have read."""
    account, other = newcomer(), Browser(internet)
    shown, its = slowly(browser), slowly(other)
    assert browser.submit(shown, **typed(account), **RIGHT, letters=letters(picture_of(its))).status == 422
    assert other.submit(shown, **typed(account), **RIGHT, letters=letters(picture_of(shown))).status == 422
    assert not can(account)


@pytest.mark.any_release(
    "a module of ours compares the age of a picture with its lifetime; the other tests show it loaded"
)
def test_letters_expire(letters, browser, can):
    account, late = newcomer(), newcomer()
    shown = browser.open()

    def dawdle(picture: bytes) -> str:
        time.sleep(LIFETIME + 1)
        return letters(picture)

    # The page was there before, and its letters are as old.
    assert in_band(late, read=dawdle, seconds=SECONDS + LIFETIME) == "not-acceptable"
    refused = browser.submit(shown, **typed(account), **RIGHT, letters=letters(picture_of(shown)))
    assert (refused.status, refused.page.wrong["letters"][:8]) == (422, "The time")
    assert not can(late) and not can(account)


def test_who_guesses_letters_is_stopped(letters, browser, can):
    """As if each had been an account."""
    account = newcomer()
    shown = slowly(browser)
    statuses = []
    for _ in range(6):
        shown = browser.submit(shown, **typed(account), **RIGHT, letters="222222")
        statuses.append(shown.page.wrong["form"][:19])
        ripen(shown)
    assert statuses == ["Something is wrong "] * 5 + ["Too many accounts w"]
    refused = browser.submit(shown, **typed(account), **RIGHT, letters=letters(picture_of(shown)))
    assert refused.page.wrong["form"].startswith("Too many accounts")
    guesses = [in_band(account, read=lambda _: "222222") for _ in range(6)]
    assert guesses == ["not-acceptable"] * 5 + ["resource-constraint"]
    assert in_band(account, read=letters) == "resource-constraint"
    assert not can(account)


def test_apps_show_the_picture(letters, can):
    account = newcomer()
    assert in_band(account) == in_band(account, answer="green") == "not-acceptable"
    assert in_band(account, read=lambda _: "222222") == "not-acceptable"
    assert in_band(account, read=letters) == "registered"
    assert can(account)


def test_an_invitation_needs_no_letters(letters, browser, invite, can):
    account, other = newcomer(), newcomer()
    shown = browser.open(invite())
    assert not {"answer", "letters"} & set(shown.page.fields)
    assert browser.submit(shown, **typed(account)).page.heading == "Your account is ready"
    assert can(account)
    assert in_band(other, invite()) == "registered"
    assert can(other)


@pytest.fixture
def unwatched(rosewood):
    """The self-test looks at the page of each domain, too, and takes a picture each time."""
    rosewood.out("systemctl stop xmpp-status.timer")
    at_work = "systemctl is-active xmpp-status.service | grep -qx activating"
    rosewood.out(f"timeout 300 sh -c 'while {at_work}; do sleep 0.2; done'")
    yield
    rosewood.out("systemctl start xmpp-status.timer")


def test_pictures_run_out_and_are_drawn_again(unwatched, letters, rosewood, browser, can):
    count = f"ls {POOL} | wc -l"
    assert int(rosewood.out(count)) == 200
    # Others on the host see neither pictures nor letters, and who draws sees nothing else.
    assert rosewood.run(f"runuser -u www-data -- ls {POOL}").rc != 0
    assert rosewood.run("runuser -u xmpp-captcha -- ls /var/lib/prosody").rc != 0
    browser.open()
    assert int(rosewood.out(count)) == 199
    rosewood.out(f"rm {POOL}/*")
    shown = browser.open()
    assert (shown.status, shown.page.heading, shown.page.fields) == (503, "Try again in some minutes", {})
    assert in_band(newcomer(), read=letters) == "no form: resource-constraint"
    told = "journalctl --unit=prosody --since=-1min --output=cat --grep='No picture of letters is left'"
    assert len(rosewood.out(told).splitlines()) == 1
    # As the timer does.
    assert "xmpp-captcha.service" in rosewood.out("systemctl show --property=Unit xmpp-captcha.timer")
    rosewood.out("systemctl start xmpp-captcha.service")
    assert int(rosewood.out(count)) == 200
    assert browser.open().status == 200
