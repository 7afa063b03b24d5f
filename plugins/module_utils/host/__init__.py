# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs on a host, and the modules that look at one, are made of.

Files in this folder are the ground floor: they import the standard library, Debian's packages and one another. Each folder
is the room of one program and imports the ground floor; no room imports another. Imports are relative, because on a host
this package is /usr/local/lib/xmpp/xmpp_host, and nothing of Ansible is there.
"""
