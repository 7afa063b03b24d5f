# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XMPP addresses as Prosody reads them, and domain names in their two forms.

An account's name is prepared by nodeprep (RFC 3920, appendix A), as Prosody does it. A domain has a U-label, `bücher.test`, by which XMPP knows it, and an A-label, `xn--bcher-kva.test`, for DNS,
certificates, the web and paths (RFC 5890).

Names are what IDNA2003 and IDNA2008 agree about: Prosody and Python's own codec follow the former, browsers and registries
the latter. What they read otherwise (`ß`, `ς`, joiners) would be one domain for XMPP and another one for DNS.
"""

from __future__ import annotations

import encodings.idna
import re
import stringprep
import unicodedata

LONGEST_LABEL = 63
# Of RFC 3454, what RFC 3920 forbids in an account's name, beside the delimiters of XMPP addresses.
_FORBIDDEN = (
    stringprep.in_table_c11_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_DELIMITERS = "\"&'/:<>@"
# Scripts that one label may have together (UTS 39, highly restrictive); any other mixture imitates.
_TOGETHER = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "BOPOMOFO"},
    {"LATIN", "CJK", "HANGUL"},
)
# Letters that nothing shows, which IDNA2008 refuses.
_INVISIBLE = "\u115f\u1160\u17b4\u17b5"
# What IDNA2008 reads otherwise than IDNA2003.
_DEVIATIONS = "ß\N{GREEK SMALL LETTER FINAL SIGMA}\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"


def shown(character):
    """A character as a message has it: one that looks like another, or like nothing, by its number, too."""
    if character.isascii():
        return repr(character)
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    letter = f"{character!r} " if character.isprintable() and not unicodedata.combining(character) else ""
    return f"{letter}({code}{' ' + name if name else ''})"


def _bidirectional(text):
    """Refuses text in which letters of both directions are (RFC 3454, section 6)."""
    right = [stringprep.in_table_d1(character) for character in text]
    if any(right) and not (right[0] and right[-1] and not any(map(stringprep.in_table_d2, text))):
        raise ValueError("it mixes letters that are written from right to left with others (RFC 3454)")


def _folded(character):
    """What RFC 3454 maps a character to. Python lowers letters of Unicode 3.2 to some that only later versions have."""
    mapped = stringprep.map_table_b2(character)
    return character if any(map(stringprep.in_table_a1, mapped)) else mapped


def nodeprep(text):
    """Returns an account's name as Prosody keeps it, or raises ValueError."""
    for character in text:
        if stringprep.in_table_a1(character):
            raise ValueError(
                f"{shown(character)} is not allowed in an account: XMPP does not know it (RFC 3454, table A.1)"
            )
    mapped = "".join(_folded(character) for character in text if not stringprep.in_table_b1(character))
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for character in prepared:
        if character in _DELIMITERS or any(table(character) for table in _FORBIDDEN):
            raise ValueError(f"{shown(character)} is not allowed in an account")
    if not prepared:
        raise ValueError("there is no account before an '@'")
    if len(prepared.encode()) > 1023:
        raise ValueError("the account is longer than 1023 bytes")
    _bidirectional(prepared)
    return prepared


def difference(text, prepared):
    """Where a name and its prepared form first differ, in words; they may look the same."""
    for place, character in enumerate(text):
        if prepared[place : place + 1] != character:
            return f"{shown(character)} is written there as {shown(prepared[place]) if place < len(prepared) else 'nothing'}"
    return "they differ in their end"


