# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prosody's module register_page decides what new accounts may be and writes its pages, without Prosody."""

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.lua import to_lua

MODULE = Path(__file__).parents[3] / "roles/prosody/templates/usr/local/lib/prosody/modules/mod_register_page"
HOSTILE = ["<script>alert(1)</script>", "\"><b onclick='x'>", "{body|raw}", "%s%d%", "&lt;", "]]>", "é\u202e"]


def lua(script, *arguments):
    """What a script prints whose `arg`s are these values and whose `policy`, `page` and `captcha` are the module's parts."""
    head = "".join(
        f"local {part} = assert(loadfile('{MODULE}/{part}.lib.lua'))()\n" for part in ("policy", "page", "captcha")
    )
    # The texts of these tests are prepared already.
    head += "package.preload['util.encodings'] = function()"
    head += " return {stringprep = {saslprep = function(text) return text end}} end\n"
    head += f"local passwords = assert(loadfile('{MODULE.parent}/passwords.lib.lua'))()\n"
    head += "local given = {}; for i, text in ipairs(arg) do given[i] = load('return ' .. text)() end\n"
    done = subprocess.run(
        ["lua5.4", "-", *map(to_lua, arguments)], input=head + script, capture_output=True, text=True, check=True
    )
    return done.stdout.removesuffix("\n")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("juliet", "nil"),
        ("j2", "nil"),
        ("0x-a_b.c", "nil"),
        ("a" * 32, "nil"),
        ("infobahn", "nil"),
        ("administrators.wife", "nil"),
        ("a" * 33, "name_form"),
        ("j", "name_form"),
        ("", "name_form"),
        (None, "name_form"),
        (".juliet", "name_form"),
        ("-juliet", "name_form"),
        ("jul iet", "name_form"),
        ("juliet\n", "name_form"),
        ("jülîet", "name_form"),
        # A Cyrillic letter.
        ("jul\u0456et", "name_form"),
        ("juliet@example.org", "name_form"),
        *((text, "name_form") for text in HOSTILE),
        ("admin", "name_reserved"),
        ("root", "name_reserved"),
        ("postmaster", "name_reserved"),
        ("no-reply", "name_reserved"),
        ("mailer.daemon", "name_reserved"),
        ("adm1n", "name_reserved"),
        ("adrnin", "name_reserved"),
        ("admln", "name_reserved"),
        ("4dmin", "name_reserved"),
        ("a.d-m_in", "name_reserved"),
        ("admin2", "name_reserved"),
        ("support-24", "name_reserved"),
        ("vvebmaster", "name_reserved"),
        ("r00t", "name_reserved"),
        ("5upport", "name_reserved"),
        # The administrator, and the operator's own.
        ("mercutio", "name_reserved"),
        ("mercut10", "name_reserved"),
        ("rnercutio", "name_reserved"),
        ("chief", "name_reserved"),
    ],
)
def test_names(name, problem):
    script = "print((policy.problem_with_name(given[1], policy.reserve(given[2]))))"
    assert lua(script, name, ["mercutio", "chief"]) == problem


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("correct horse", "nil"),
        ("ten-chars!", "nil"),
        # Ten characters, twenty bytes.
        ("é" * 10, "nil"),
        ("x" * 512, "nil"),
        ("nine-char", "password_short"),
        ("é" * 9, "password_short"),
        ("", "password_short"),
        (" " * 12, "password_short"),
        ("nine     char", "password_short"),
        (None, "password_form"),
        ("x" * 513, "password_form"),
        ("ten\tchars.", "password_form"),
        ("ten-chars.\n", "password_form"),
        ("juliet12345", "password_name"),
        ("12345JULIET", "password_name"),
    ],
)
def test_passwords(password, problem):
    assert lua("print((passwords.problem(given[1], 'juliet', 10)))", password) == problem


def test_a_short_password_is_told_that_spaces_do_not_count():
    said = lua("print(passwords.explain(given[1], 'juliet', 10))", "a password")
    assert said == "The password is too short: its length without spaces must be at least 10"


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("green", "true"),
        (" GREEN ", "true"),
        ("dark  green", "true"),
        ("grün", "true"),
        ("", "false"),
        (None, "false"),
        ("red", "false"),
        ("gre.n", "false"),
        (".*", "false"),
        ("green, red", "false"),
        ("x" * 501, "false"),
    ],
)
def test_answers(answer, right):
    question = {"en": "What colour is our logo?", "answers": ["green", "Dark Green", "grün", "x" * 501]}
    assert lua("print(policy.is_right(given[1], given[2]))", question, answer) == right
    assert lua("print(policy.is_right(nil, given[1]))", answer) == "false"


