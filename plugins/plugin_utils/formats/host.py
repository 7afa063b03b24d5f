# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of a Debian host: files, packages, units, users, mail, limits, and what hardens it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.promises import PROMISES
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import checks


@checks.form("paths", "['/etc/ssl/xmpp/example.org/fullchain.pem']")
def file_path(value):
    """The path of a file, of characters that no shell and no unit file reads otherwise."""
    checks.text(value, "the path of a file", "/etc/xmpp/turn.secret")
    if not re.fullmatch(r"(/[A-Za-z0-9._@+-]+)+", str(value)) or {".", ".."} & set(str(value).split("/")):
        raise ValueError(
            f"{str(value)!r} is not the path of a file; write an absolute one of letters, digits and '._@+-', for "
            "example '/etc/xmpp/turn.secret'"
        )
    return str(value)


@checks.form()
def controller_path(value):
    """The path of a file on the machine that runs Ansible, which no shell reads."""
    checks.one_line("the path of a file", "files/fullchain.pem")(value)
    if value.startswith("-"):
        raise ValueError(f"{str(value)!r} is not the path of a file: it begins as an option; write './{value}'")
    return str(value)


# A Debian package, with its version or release if need be (apt-get(8)).
package = checks.form("packages", "['restic']")(
    checks.matching(
        "a Debian package",
        "restic",
        r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9]+)?([=/][A-Za-z0-9.+:~*-]+)?",
        "write its name, for example 'restic' or 'restic=0.18*'",
    )
)


@checks.form("patterns of packages", "['linux-', 'libc6$']")
def package_pattern(value):
    """A regular expression that apt's configuration can hold."""
    checks.text(value, "a pattern of packages", "linux-")
    if re.search(r'["\s;]', value) or not value.isprintable():
        raise ValueError(
            f"{str(value)!r} is not a pattern of packages: it has a quotation mark, a semicolon, a space or a control character; write a regular "
            "expression of characters that a package's name can have, for example 'linux-' or 'libc6$'"
        )
    return str(value)


_ORIGIN = r"(origin|label|archive|suite|codename|component|site|[olacn])=[A-Za-z0-9 .:_*${}/-]+"

# Which archives unattended-upgrade takes packages from, as it writes it.
origin_pattern = checks.form("origins", "['origin=Example,label=Example']")(
    checks.matching(
        "an origin",
        "origin=Example,label=Example",
        rf"{_ORIGIN}(,{_ORIGIN})*",
        "write pairs as `apt-cache policy` shows them, for example 'origin=Example,label=Example'",
    )
)


# The full name of a systemd unit.
unit = checks.form("units", "['prosody.service']")(
    checks.matching(
        "a unit",
        "prosody.service",
        r"[A-Za-z0-9:_.@][A-Za-z0-9:_.@-]*\.(service|socket|timer|path|target)",
        "write its full name, for example 'prosody.service'",
    )
)


# The name of a system group (adduser(8)).
system_group = checks.form()(
    checks.matching(
        "a system group",
        "xmpp-turn",
        checks.SYSTEM_NAME,
        "write lower-case letters, digits, hyphens and underscores, for example 'xmpp-turn'",
    )
)


@checks.form("file systems", "['/', '/var']")
def file_system(value):
    """Where a file system is mounted."""
    checks.text(value, "a file system", "/var")
    if not value.startswith("/") or not value.isprintable():
        raise ValueError(f"{str(value)!r} is not a file system; write where it is mounted, for example '/var'")
    return str(value)


@checks.form()
def memory_limit(value):
    """The most memory of a unit (systemd.resource-control(5))."""
    if not isinstance(value, str) or not re.fullmatch(r"([1-9]\d?|100)(\.\d+)?%|[1-9]\d*[KMGT]|infinity", str(value)):
        raise ValueError(
            f"{value!r} is not a memory limit; write a share of the machine's, for example '30%', a size, for example "
            "'512M', or 'infinity'"
        )
    return str(value)


# The name of a system user (adduser(8)).
system_user = checks.form("users", "['root']")(
    checks.matching("a system user", "root", checks.SYSTEM_NAME, "write its name, for example 'root'")
)


# The name of a variable of Ansible's.
variable_name = checks.form("variables", "['nginx_version']")(
    checks.matching(
        "a variable", "nginx_version", r"[A-Za-z_][A-Za-z0-9_]*", "write its name, for example 'nginx_version'"
    )
)


# The name of a kernel module (modprobe(8)).
kernel_module = checks.form("kernel modules", "['usb-storage']")(
    checks.matching(
        "a kernel module",
        "usb-storage",
        r"[A-Za-z0-9][A-Za-z0-9_-]*",
        "write its name as lsmod shows it, as 'usb-storage'",
    )
)


