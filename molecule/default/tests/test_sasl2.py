# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login in one round trip on Debian 13 (XEP-0388, XEP-0386), which is no way around what the older one refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
import uuid
import xml.etree.ElementTree as ET
from datetime import datetime

import pytest
from conftest import DOMAIN, RELEASE, Account, create
from hosts import until
from streams import SASL, SASL2, Stream

BIND2 = "{urn:xmpp:bind:0}"
SM = "{urn:xmpp:sm:3}"
FAST = "{urn:xmpp:fast:0}"
BINDINGS = "{urn:xmpp:sasl-cb:0}"


@pytest.fixture
def stream():
    with Stream() as stream:
        yield stream


def test_0388_is_offered_where_it_works(stream):
    """Debian 12's module would break every login."""
    expected = {"trixie": ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"], "bookworm": []}[RELEASE]
    print(stream.mechanisms())
    assert stream.mechanisms() == expected


def test_0440_the_channel_bindings_are_named(stream):
    """Of TLS 1.3 (RFC 9266)."""
    named = [found.get("type") for found in stream.features.iter(f"{BINDINGS}channel-binding")]
    print(stream.socket.version(), named)
    assert named == {"trixie": ["tls-exporter"], "bookworm": []}[RELEASE]


if RELEASE == "trixie":

    def test_0386_one_login_binds_and_enables(stream, accounts):
        bind = (
            f"<bind xmlns='{BIND2[1:-1]}'><tag>test</tag><enable xmlns='urn:xmpp:carbons:2'/>"
            f"<enable xmlns='{SM[1:-1]}' resume='true'/></bind>"
        )
        verdict, _ = stream.scram(accounts["alice"], inner=bind)
        jid = verdict.findtext(f"{SASL2}authorization-identifier")
        print(jid, [child.tag for child in verdict.find(f"{BIND2}bound")])
        assert jid.startswith(f"{accounts['alice'].jid}/test~")
        assert verdict.find(f"{BIND2}bound/{SM}enabled").get("resume") in ("1", "true")
        stream.receive()
        stream.send("<iq xmlns='jabber:client' type='get' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>")
        while (answer := stream.receive()).get("id") != "p1":
            pass
        assert answer.get("type") == "result"

    def test_0474_nobody_between_could_have_changed_what_is_offered(stream, accounts):
        """The server's hash of its mechanisms and channel bindings is under the password's protection."""
        _, offer = stream.scram(accounts["alice"])
        bindings = sorted(found.get("type") for found in stream.features.iter(f"{BINDINGS}channel-binding"))
        offered = "\x1e".join(stream.mechanisms()) + "\x1f" + "\x1e".join(bindings)
        assert offer["h"] == base64.b64encode(hashlib.sha1(offered.encode()).digest()).decode()

    def test_0388_a_wrong_password_is_refused(stream, accounts):
        verdict, _ = stream.scram(accounts["alice"], password="wrong")
        assert verdict.tag == f"{SASL2}failure"
        assert verdict[0].tag == f"{SASL}not-authorized"

    @pytest.mark.parametrize("mechanism", ["PLAIN", "OAUTHBEARER", "EXTERNAL", "ANONYMOUS", "NONE"])
    def test_0388_what_is_not_offered_is_refused(stream, accounts, mechanism):
        account = accounts["alice"]
        user = account.jid.split("@")[0]
        verdict = stream.authenticate(mechanism, f"\0{user}\0{account.password}")
        print(ET.tostring(verdict, "unicode"))
        assert verdict.tag == f"{SASL2}failure"
        assert verdict[0].tag == f"{SASL}invalid-mechanism"

    def test_0388_a_disabled_account_is_refused(stream, rosewood):
        account = create(rosewood, "disabled", DOMAIN)
        rosewood.out(f"prosodyctl shell 'user:disable(\"{account.jid}\")'")
        verdict, _ = stream.scram(account)
        print(ET.tostring(verdict, "unicode"))
        assert verdict.tag == f"{SASL2}failure"
        assert verdict[0].tag == f"{SASL}account-disabled"

    class Device:
        """A client that logs in by a token (XEP-0484), without channel binding."""

        MECHANISM = "HT-SHA-256-NONE"

        def __init__(self, account: Account):
            self.account, self.id, self.token = account, uuid.uuid4(), None

        def log_in(self) -> ET.Element:
            """By password, and get a token."""
            wanted = f"<request-token xmlns='{FAST[1:-1]}' mechanism='{self.MECHANISM}'/>"
            with Stream(self.account.jid) as stream:
                verdict, _ = stream.scram(self.account, inner=f"<user-agent id='{self.id}'/>{wanted}")
            given = verdict.find(f"{FAST}token")
            self.token = given.get("token")
            return given

        def quickly(self, options: str = "", **others: str) -> str:
            """By the token; returns as whom, or why not."""
            token = others.get("token", self.token).encode()
            signed = base64.b64encode(
                f"{self.account.jid.split('@')[0]}\0".encode() + hmac.digest(token, b"Initiator", "sha256")
            ).decode()
            with Stream(self.account.jid) as stream:
                assert self.MECHANISM in [found.text for found in stream.features.iter(f"{FAST}mechanism")]
                stream.send(
                    f"<authenticate xmlns='{SASL2[1:-1]}' mechanism='{self.MECHANISM}'><initial-response>{signed}"
                    f"</initial-response><user-agent id='{others.get('id', self.id)}'/>"
                    f"<fast xmlns='{FAST[1:-1]}' {options}/></authenticate>"
                )
                verdict = stream.receive()
            if verdict.tag == f"{SASL2}failure":
                return verdict[0].tag.partition("}")[2]
            # Who has the token has proven it, too.
            proof = base64.b64decode(verdict.findtext(f"{SASL2}additional-data"))
            assert proof == hmac.digest(token, b"Responder", "sha256")
            return verdict.findtext(f"{SASL2}authorization-identifier")

    def next_second():
        """The clock of password changes has seconds, and is that of this machine."""
        now = int(time.time())
        until(lambda: int(time.time()) > now)

    def test_no_token_unless_it_is_asked_for(accounts):
        with Stream(accounts["alice"].jid) as stream:
            assert not list(stream.features.iter(f"{FAST}mechanism"))
            verdict = stream.authenticate(Device.MECHANISM, "alice", f"<fast xmlns='{FAST[1:-1]}'/>")
        assert verdict.tag == f"{SASL2}failure"

    @pytest.fixture(scope="module")
    def fast(roles_with):
        roles_with(prosody_fast_authentication=True, prosody_fast_token_days=2)

    def test_0484_a_token_is_good_until_the_password_changes(fast, rosewood):
        account = create(rosewood, "fast", DOMAIN)
        device, other = Device(account), Device(account)
        expiry = datetime.fromisoformat(device.log_in().get("expiry")).timestamp()
        assert abs(expiry - time.time() - 2 * 86400) < 60
        other.log_in()
        assert device.quickly() == device.quickly() == other.quickly() == account.jid
        # It is the device's own.
        assert device.quickly(id=str(other.id)) == device.quickly(token="secret-token:fast-guessed") == "not-authorized"
        next_second()
        changed = Account(account.jid, secrets.token_urlsafe(18))
        rosewood.out(f"prosodyctl passwd {account.jid}", stdin=f"{changed.password}\n" * 2)
        assert device.quickly() == other.quickly() == "credentials-expired"
        next_second()
        device.account = changed
        device.log_in()
        assert device.quickly() == account.jid

    def test_0484_a_token_is_given_back(fast, rosewood):
        account = create(rosewood, "fast", DOMAIN)
        device = Device(account)
        device.log_in()
        assert device.quickly("invalidate='true'") == account.jid
        assert device.quickly() == "not-authorized"

    def test_0484_a_disabled_account_has_none(fast, rosewood):
        account = create(rosewood, "fast", DOMAIN)
        device = Device(account)
        device.log_in()
        rosewood.out(f"prosodyctl shell 'user:disable(\"{account.jid}\")'")
        answer = device.quickly()
        print(answer)
        # In a later second than the login's, Prosody takes this for a new password, which the token does not outlive either.
        assert answer in ("account-disabled", "credentials-expired")

else:

    def test_tokens_are_refused_where_logins_would_break(site, rosewood):
        before = rosewood.out("sha256sum /etc/prosody/prosody.cfg.lua; systemctl show --property InvocationID prosody")
        result = site("--extra-vars", "prosody_fast_authentication=true")
        assert result.returncode != 0
        said = " ".join((result.stdout + result.stderr).split())
        assert "prosody_fast_authentication: true needs a working XEP-0388" in said, said[-1500:]
        assert " changed=0 " in said.split("PLAY RECAP")[1]
        after = rosewood.out("sha256sum /etc/prosody/prosody.cfg.lua; systemctl show --property InvocationID prosody")
        assert after == before
