# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine says of packages, services, reboots and sessions, and the programs that change it."""

from __future__ import annotations

import glob
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .. import files
from ..commands import CommandError, attempt

REQUIRED = "/run/reboot-required"
PACKAGES = "/run/reboot-required.pkgs"
DPKG_LOCK = "/var/lib/dpkg/lock-frontend"
BOOT = "/proc/sys/kernel/random/boot_id"
INIT = "/proc/1/stat"
BACKUP = "xmpp-backup.service"
RRD = "/var/lib/munin/*/*-prosody_c2s-*-g.rrd"
# rrdtool breaks at what is no database of its own, so it reads munin's files with munin's rights, for so long, with so much
# memory, and writes nothing.
AS_MUNIN = [
    *("setpriv", "--reuid=munin", "--regid=munin", "--clear-groups", "--no-new-privs", "--reset-env"),
    *("prlimit", "--cpu=30", "--as=536870912", "--fsize=0", "--core=0"),
]
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}


class Reason(NamedTuple):
    """Why a reboot is needed: what tells it from other reasons, the packages behind it, and what to look at if it stays."""

    key: str
    packages: list[str]
    text: str
    look: str


def run(command: Sequence[str], seconds: float = 120) -> tuple[int, str]:
    """Run a program; return its exit status, 1 where it could not be started, and what it printed."""
    try:
        done = attempt(command, seconds=seconds, environment=ENVIRONMENT)
    except CommandError as error:
        return 1, str(error)
    return done.status, done.stdout + done.stderr


def tail(text: str, lines: int = 8) -> str:
    """Return the last lines of what a program printed."""
    kept = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("(Reading database")]
    return "\n".join(kept[-lines:])


def of_security(names: Sequence[str]) -> list[str]:
    """Return which of some packages come from Debian's security archive, as installed or as to be installed."""
    if not names:
        return []
    import apt

    cache, found = apt.Cache(), []
    for name in names:
        if name not in cache:
            continue
        versions = [version for version in (cache[name].installed, cache[name].candidate) if version]
        if any(origin.label == "Debian-Security" for version in versions for origin in version.origins):
            found.append(name)
    return found


def pending() -> tuple[list[str], list[str]]:
    """Return the packages that unattended-upgrade would install, and those of them that are for security.

    Raises OSError when it does not say.
    """
    status, said = run(["/usr/bin/unattended-upgrade", "--dry-run", "--verbose"], 900)
    found = re.search(r"^(?:.*: )?Packages that will be upgraded: ?(.*)$", said, re.MULTILINE)
    if status or (not found and "No packages found that can be upgraded" not in said):
        raise OSError(f"unattended-upgrade does not say what is to be upgraded:\n{tail(said)}")
    names = sorted(found[1].split()) if found else []
    return names, of_security(names)


def boot() -> str:
    """Return what is different after each boot: in a container the kernel's own number is that of the machine beneath."""
    with open(BOOT, encoding="ascii") as stream:
        number = stream.read().strip()
    with open(INIT, encoding="ascii", errors="replace") as stream:
        # The 22nd field, counted behind the name, which may hold anything: when the first process began.
        return f"{number} {stream.read().rpartition(')')[2].split()[19]}"


def versions(packages: Sequence[str]) -> list[str]:
    """Return packages with their versions, so that a new version of the same package is another reason."""
    said = ""
    if packages:
        _status, said = run(["dpkg-query", "--show", "--showformat=${Package}=${Version}\\n", *packages])
    known = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return [f"{name}={known.get(name, '?')}" for name in packages]


