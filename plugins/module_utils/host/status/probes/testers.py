# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grades of public testers, by their published rules, of what other probes have asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from ... import hello, tls
from . import encryption, keys
from .base import Subject, Unknown, probe

# IM Observatory's scores of a version, and the least total of each grade (xmppoke, poke.lua, 2019). It knows no TLS 1.3, and
# SSL 2 means F.
VERSION_SCORES = {hello.SSL3: 80, hello.TLS10: 90, hello.TLS11: 95, hello.TLS12: 100}
GRADE_SCORES = (("A", 80), ("B", 65), ("C", 50), ("D", 35), ("E", 20), ("F", 0))
RSA_SCORES = ((4096, 100), (2048, 90), (1024, 80), (512, 40), (1, 20), (0, 0))
# Of a group of DHE; 2014 is what its rules have.
GROUP_SCORES = ((4096, 100), (2014, 90), (1024, 80), (512, 40), (0, 20))
CIPHER_SCORES = ((256, 100), (128, 80), (1, 20), (0, 0))
# Bits of a suite, by what its name has in it.
CIPHER_BITS = (
    ("NULL", 0),
    ("EXP", 40),
    ("DES-CBC-", 56),
    ("DES-CBC3", 168),
    ("CHACHA20", 256),
    ("256", 256),
    ("128", 128),
    ("RC4", 128),
    ("SEED", 128),
)
# What CryptCheck says of parts of a suite's name (lib/cryptcheck/tls/cipher.rb, 2024), and of keys below some bits.
SUITE_FAULTS = (
    ("G", r"DSS|ADH|AECDH|NULL|EXP|DES|RC4|MD5"),
    ("F", r"^(?!ECDHE|DHE|.*_)"),
    ("E", r"SHA$|^DHE"),
)
KEY_FAULTS = {"RSA": ((2048, "F"), (1024, "G")), "ECDSA": ((256, "E"), (192, "F"), (160, "G"))}
GROUP_FAULTS = ((2048, "F"), (1024, "G"))
VERSION_FAULTS = {hello.SSL2: "G", hello.SSL3: "G", hello.TLS10: "F", hello.TLS11: "F"}


def _score(table: Sequence[tuple[int, int]], value: int) -> int:
    return next(score for least, score in table if value >= least)


def cipher_bits(name: str) -> int:
    """Return the bits of a suite by its name. Raises Unknown for one without a name."""
    # A hash has such numbers, too.
    cipher = re.sub(r"-(SHA(256|384)?|MD5)$", "-", name)
    for text, bits in CIPHER_BITS:
        if text in cipher and not name.startswith("0x"):
            return bits
    raise Unknown(f"suite {name} is not known here")


def observatory_grade(
    versions: Mapping[int, Sequence[int]],
    key_sizes: Iterable[tuple[str, int]],
    compresses: bool,
    is_valid: bool,
    group_sizes: Iterable[int] = (),
) -> str:
    """Return IM Observatory's grade of a port: by its versions with their suites, its keys, and its groups of DHE.

    Raises Unknown where its rules ask for more, or know nothing of what is there.
    """
    known = sorted(version for version in versions if version in VERSION_SCORES)
    if hello.SSL2 in versions:
        return "F"
    if not known:
        raise Unknown("TLS 1.3 alone, which its rules do not know")
    names = [hello.suite_name(suite) for version in known for suite in versions[version]]
    worst = "A"

    def cap(grade: str) -> None:
        nonlocal worst
        worst = max(worst, grade)

    key_score = 100
    for algorithm, bits in key_sizes:
        if algorithm not in ("RSA", "ECDSA"):
            raise Unknown(f"its rules know no key of {algorithm}")
        if algorithm == "RSA":
            key_score = min(key_score, _score(RSA_SCORES, bits))
            cap("F" if bits < 1024 else "B" if bits < 2048 else "A")
    for bits in group_sizes:
        key_score = min(key_score, _score(GROUP_SCORES, bits))
        cap("B" if bits < 2048 else "A")
    if any(name.startswith("EXP-") for name in names):
        key_score = min(key_score, 40)
    if any(name.startswith(("ADH-", "AECDH-")) for name in names):
        key_score = 0
    strengths = [_score(CIPHER_SCORES, cipher_bits(name)) for name in names]
    total = 0.3 * (VERSION_SCORES[known[0]] + VERSION_SCORES[known[-1]]) / 2 + 0.3 * key_score
    total += 0.4 * (min(strengths) + max(strengths)) / 2
    cap(next(grade for grade, least in GRADE_SCORES if total >= least))
    if known[-1] == hello.SSL3 or not is_valid:
        cap("F")
    if hello.SSL3 in known:
        cap("B")
    if known[-1] != hello.TLS12 or compresses or any("RC4" in hello.suite_name(suite) for suite in versions[known[-1]]):
        cap("C")
    return worst


