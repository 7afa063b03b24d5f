# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of a signed zone as BIND keeps them, and what the parent zone says of them."""

from __future__ import annotations

import base64
import concurrent.futures
import datetime
import glob
import hashlib
import os
import re
import time

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils import dig

ZONE = re.compile(r"[a-z0-9_]([a-z0-9_/-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_/-]{0,61}[a-z0-9_])?)*")
DNSKEY = re.compile(
    r"^(\S+)\.\s+(?:\d+\s+)?(?:IN\s+)?DNSKEY\s+(\d+)\s+(\d+)\s+(\d+)\s+([A-Za-z0-9+/= ]+)$", re.MULTILINE
)
STATE = re.compile(r"^(\w+): (\S+)", re.MULTILINE)
# Digest types of RFC 4509, RFC 6605 and, still to be understood, RFC 4034.
DIGESTS = {1: hashlib.sha1, 2: hashlib.sha256, 4: hashlib.sha384}
PUBLISHED = ("rumoured", "omnipresent")
TIMES = {"Published": "published", "Active": "active", "Retired": "retired", "Removed": "removed"}


class DnssecError(Exception):
    """Keys that are not there or not as BIND writes them."""


def key_tag(rdata):
    """The tag of a DNSKEY record (RFC 4034, appendix B)."""
    total = sum(byte if index & 1 else byte << 8 for index, byte in enumerate(rdata))
    return (total + (total >> 16)) & 0xFFFF


def digest(zone, rdata, kind):
    """The digest of a DS record (RFC 4034, section 5.1.4), in upper-case hexadecimal."""
    owner = b"".join(bytes([len(label)]) + label.encode() for label in zone.split(".")) + b"\0"
    return DIGESTS[kind](owner + rdata).hexdigest().upper()


def ds_record(zone, key, kind=2):
    return f"{key['tag']} {key['algorithm']} {kind} {digest(zone, key['rdata'], kind)}"


def _moment(text):
    moment = datetime.datetime.strptime(text, "%Y%m%d%H%M%S")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DnssecError(f"{path}: {error.strerror}; run as root") from error


def read_key(zone, path):
    """Returns one key from its public file and the state file beside it, or nothing while BIND still writes them."""
    public, state = _read(path), _read(re.sub(r"\.key$", ".state", path))
    if public is None or state is None:
        return None
    found = DNSKEY.search(public)
    if found is None or found[1].lower() != zone:
        raise DnssecError(f"{path}: holds no DNSKEY record of {zone}; restore the file from your backup")
    flags, protocol, algorithm = int(found[2]), int(found[3]), int(found[4])
    try:
        rdata = flags.to_bytes(2, "big") + bytes([protocol, algorithm])
        rdata += base64.b64decode(found[5].replace(" ", ""), validate=True)
    except (ValueError, OverflowError) as error:
        raise DnssecError(f"{path}: its DNSKEY record is broken; restore the file from your backup") from error
    values = dict(STATE.findall(state))
    key = {
        "tag": key_tag(rdata),
        "algorithm": algorithm,
        "role": {("yes", "no"): "ksk", ("no", "yes"): "zsk", ("yes", "yes"): "csk"}.get(
            (values.get("KSK", ""), values.get("ZSK", "")), "none"
        ),
        "goal": values.get("GoalState"),
        "dnskey": values.get("DNSKEYState"),
        "ds": values.get("DSState"),
        "rdata": rdata,
    }
    try:
        key.update({name: _moment(values[field]) if field in values else None for field, name in TIMES.items()})
    except ValueError as error:
        raise DnssecError(f"{re.sub('key$', 'state', path)}: {error}; restore the file from your backup") from error
    return key


def read_keys(zone, directory):
    """Returns the zone's keys, those that sign first."""
    if not ZONE.fullmatch(zone):
        raise DnssecError(f"zones: {zone!r} is not a zone's name; write it in lower case without a dot at its end")
    # What is in the file counts, its name only finds it. BIND writes a slash as %2F there.
    return _in_order(zone, glob.glob(os.path.join(glob.escape(directory), f"K{zone.replace('/', '%2F')}.+*.key")))


def _in_order(zone, paths):
    keys = [key for key in (read_key(zone, path) for path in sorted(paths)) if key is not None]
    return sorted(keys, key=lambda key: (key["role"] not in ("ksk", "csk"), key["published"] or "", key["tag"]))


def secure(keys):
    """The keys that the parent shall vouch for."""
    return [key for key in keys if key["role"] in ("ksk", "csk") and key["goal"] == "omnipresent"]


def wait_for_keys(zone, directory, seconds, sleep=time.sleep, clock=time.monotonic):
    """Returns the keys, as soon as there is one that the parent shall vouch for."""
    end = clock() + seconds
    while True:
        keys = read_keys(zone, directory)
        if secure(keys):
            return keys
        if clock() >= end:
            raise DnssecError(
                f"{zone}: there is no key-signing key in {directory} after {seconds} s; see: journalctl -u named, "
                f"and: rndc dnssec -status {zone}"
            )
        sleep(0.1)


