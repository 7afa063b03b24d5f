# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of the firewall: rules, as its filters check them."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks, firewall

firewall_rule = checks.form("rules", "[{name: game, protocol: tcp, ports: [7777], rate: 10, burst: 20}]")(
    firewall.check_rule
)
egress_rule = checks.form("rules", "[{name: game, users: [game], protocol: tcp, ports: [7777]}]")(firewall.check_egress)