def _check_unicode(label):
    """Refuses a label that is not one of both versions of IDNA, or not of one script."""
    for character in label:
        if character in _DEVIATIONS:
            raise ValueError(
                f"{shown(character)} is one name for XMPP (IDNA2003) and another one for DNS (IDNA2008, RFC 5894)"
            )
    composed = unicodedata.normalize("NFC", label)
    if composed != label:
        raise ValueError(
            f"{label!r} is not composed (NFC); that would be {composed!r}, whose length is {len(composed)}"
        )
    # A middle dot is a letter's part between two of `l` (RFC 5892, appendix A.3).
    for character in re.sub("(?<=l)·(?=l)", "", label):
        if (
            character in _INVISIBLE
            or stringprep.in_table_a1(character)
            or (character != "-" and unicodedata.category(character) not in ("Ll", "Lo", "Lm", "Mn", "Mc", "Nd"))
        ):
            kind = "is not lower-case" if character.isupper() else "is not allowed in a domain"
            raise ValueError(f"{shown(character)} {kind}")
    scripts: dict[str, str] = {}
    for character in label:
        if unicodedata.category(character) in ("Ll", "Lo"):
            scripts.setdefault(unicodedata.name(character).split()[0], character)
    if len(scripts) > 1 and not any(set(scripts) <= allowed for allowed in _TOGETHER):
        letters = " and ".join(shown(character) for character in scripts.values())
        raise ValueError(f"{label!r} mixes scripts, as names do that imitate others: {letters}")


def _label_to_ascii(label):
    if label.isascii():
        if label.startswith("xn--"):
            _label_to_unicode(label)
        return label
    _check_unicode(label)
    if label[0] == "-" or label[-1] == "-" or label[2:4] == "--":
        raise ValueError(f"the label {label!r} begins or ends with a hyphen, or has two as an A-label has them")
    if unicodedata.category(label[0]).startswith("M"):
        raise ValueError(f"the label {label!r} begins with the mark {shown(label[0])}")
    # Both of them raise UnicodeError, which is a ValueError, and say little.
    try:
        prepared = encodings.idna.nameprep(label)
        ascii_form = encodings.idna.ToASCII(label).decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"the label {label!r} has no A-label ({error})") from error
    if prepared != label:
        raise ValueError(f"the label {label!r} is another one when it is prepared: {prepared!r}")
    return ascii_form


def _label_to_unicode(label):
    if not label.startswith("xn--"):
        return label
    try:
        found = label[4:].encode("ascii").decode("punycode")
    except UnicodeError as error:
        raise ValueError(f"{label!r} is not an A-label: it cannot be decoded") from error
    if found.isascii():
        raise ValueError(f"{label!r} is not an A-label: it stands for {found!r}")
    try:
        again = _label_to_ascii(found)
    except ValueError as error:
        raise ValueError(f"{label!r} is not an A-label of XMPP's: {error}") from error
    if again != label:
        raise ValueError(f"{label!r} is not an A-label: {found!r} has {again!r}")
    return found


def to_ascii(domain):
    """Returns a domain name with A-labels, or raises ValueError where XMPP and DNS do not agree about it."""
    return ".".join(map(_label_to_ascii, domain.split(".")))


def to_unicode(domain):
    """Returns a domain name with U-labels, or raises ValueError."""
    return ".".join(map(_label_to_unicode, to_ascii(domain).split(".")))


def split(address):
    """Returns the account, which may be empty, the domain, and what is after a slash, with the slash."""
    bare, slash, rest = address.partition("/")
    local, _at, domain = bare.rpartition("@")
    return local, domain, slash + rest


def bare_jid(address):
    """Returns the address of an account, or raises ValueError: for a name that XMPP knows by another one, too.

    Who writes that name shall see under which one the account is.
    """
    local, at, domain = address.partition("@")
    if not at or not local:
        raise ValueError("there is no account before an '@'")
    if not domain:
        raise ValueError("there is no domain after the '@'")
    if "/" in address:
        raise ValueError("'/' begins a resource, which an account does not have")
    prepared = nodeprep(local)
    if prepared != local:
        raise ValueError(f"XMPP knows this account as {prepared!r}: {difference(local, prepared)}")
    return f"{prepared}@{to_unicode(domain)}"


def xmpp_address(address):
    """Returns an XMPP address as Prosody has it: the account prepared, the domain with U-labels; what is after a slash stays."""
    local, domain, rest = split(address)
    return (f"{nodeprep(local)}@" if local else "") + to_unicode(domain) + rest