@pytest.mark.parametrize(
    ("accept", "wanted", "language"),
    [
        (None, None, "en"),
        ("", None, "en"),
        ("de", None, "de"),
        ("DE-at", None, "de"),
        ("en;q=0.5, de;q=0.9", None, "de"),
        ("de;q=0.1,en", None, "en"),
        ("fr,de;q=0.3", None, "de"),
        ("fr, *", None, "en"),
        ("de;q=0", None, "en"),
        ("de", "en", "en"),
        ("en", "de", "de"),
        ("de", "fr", "de"),
        ("de", "__index", "de"),
        *((text, text, "en") for text in HOSTILE),
        ("de;q=" + "9" * 10000, None, "de"),
    ],
)
def test_languages(accept, wanted, language):
    assert lua("print(policy.language(given[1], given[2], page.texts))", accept, wanted) == language


DATA = {
    "lang": "en",
    "domain": "example.org",
    "contacts": ["xmpp:admin@example.org"],
    "token": "T0ken",
    "uri": "xmpp:example.org?register;preauth=T0ken",
    "values": {"name": "juliet"},
    "errors": {"name": "name_taken"},
    "form_token": "1.ab",
    "minimum": 10,
    "question": "What colour is our logo?",
    "approval": True,
    "qr": True,
    "apps": [{"system": "Android", "name": "Conversations", "stores": [{"name": "F-Droid", "url": "https://f.test/"}]}],
    "other_apps": [{"system": "Linux", "name": "Dino", "stores": [{"name": "dino.im", "url": "https://dino.test/"}]}],
    "jid": "juliet@example.org",
}
PAGES = {
    "form": "page.form(given[1])",
    "question": "(function (data) data.uri, data.token = nil, nil; return page.form(data) end)(given[1])",
    "picture": "(function (data) data.uri, data.picture = nil, 'data:image/png;base64,AA=='; return page.form(data) end)(given[1])",
    "reset": "(function (data) data.reset, data.fixed_name, data.uri, data.question, data.errors = 'juliet', 'juliet', nil, nil, {}; return page.form(data) end)(given[1])",
    "reset done": "(function (data) data.reset = 'juliet'; return page.done(data) end)(given[1])",
    "done": "page.done(given[1])",
    "waits": "(function (data) data.waits = true; return page.done(data) end)(given[1])",
    "contact": "(function (data) data.user, data.inviter = 'romeo', 'romeo@example.org'; return page.contact(data) end)(given[1])",
    "invite_only": "page.message(given[1], 'invite_only')",
    "invalid": "page.message(given[1], 'invalid')",
    "insecure": "page.message(given[1], 'insecure')",
    "no_captcha": "page.message(given[1], 'no_captcha')",
}