def ask(zone, resolver, timeout):
    """Returns the answer to a question for the parent's DS records, or None; raises where none can be asked."""
    try:
        return dig.ask([(zone, "DS")], "+adflag", "+tries=1", server=resolver, timeout=timeout).get((zone, "DS"))
    except dig.DigError as error:
        raise DnssecError(f"{error} on the host") from error


def compare(zone, keys, answer):
    """Returns what the parent's answer says of the keys."""

    def result(status, reason, **rest):
        return {"status": status, "reason": reason, "ds": [], "unmatched": [], "validated": False, **rest}

    if answer is None:
        return result("unknown", "no resolver answered; see /etc/resolv.conf")
    validated = "ad" in answer["flags"]
    if answer["status"] == "NXDOMAIN":
        return result("missing", "the parent does not know the zone", validated=validated)
    if answer["status"] != "NOERROR":
        return result("unknown", f"the resolver answered {answer['status']}")
    found = [data.split() for owner, kind, data in answer["records"] if (owner, kind) == (zone, "DS")]
    if not found:
        owners = [owner for owner, kind, _data in answer["records"] if kind == "SOA"]
        if zone in owners:
            return result("unknown", "the zone's own server answered instead of the parent's; ask a resolver")
        if not owners:
            return result("unknown", "the answer is a referral; ask a resolver")
        return result("missing", "the parent has no DS record", validated=validated)
    published = [key for key in keys if key["role"] in ("ksk", "csk") and key["dnskey"] in PUBLISHED]
    ours = {ds_record(zone, key, kind) for key in published for kind in DIGESTS}
    # dig breaks a digest into several words.
    theirs = sorted(" ".join([*fields[:3], "".join(fields[3:]).upper()]) for fields in found)
    unmatched = [record for record in theirs if record not in ours]
    rest = {"ds": theirs, "unmatched": unmatched, "validated": validated}
    if len(unmatched) == len(theirs):
        return result("wrong", "no DS record of the parent fits a key of the zone, so that validation fails", **rest)
    wanted = [key for key in secure(keys) if not any(ds_record(zone, key, kind) in theirs for kind in DIGESTS)]
    if wanted:
        tags = ", ".join(str(key["tag"]) for key in wanted)
        return result("missing", f"the parent has no DS record of the key {tags}", **rest)
    return result("right", "the parent's DS record fits", **rest)


def describe(zone, keys):
    """Returns what the module says of a zone but of its parent."""
    rolls = [
        {"at": key["retired"], "tag": key["tag"], "role": key["role"]}
        for key in keys
        if key["goal"] == "omnipresent" and key["retired"]
    ]
    return {
        "ds": [ds_record(zone, key) for key in secure(keys)],
        "keys": [{name: value for name, value in key.items() if name != "rdata"} for key in keys],
        "next_roll": min(rolls, key=lambda roll: roll["at"], default=None),
    }


def advice(zone, found):
    """Returns what the operator has to do about a zone in lines; none where its parent is right."""
    if found["parent"]["status"] == "right":
        return []
    return ["Give these DS records to the registrar of the domain:", *(f"{zone}. IN DS {one}" for one in found["ds"])]


def served(configuration):
    """Returns the names of the zones in BIND's configuration, or nothing where there is none yet."""
    text = _read(configuration)
    return None if text is None else set(re.findall(r'^\s*zone\s+"([^"]+)"', text, re.MULTILINE))


def all_keys(directory, names=None):
    """Returns zone → keys of every zone that has some in a folder, or of those with these names."""
    paths: dict[str, list[str]] = {}
    # Read once, since there are three files a key and as many zones as the operator likes.
    for file in os.listdir(directory) if os.path.isdir(directory) else []:
        if found := re.match(r"K(.+)\.\+\d+\+\d+\.key$", file):
            paths.setdefault(found[1].replace("%2F", "/"), []).append(os.path.join(directory, file))
    wanted = paths if names is None else paths.keys() & set(names)
    return {zone: _in_order(zone, paths[zone]) for zone in sorted(wanted)}


def zones(keys, parent=True, resolver=None, timeout=2):
    """Returns what is known of zones with these keys, and what their parents say of them, who are asked at once."""
    found = {zone: describe(zone, its) for zone, its in keys.items()}
    if parent:
        with concurrent.futures.ThreadPoolExecutor(max_workers=20) as pool:
            answers = pool.map(lambda zone: ask(zone, resolver, timeout), keys)
            for (zone, its), answer in zip(keys.items(), answers, strict=True):
                found[zone]["parent"] = compare(zone, its, answer)
                found[zone]["parent"]["advice"] = advice(zone, found[zone])
    return found
