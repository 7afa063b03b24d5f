# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the files that a website shall have for XMPP with those that it answers with."""

from __future__ import annotations

import json
import secrets
import ssl
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from typing import Any

XRD = "{http://docs.oasis-open.org/ns/xri/xrd-1.0}"
MOST = 65536
XML = "application/xrd+xml"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Does not follow."""

    def redirect_request(self, *args, **kwargs):
        return None


def fetch(url, timeout=10, follow=True):
    """Returns status, headers by their lower-case names, and text, or the reason why there is no answer."""
    handlers: list[Any] = [urllib.request.ProxyHandler({}), *([] if follow else [_Stay])]
    request = urllib.request.Request(
        url, headers={"User-Agent": "magicbroccoli.xmpp", "Origin": "https://client.invalid"}
    )
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
            return _answer(answer)
    except urllib.error.HTTPError as error:
        return _answer(error)
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {reason.verify_message}"
        return f"it does not answer: {getattr(reason, 'strerror', None) or reason}"
    except OSError as error:
        return f"it does not answer: {error.strerror or error}"


def _answer(answer):
    headers: dict[str, str] = {}
    for name, value in answer.headers.items():
        # The same header twice is not what a browser takes.
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    return answer.status, headers, answer.read(MOST).decode("utf-8", "replace")


def _links(text, kind):
    """Returns the links of a host-meta (RFC 6415), XML or JSON."""
    if kind == XML:
        return {(link.get("rel"), link.get("href")) for link in ET.fromstring(text).iter(f"{XRD}Link")}
    return {(link["rel"], link.get("href")) for link in json.loads(text)["links"]}


def _content(path, kind, expected, text):
    try:
        if "host-meta" not in path:
            return (
                [] if json.loads(text) == json.loads(expected) else ["its content is another; put the file there anew"]
            )
        wanted, there = _links(expected, kind), _links(text, kind)
    except (ET.ParseError, ValueError, KeyError, TypeError, AttributeError):
        return [f"its content is no {'XML' if kind == XML else 'JSON'} of its kind; put the file there anew"]
    missing = [f"{rel} {href} is missing; add it" for rel, href in sorted(wanted - there)]
    # Other links are other people's; another place of the same kind leads clients there.
    kinds = {rel for rel, _href in wanted}
    surplus = [f"{rel} {href} is not ours; remove it" for rel, href in sorted(there - wanted, key=str) if rel in kinds]
    return missing + surplus


def judge(file, found):
    """Returns what is wrong with a file, a sentence each."""
    path, kind, expected = file["path"], file["type"], file["content"]
    if isinstance(found, str):
        return [found]
    status, headers, text = found
    if status != 200:
        return [f"the answer is {status}; put the file there"]
    wrong = _content(path, kind, expected, text)
    given = headers.get("content-type", "none")
    if given.partition(";")[0].strip().lower() != kind:
        wrong.append(f"Content-Type is {given}; let it be {kind}")
    origin = headers.get("access-control-allow-origin", "none")
    if origin != "*":
        wrong.append(f"Access-Control-Allow-Origin is {origin}; let it be *, since web clients of other sites ask, too")
    return wrong


def judge_challenge(web, path, found):
    """Returns what keeps an authority from finding challenges."""
    if isinstance(found, str):
        return [found]
    status, headers, _text = found
    wanted = f"http://{web}{path}"
    if status in (301, 302, 303, 307, 308) and headers.get("location") == wanted:
        return []
    said = f"{status}, to {headers['location']}" if "location" in headers else status
    return [f"the answer is {said}; let it be a redirect to {wanted}"]


def check(site, timeout=10):
    """Returns what is wrong with a website, a line each."""
    lines = []
    for file in site["files"]:
        if file["type"]:
            url = f"https://{site['domain']}/{file['path']}"
            lines += [f"{url}: {line}" for line in judge(file, fetch(url, timeout))]
    if site["challenges"]:
        path = f"/.well-known/acme-challenge/check-{secrets.token_hex(8)}"
        url = f"http://{site['domain']}{path}"
        lines += [f"{url}: {line}" for line in judge_challenge(site["web"], path, fetch(url, timeout, follow=False))]
    return lines