class Tags(HTMLParser):
    """Every tag with its attributes' names, and whether all are closed that have to be."""

    def __init__(self, text):
        super().__init__()
        self.seen, self.open, self.values = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, [name for name, _value in attrs]))
        self.values += [value for _name, value in attrs]
        if tag not in {"meta", "link", "input", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("lang", ["en", "de"])
@pytest.mark.parametrize("kind", PAGES)
def test_pages_are_whole(kind, lang):
    tags = Tags(lua(f"print({PAGES[kind]})", DATA | {"lang": lang}))
    print(len(tags.seen))
    assert tags.open == []
    assert ("html", ["lang"]) in tags.seen


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("kind", PAGES)
def test_what_others_write_is_text(kind, hostile):
    """The page has the same tags as one without it, and shows it as it is."""
    given = DATA | {
        "token": hostile,
        "values": {"name": hostile},
        "inviter": hostile,
        "jid": hostile,
        "question": hostile,
        "form_token": hostile,
        "uri": "xmpp:" + hostile,
    }
    text = lua(f"print({PAGES[kind]})", given)
    tags = Tags(text)
    assert tags.open == []
    assert tags.seen == Tags(lua(f"print({PAGES[kind]})", DATA | {"inviter": "romeo"})).seen
    if kind == "form":
        assert tags.values.count(hostile) == 3


ANDROID = "Mozilla/5.0 (Linux; Android 15; K) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1"
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.mark.parametrize(
    ("agent", "names"),
    [(ANDROID, "Conversations"), (IPHONE, "Monal"), (LINUX, "Gajim Dino"), ("curl/8.0", ""), ("", ""), (None, "")],
)
def test_apps_of_the_visitor_s_system_come_first(agent, names):
    clients = json.loads((MODULE / "clients.json").read_text())
    script = """
    local its, others = policy.apps_for(given[1], given[2])
    local names = {}; for _, app in ipairs(its) do table.insert(names, app.name) end
    print(table.concat(names, " "), #its + #others == #given[2])"""
    assert lua(script, agent, clients) == f"{names}\ttrue"


def test_a_page_without_codes_asks_for_none():
    for kind, codes in (("form", 1), ("contact", 1), ("reset", 1), ("question", 0)):
        for qr in (True, False):
            found = Tags(lua(f"print({PAGES[kind]})", DATA | {"qr": qr}))
            assert sum(str(value).startswith("qr.svg?t=T0ken") for value in found.values) == codes * qr


def test_both_languages_say_the_same():
    """Each text is in both, with the same places to fill in."""
    script = """
    for lang, texts in pairs(page.texts) do
        for key, text in pairs(texts) do print(lang, key, select(2, text:gsub("%%s", ""))) end
    end"""
    lines = [line.split("\t") for line in lua(script).splitlines()]
    said = {lang: sorted((key, count) for its, key, count in lines if its == lang) for lang in ("en", "de")}
    print(len(said["en"]))
    assert said["en"] == said["de"]
    assert len(said["en"]) > 30


KEEPER = "local its = captcha.keeper(600, 2); its.add('a', 'AC3', 0); its.add('b', 'XY9', 100)\n"


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("print(its.problem('a', 'AC3', 599))", "nil"),
        ("print(its.problem('a', ' a c3 ', 1))", "nil"),
        ("print(its.problem('a', 'XY9', 1))", "captcha_wrong"),
        ("print(its.problem('a', '', 1))", "captcha_wrong"),
        ("print(its.problem('a', nil, 1))", "captcha_wrong"),
        ("print(its.problem('a', 'AC.', 1))", "captcha_wrong"),
        ("print(its.problem('a', 'AC3', 600))", "captcha_over"),
        ("print(its.problem('c', 'AC3', 1))", "captcha_over"),
        ("print(its.problem(nil, 'AC3', 1))", "captcha_over"),
        # A wrong answer is the last one.
        ("its.problem('a', 'ACE', 1); print(its.problem('a', 'AC3', 2))", "captcha_over"),
        # A right one is asked for once, until an account is made.
        ("its.problem('a', 'AC3', 1); print(its.is_solved('a', 2), its.problem('a', nil, 2))", "true\tnil"),
        ("its.problem('a', 'AC3', 1); print(its.is_solved('a', 600), its.problem('a', nil, 600))", "false\tcaptcha_over"),
        ("its.problem('a', 'AC3', 1); its.drop('a'); print(its.is_solved('a', 2), its.problem('a', 'AC3', 2))",
         "false\tcaptcha_over"),
        ("print(its.is_solved('a', 1), its.is_solved('c', 1), its.is_solved(nil, 1))", "false\tfalse\tfalse"),
        # No more than two are out, of which those that are over do not count.
        ("print(its.has_room(599), its.has_room(600), its.problem('b', 'XY9', 600))", "false\ttrue\tnil"),
        ("its.drop('c'); its.drop('b'); its.drop('b'); print(its.has_room(1)); its.add('d', 'E', 1); print(its.has_room(1))",
         "true\nfalse"),
    ],
)  # fmt: skip
def test_letters_are_answered_once_and_in_time(script, outcome):
    assert lua(KEEPER + script) == outcome


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("AC3\n\x89PNG\r\nabc\n", "AC3\t5"),
        ("AC3\nGIF89a", "nil\tnil"),
        ("AC3\n", "nil\tnil"),
        ("\x89PNG", "nil\tnil"),
        ("", "nil\tnil"),
    ],
)
def test_files_of_the_pool(content, parts):
    escaped = "".join(f"\\{ord(character):03d}" for character in content)
    script = f'local letters, picture = captcha.parse("{escaped}"); print(letters, picture and #picture - 5)'
    assert lua(script) == parts
    assert lua("print(captcha.parse(nil))") == "nil"
