# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where xmpp-backup finds and keeps its files."""

from __future__ import annotations

CONFIG = "/etc/xmpp/backup.json"
ENVIRONMENT = "/etc/xmpp/backup.env"
PASSPHRASE = "/etc/xmpp/backup.passphrase"
SSH_KEY = "/etc/xmpp/backup.ssh-key"
KNOWN_HOSTS = "/etc/xmpp/backup.known-hosts"
FOLDER = "/var/lib/xmpp-backup"
STATE = f"{FOLDER}/state.json"
RESTORED = f"{FOLDER}/restored.json"
STAGE = f"{FOLDER}/stage"
MANIFEST = f"{STAGE}/manifest.json"
DRAFT = f"{FOLDER}/restore"
CACHE = "/var/cache/xmpp-backup"
LOCK = f"{FOLDER}/lock"
