# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xmpp-qr draws links of invitations, and nothing else that somebody asks for."""

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.qr.main import link_of


@pytest.mark.parametrize(
    ("host", "path", "link"),
    [
        ("a.test", "/register/qr.svg?t=T0-k_n", "https://a.test/register/?t=T0-k_n"),
        ("xn--a.test", "/register/qr.svg?t=T&u=b%C3%BCcher", "https://xn--a.test/register/?t=T&u=b%C3%BCcher"),
        ("a.test", "/register/qr.svg", None),
        ("a.test", "/register/qr.svg?t=", None),
        ("a.test", "/register/qr.svg?t=a&t=b", None),
        ("a.test", "/register/qr.svg?t=a&u=b&u=c", None),
        ("a.test", "/register/qr.svg?t=a<b", None),
        ("a.test", "/register/qr.svg?t=a\n", None),
        ("a.test", f"/register/qr.svg?t={'a' * 201}", None),
        ("a.test", "/other?t=a", None),
        ("a.test/b", "/register/qr.svg?t=a", None),
        ("A.test", "/register/qr.svg?t=a", None),
        ("", "/register/qr.svg?t=a", None),
    ],
)
def test_links(host, path, link):
    assert link_of(host, path) == link