def reboot_reasons() -> tuple[list[Reason], float | None]:
    """Return why a reboot is needed, from what packages have left and from the kernel that needrestart finds.

    And since when, if that is known.
    """
    reasons, since = [], None
    if os.path.exists(REQUIRED):
        since, packages = os.stat(REQUIRED).st_mtime, []
        try:
            with open(PACKAGES, encoding="utf-8", errors="replace") as stream:
                packages = sorted(set(stream.read().split()))
        except FileNotFoundError:
            pass
        reasons.append(
            Reason(
                " ".join([REQUIRED, *versions(packages)]),
                packages,
                f"{REQUIRED} is there" + (", from " + ", ".join(packages) if packages else ""),
                f"Something asks for a reboot again after each boot: cat {REQUIRED}*; ls -l {REQUIRED}; "
                "journalctl -b. Remove the files when the reason is gone",
            )
        )
    # 2: a newer kernel of the same version is installed, 3: one of another version (needrestart(1)).
    status, said = run(["/usr/sbin/needrestart", "-b", "-k"], 60)
    answer = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    if answer.get("NEEDRESTART-KSTA") in ("2", "3"):
        expected, running = answer.get("NEEDRESTART-KEXP", "?"), answer.get("NEEDRESTART-KCUR", "?")
        # The kernel that runs may be rebuilt under its own name.
        image = versions([f"linux-image-{expected}"])[0]
        reasons.append(
            Reason(
                f"kernel {image}",
                [f"linux-image-{expected}"],
                f"kernel {expected} is installed, {running} runs",
                "This machine does not boot the newest kernel that is installed. Look which one its boot "
                "loader takes, and whether /boot was written: ls -l /boot; df /boot; "
                "grep GRUB_DEFAULT /etc/default/grub; grub-editenv list; update-grub. The provider may "
                "boot a kernel of its own: its control panel says so. If the running kernel is the "
                f"right one, remove linux-image-{expected}",
            )
        )
    elif status:
        print(f"needrestart cannot be asked: {tail(said, 1)}")
    return reasons, since


def sessions(now: float) -> Iterator[tuple[int, int, float]]:
    """Yield what munin knows of Prosody's sessions in the last four weeks: begin, end, and their number."""
    sums: dict[tuple[int, int], float] = {}
    if not shutil.which("rrdtool"):
        return
    for path in glob.glob(RRD):
        span = ["--start", str(int(now) - 28 * 86400), "--end", str(int(now))]
        status, said = run([*AS_MUNIN, "rrdtool", "fetch", path, "AVERAGE", *span])
        if status:
            print(f"{path}: {tail(said, 1)}")
            continue
        rows = re.findall(r"^(\d+): (\S+)$", said, re.MULTILINE)
        step = int(rows[1][0]) - int(rows[0][0]) if len(rows) > 1 else 0
        for end, value in rows:
            if step and not math.isnan(float(value)):
                sums[int(end) - step, int(end)] = sums.get((int(end) - step, int(end)), 0) + float(value)
    for (begin, end), value in sums.items():
        yield begin, end, value


def dpkg_is_busy() -> bool:
    """Tell whether another program holds dpkg's lock."""
    return files.is_locked(DPKG_LOCK, posix=True)


def backup_runs() -> bool:
    """Tell whether a backup is under way. A unit that runs once is being activated for as long as it works."""
    _status, said = run(["/usr/bin/systemctl", "is-active", BACKUP], 15)
    return said.strip() in ("activating", "deactivating")


def services() -> set[str]:
    """Return the services that use something replaced."""
    _status, said = run(["/usr/sbin/needrestart", "-b", "-l"], 120)
    return set(re.findall(r"^NEEDRESTART-SVC: (\S+)$", said, re.MULTILINE))


def upgrade(still_open: Callable[[], bool]) -> str | None:
    """Install what is pending; when the window closes, the step under way is the last. Return the error, if any."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **ENVIRONMENT}
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    command = ["/usr/bin/unattended-upgrade", "--verbose"]
    with subprocess.Popen(command, text=True, errors="replace", env=environment, **options) as process:
        said = None
        while said is None:
            try:
                said, _nothing = process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                if not still_open():
                    print("The window closes: unattended-upgrade ends after this step.", flush=True)
                    process.terminate()
                    said, _nothing = process.communicate()
        print(tail(said, 40), flush=True)
    return f"unattended-upgrade ended with {process.returncode}:\n{tail(said)}" if process.returncode else None


def restart() -> str | None:
    """Have needrestart restart what uses something replaced. Return the error, if any."""
    status, said = run(["/usr/sbin/needrestart", "-r", "a", "-m", "a", "-q"], 900)
    if tail(said):
        print(tail(said, 40), flush=True)
    return f"needrestart ended with {status}:\n{tail(said)}" if status else None


def announce(folder: str, text: str, programs: Iterable[str] | None) -> None:
    """Run the programs of a folder with a text that they tell: all of them, or some."""
    some = [f"--regex=^({'|'.join(map(re.escape, programs))})$"] if programs else []
    status, said = run(["run-parts", "--report", *some, f"--arg={text}", folder], 60)
    print(tail(said) or "Announced.", flush=True)
    if status:
        print(f"The announcement failed: {tail(said)}", file=sys.stderr)