def cryptcheck_grade(
    versions: Mapping[int, Sequence[int]],
    key_sizes: Iterable[tuple[str, int]],
    refuses_fallback: bool | None,
    group_sizes: Iterable[int] = (),
) -> str:
    """Return CryptCheck's grade of a port whose certificate is valid. Raises Unknown where its rules ask for more."""
    names = {hello.suite_name(suite) for suites in versions.values() for suite in suites}
    if unknown := sorted(name for name in names if name.startswith("0x")):
        raise Unknown(f"suite {unknown[0]} is not known here")
    faults = {VERSION_FAULTS[version] for version in versions if version in VERSION_FAULTS}
    faults |= {grade for grade, pattern in SUITE_FAULTS for name in names if re.search(pattern, name)}
    for algorithm, bits in key_sizes:
        faults |= {grade for least, grade in KEY_FAULTS.get(algorithm, ()) if bits < least}
    faults |= {grade for least, grade in GROUP_FAULTS for bits in group_sizes if bits < least}
    if faults:
        return max(faults)
    # Without a fault, what is good counts: suites of authenticated encryption, and the refusal of a fallback.
    good = {bool({suite for suites in versions.values() for suite in suites} & hello.AUTHENTICATED)}
    if refuses_fallback is not None:
        good.add(refuses_fallback)
    return "A+" if good == {True} else "C" if True in good else "D"


def group_sizes(subject: Subject, port: encryption.Port, versions: Mapping[int, Sequence[int]]) -> set[int]:
    """Return the sizes of the groups that a port has for suites of DHE, by version, those of export apart."""
    ready, sizes = partial(encryption.ready, subject, port), set()
    for version, suites in versions.items():
        for beginning in ("DHE-", "EXP-DHE-", "ADH-"):
            those = [suite for suite in suites if hello.suite_name(suite).startswith(beginning)]
            if those:
                bits = hello.group_bits(ready, port["name"], version, those, subject.seconds(encryption.SECONDS))
                if not bits:
                    raise Unknown(f"port {port['port']} does not show its group of {beginning.rstrip('-')}")
                sizes.add(bits)
    return sizes


def _group_sizes(subject: Subject, port: encryption.Port, versions: Mapping[int, Sequence[int]]) -> set[int]:
    key = ("groups", encryption.address_of(subject, port), port["port"])
    found: set[int] = subject.evidence.once(key, partial(group_sizes, subject, port, versions))
    return found


def _cryptcheck(subject: Subject, port: encryption.Port) -> tuple[str, str]:
    """The grade of a port, and what it is for where that is its certificate alone."""
    found = keys.certificates(subject, port)
    versions = encryption.enumerated_port(subject, port)
    ready, seconds = partial(encryption.ready, subject, port), subject.seconds(encryption.SECONDS)
    refuses = subject.evidence.once(
        ("refuses fallback", encryption.address_of(subject, port), port["port"]),
        lambda: hello.refuses_fallback(ready, port["name"], versions, seconds),
    )
    sizes = {(one.algorithm, one.bits) for one in found}
    grade = cryptcheck_grade(versions, sizes, refuses, _group_sizes(subject, port, versions))
    # It asks for the name of the server, and not for that of the domain.
    name = str(port.get("target") or subject.config["host"])
    if any(not {name, f"*.{name.partition('.')[2]}"} & one.names for one in found):
        return "V", f": its certificate is not for {name} ({grade} without that)"
    if not _is_valid(subject, port):
        return "T", ": its certificate is not valid"
    if subject.promises.get("authority") == "private":
        return "T", f": its authority is private ({grade} without that)"
    return grade, ""


def _is_valid(subject: Subject, port: encryption.Port) -> bool:
    try:
        encryption.verified(subject, port)
    except tls.TlsError as error:
        if "certificate is not good" not in str(error):
            raise Unknown(f"port {port['port']}: {error}") from error
        return False
    return True


def _observatory(subject: Subject, port: encryption.Port) -> tuple[str, str]:
    """The grade of a port, and what it is for where that is its certificate alone."""
    versions = encryption.enumerated_port(subject, port)
    sizes = {(one.algorithm, one.bits) for one in keys.certificates(subject, port)}
    newest = max((version for version in versions if version in VERSION_SCORES), default=0)
    ready, seconds = partial(encryption.ready, subject, port), subject.seconds(encryption.SECONDS)
    compresses = bool(newest) and subject.evidence.once(
        ("compresses", encryption.address_of(subject, port), port["port"]),
        lambda: hello.compresses(ready, port["name"], newest, seconds),
    )
    valid = _is_valid(subject, port)
    grade = observatory_grade(versions, sizes, compresses, valid, _group_sizes(subject, port, versions))
    if valid and subject.promises.get("authority") == "private":
        return "F", f": its authority is private ({grade} without that)"
    return grade, "" if valid else ": its certificate is not valid"


Grade = Callable[[Subject, encryption.Port], tuple[str, str]]
GRADES: Mapping[str, Grade] = {"IM Observatory": _observatory, "CryptCheck": _cryptcheck}


@probe("grades")
def grades(subject: Subject, tester: str) -> str:
    """Grade the ports of XMPP as a tester does."""
    said: dict[tuple[str, str], list[str]] = {}
    for protocol, whose in (("jabber:client", "clients"), ("jabber:server", "servers")):
        number = subject.promises["ports"].get(encryption.PORTS[protocol])
        for port in subject.config["ports"]:
            if port["port"] == number and port.get("protocol") == protocol:
                try:
                    said.setdefault(GRADES[tester](subject, port), []).append(whose)
                except (hello.HelloError, tls.TlsError, OSError) as error:
                    raise Unknown(f"port {number}: {error}") from error
    if not said:
        raise Unknown("there is no port of XMPP")
    return "; ".join(f"{grade} for {' and '.join(whose)}{reason}" for (grade, reason), whose in said.items())