@checks.form()
def mounts(value):
    """Paths of mounts and their options (mount(8)), which root's shell reads."""
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{value!r} is not a dictionary of mounts; write for example {{'/tmp': 'nodev,nosuid,noexec'}}"
        )
    for path, options in value.items():
        file_path(path)
        if not isinstance(options, str) or not re.fullmatch(
            r"[a-z0-9_]+(=[A-Za-z0-9_.%-]+)?(,[a-z0-9_]+(=[A-Za-z0-9_.%-]+)?)*", options
        ):
            raise ValueError(f"{path}: {options!r} is not a list of options; write for example 'nodev,nosuid,noexec'")
    return dict(value)


@checks.form()
def sysctls(value):
    """Kernel settings (sysctl.d(5))."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a dictionary of kernel settings; write for example {{'vm.swappiness': 10}}")
    for key, setting in value.items():
        if not isinstance(key, str) or not re.fullmatch(r"[a-z0-9_]+([./][A-Za-z0-9_*-]+)+", key):
            raise ValueError(
                f"{key!r} is not a kernel setting; write it as sysctl shows it, for example 'vm.swappiness'"
            )
        if isinstance(setting, bool) or not re.fullmatch(r"[!-~]+([ \t]+[!-~]+)*", str(setting)):
            raise ValueError(f"{key}: {setting!r} is not a value; write a number, or a text of one line")
    return dict(value)


@checks.form()
def umask(value):
    """An umask in octal digits, as text, because YAML reads 027 as another number."""
    if not isinstance(value, str) or not re.fullmatch("0?[0-7]{3}", value):
        raise ValueError(f"{value!r} is not an umask; write octal digits in quotes, for example '027'")
    return str(value)


@checks.form()
def notice(value):
    """A text of some lines for a terminal."""
    if not isinstance(value, str) or not all(line.isprintable() for line in value.split("\n")):
        raise ValueError(f"{value!r} is not a notice: it has a control character; write lines of text, or '' for none")
    return str(value)


@checks.form()
def journal_size(value):
    """How much disk the journal may fill (journald.conf(5))."""
    if not isinstance(value, str) or not re.fullmatch(r"[1-9][0-9]*[KMGT]?", value):
        raise ValueError(f"{value!r} is not a size; write it in quotes, for example '1G' or '500M'")
    return str(value)


@checks.form("time servers", "['ptbtime1.ptb.de']")
def time_server(value):
    """A server of the time: its name or its address."""
    try:
        return checks.local_address(value)
    except ValueError:
        return checks.domain_name(value, "the name of a time server", "ptbtime1.ptb.de")


@checks.form()
def command(value):
    """A program and its words, which no shell reads."""
    if not value or not str(value[0]).startswith("/") or any("\0" in str(word) for word in value):
        raise ValueError(
            f"{list(value)!r} is not a program and its words; write for example ['/usr/bin/test', '-e', '/x']"
        )
    return list(value)


@checks.form("public ssh keys", "['ssh-ed25519 AAAA… master']")
def ssh_public_key(value):
    """A public key as in authorized_keys, without options (sshd(8))."""
    checks.text(value, "a public ssh key", "ssh-ed25519 AAAA… master")
    if not re.fullmatch(
        r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]{40,}( [ -~]*)?", str(value)
    ):
        raise ValueError(
            f"{str(value)[:40]!r} is not a public ssh key; write one line of a file *.pub, for example 'ssh-ed25519 AAAA… master'"
        )
    return str(value)


# The name of a host among those that are updated one after another.
host_in_fleet = checks.form("hosts", "['rosewood.example.org', 'maple.example.org']")(
    checks.matching(
        "a host",
        "rosewood.example.org",
        r"[!-~]+",
        "write its name in the inventory, for example 'rosewood.example.org'",
    )
)


@checks.form("mail addresses", "['hostmaster@example.org']")
def mail_address(value):
    """A mail address as an ACME account has one (RFC 8555, section 7.3)."""
    checks.text(value, "a mail address", "hostmaster@example.org")
    local, _at, domain = str(value).rpartition("@")
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", local) or local.startswith("-"):
        raise ValueError(f"{str(value)!r} is not a mail address; write for example 'hostmaster@example.org'")
    try:
        checks.domain_name(domain)
    except ValueError as error:
        raise ValueError(f"{str(value)!r} is not a mail address: {error}") from error
    return str(value)


@checks.form()
def mail_user(value):
    """An account on a mail server (RFC 4954)."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r} is not an account; write for example 'rosewood@example.net'")
    return str(value)


@checks.form()
def mail_password(value):
    """Its password, which no message shows."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("this secret is not a password: it has control characters; write it in one line, in a vault")
    return str(value)


machine_name = checks.form()(checks.one_line("the name of a host", "rosewood.example.org"))
announcement = checks.form()(checks.one_line("an announcement", "This server restarts in {minutes} minutes."))
title = checks.form()(checks.one_line("a name", "backup"))
json_key = checks.form()(checks.one_line("a key", "last_success"))
remedy = checks.form()(checks.one_line("a command", "journalctl -n 50"))


@checks.form()
def promise(value):
    """The id of a promise of the host."""
    if value not in (known := [promise.id for promise in PROMISES]):
        raise ValueError(f"{value!r} is no promise of the host; write one of {', '.join(known)}")
    return value
