# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site model: its domains and names. Each filter is documented beside this file; Ansible names it where it fails."""

from __future__ import annotations

from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import names, services
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.formats import times


class FilterModule:
    def filters(self):
        return {
            "certificate_names": names.certificate_names,
            "dns_name": names.dns_name,
            "domains": names.domains,
            "jid": names.jid,
            "port": services.port,
            "tls_ports": services.tls_ports,
            "update_windows": times.update_windows,
        }
