# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each command line of README.md and docs/first-day.md is run: where, how it ends, and what it prints."""

from __future__ import annotations

from dataclasses import dataclass, field

HERE, HOST = "here", "host"
PLAYBOOK = "ansible-playbook -i inventory magicbroccoli.xmpp"


@dataclass
class Run:
    """Where a command is run, and what is to come of it: its exit code, and patterns of what it prints."""

    where: str = HERE
    ends: tuple[int, ...] = (0,)
    says: list[str] = field(default_factory=list)


HOW = {
    "ansible --version": Run(says=[r"core 2\.(19\.[1-9]|2)"]),
    "ssh root@host.example.org true": Run(),
    "ansible-galaxy collection install magicbroccoli.xmpp": Run(says=["was installed successfully"]),
    "cp -r ~/.ansible/collections/ansible_collections/magicbroccoli/xmpp/inventory/example inventory": Run(),
    f"{PLAYBOOK}.plan": Run(says=[r"to change on host\.example\.org", "publishes that the domain has no mail"]),
    # There is no registrar in the lab, and no authority: what is open is said, and everything else is there.
    f"{PLAYBOOK}.site": Run(
        says=[
            r"host\.example\.org is set up\. Open, for others to do:",
            r"delegation of example\.org: it could not be checked|DS of example\.org",
            r"certificate: .*fullchain\.pem is self-signed, which no stranger accepts",
        ]
    ),
    # Its result is the same as that of what is open.
    f"{PLAYBOOK}.verify": Run(ends=(2,), says=["certificate"]),
    f"{PLAYBOOK}.site --check --diff": Run(says=["failed=0"]),
    f"{PLAYBOOK}.site --tags prosody,nginx": Run(says=["failed=0"]),
    f"{PLAYBOOK}.site --tags configuration": Run(says=["failed=0"]),
    f"{PLAYBOOK}.site --skip-tags munin": Run(says=["failed=0"]),
    "bind-ds-records example.org": Run(HOST, says=[r"^example\.org\. IN DS \d+ 13 2 [0-9A-F]{64}$"]),
    # The certificate is self-signed, and the disk is that of the machine beneath.
    "xmpp-status": Run(HOST, ends=(0, 1, 2), says=[r"^host\.example\.org: failures: "]),
    "xmpp-invite admin@example.org": Run(HOST, says=[r"^https://example\.org/register/\?\S+$"]),
    "xmpp-invite example.org": Run(HOST, says=[r"^https://example\.org/register/\?\S+$"]),
}
# What other tests run.
ELSEWHERE = {"bin/demo": "tests/unit/contract/test_bin.py", "bin/test": ".ci/run"}
