# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`bin/bench --running`: what load costs our host, and other XMPP servers of the same Debian, in the same run.

Four hosts are up side by side, and tests/lab/load.py runs on one after the other, round after round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import bench

LOAD = Path(__file__).with_name("load.py")
BEGIN, END = "<!-- bin/bench --running writes what follows -->", "<!-- bin/bench --running wrote what is above -->"
DOMAIN = "broccoli.test"
STEPS = ("idle", "logins", "messages", "room", "uploads")

CERTIFICATE = f"""set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -qy install openssl ca-certificates $PACKAGES
openssl req -quiet -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={DOMAIN} \\
    -addext subjectAltName=DNS:{DOMAIN},DNS:conference.{DOMAIN},DNS:upload.{DOMAIN} -keyout key.pem -out chain.pem
"""
# Debian's file as it is, but for what ours has, too: direct TLS, an archive, uploads, and the bytes per second of a client.
PROSODY = f"""{CERTIFICATE}
cd /etc/prosody
install -o prosody -g prosody -m 640 ~/key.pem certs/{DOMAIN}.key
install -m 644 ~/chain.pem certs/{DOMAIN}.crt
sed -i 's|rate = "10kb/s"|rate = "256kb/s"|; 1i c2s_direct_tls_ports = {{ 5223 }} allow_registration = true registration_invite_only = false '"${{STORAGE:-}}" prosody.cfg.lua
cat > conf.d/{DOMAIN}.cfg.lua <<'END'
VirtualHost "{DOMAIN}"
modules_enabled = {{ "mam" }}
Component "conference.{DOMAIN}" "muc"
modules_enabled = {{ "muc_mam" }}
Component "upload.{DOMAIN}" "http_file_share"
http_file_share_size_limit = 100*1024*1024
END
install -d /etc/systemd/system/prosody.service.d
printf '[Service]\\nLimitNOFILE=20000\\n' > /etc/systemd/system/prosody.service.d/files.conf
systemctl daemon-reload
systemctl restart prosody
"""
EJABBERD = f"""{CERTIFICATE}
cd /etc/ejabberd
cat ~/key.pem ~/chain.pem > ejabberd.pem
sed -i 's/^  - localhost$/  - {DOMAIN}/
    s/^    rate: 3000$/    rate: 262144/
    s/^    burst_size: 20000$/    burst_size: 1048576/
    s/^  max_user_sessions: 10$/  max_user_sessions: 100/
    s|## /upload: mod_http_upload|/upload: mod_http_upload|
    s|^modules:$|&\\
  mod_mam: {{assume_mam_usage: true, default: always}}\\
  mod_http_upload: {{put_url: "https://@HOST@:5443/upload"}}\\
  mod_register: {{ip_access: trusted_network}}|
    s/^  mod_muc:$/&\\n    max_users: 5000/
    s/^      mam: true$/&\\n      max_users: 5000/' ejabberd.yml
echo 'registration_timeout: infinity' >> ejabberd.yml
systemctl restart ejabberd
"""
LISTENS = "until (: </dev/tcp/127.0.0.1/5223) 2>/dev/null; do sleep 0.1; done"
ANSWERS = f"{LISTENS}; until prosodyctl shell 'server:uptime()' >/dev/null 2>&1; do sleep 0.2; done"


@dataclass
class Server:
    """A host with a server, and what was measured of it."""

    name: str
    number: int  # of the host
    archive: str
    commands: str = ""  # that set it up; none for ours
    environment: dict[str, str] = field(default_factory=dict)
    unit: str = "prosody.service"
    rounds: list[dict[str, float]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return bench.host(self.number)[0]

    def run(self, *command: str, **options) -> str:
        return bench.timed(str(bench.LAB), "exec", "--interactive", self.host, *command, **options)[1]

    def set_up(self, folder: Path) -> None:
        print(f"set up {self.name}", flush=True)
        bench.fresh_host(self.number, "bare" if self.commands else "installed")
        if self.commands:
            given = [f"{name}={value}" for name, value in {"HOME": "/root", **self.environment}.items()]
            self.run("env", "--chdir=/root", *given, "sh", "-c", self.commands)
        else:
            bench.Checkout("ours", bench.TOP, folder).play("", bench.inventory())

    def restart(self) -> None:
        self.run("systemctl", "restart", self.unit)
        self.run("timeout", "60", "bash", "-c", LISTENS if self.commands else ANSWERS)

    def load(self, *options: str) -> dict[str, float]:
        own = ("--unit", self.unit, *(["--register"] if self.commands else []))
        return json.loads(self.run("python3", "-", DOMAIN, *own, *options, input=LOAD.read_text()))

    def median(self, figure: str) -> float | None:
        found = [figures[figure] for figures in self.rounds if figure in figures]
        return statistics.median(found) if found else None


def servers() -> list[Server]:
    return [
        Server("ours", 0, "SQLite"),
        Server("Prosody, files", 1, "files", PROSODY, {"PACKAGES": "prosody"}),
        Server(
            "Prosody, SQLite",
            2,
            "SQLite by LuaDBI",
            PROSODY,
            {"PACKAGES": "prosody lua-dbi-sqlite3", "STORAGE": 'storage = "sql"'},
        ),
        Server("ejabberd", 3, "Mnesia", EJABBERD, {"PACKAGES": "ejabberd"}, "ejabberd.service"),
    ]


@dataclass(frozen=True)
class Aim:
    """What a figure of ours is to be: a share of another server's, or a number."""

    sign: str  # ≤ or ≥
    value: float
    of: str = ""  # the other server

    def text(self, figure: str, found: list[Server], judge: bool) -> str:
        ours, base = found[0].median(figure), 1.0
        if self.of:
            base = next((one.median(figure) for one in found if one.name == self.of), None)
        wanted = f"{self.sign} {self.value:g} × {self.of}" if self.of else f"{self.sign} {self.value:g}"
        if ours is None or base is None or not judge:
            return wanted
        met = ours <= self.value * base if self.sign == "≤" else ours >= self.value * base
        return wanted if met else f"{wanted}: **missed**"


STOCK = Aim("≤", 0.75, "Prosody, files")
# By how a figure's name begins; one with a room's or a group's size after it may have the same.
AIMS = {
    "CPU ms per login": STOCK,
    "CPU µs per message": STOCK,
    "CPU µs per room delivery": STOCK,
    "messages/s": Aim("≥", 1, "ejabberd"),
    "room deliveries/s": Aim("≥", 0.5, "ejabberd"),
    "upload MB/s": Aim("≥", 100),
    "KiB per idle client": Aim("≤", 80),
    "disk KB per message": Aim("≤", 20),
}
# Ours has these for protection; each is unloaded alone. They work on logins, messages or rooms.
PROTECTIONS = ("firewall", "limits", "login_limits", "host_counters")
# A load average of less is that of a machine that does nothing else.
QUIET = 0.5
PROTECTION = "What protection costs: the same daemon without a module, in brackets what the module takes of the whole."
COSTS = ("CPU ms per login", "CPU µs per message", "CPU µs per room delivery")


def number(value: float | None) -> str:
    """Three digits, as far as they tell something."""
    return "" if value is None else f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def table(found: list[Server], busy: bool) -> str:
    """All figures; behind each of another server, ours as a share of it. On a busy machine no aim per second is judged."""
    ours, *others = found
    rows = [
        ["", *(one.name for one in found), "aim for ours"],
        ["---"] * (len(found) + 2),
        ["archive", *(one.archive for one in found), ""],
    ]
    figures = dict.fromkeys(figure for one in found for figures in one.rounds for figure in figures)
    for figure in figures:
        if figure.startswith("MiB"):
            continue
        base = ours.median(figure)
        cells = []
        for other in others:
            value = other.median(figure)
            cells.append(number(value) + (f" ({base / value:.2f} ×)" if base is not None and value else ""))
        apart = "/s" in figure
        aims = (aim for start, aim in AIMS.items() if figure.startswith(start))
        wanted = next((aim.text(figure, found, not (apart and busy)) for aim in aims), "")
        rows.append([figure + " \\*" * apart, number(base), *cells, wanted])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def protections(found: dict[str, list[dict[str, float]]]) -> str:
    """What a figure of ours is with all protections, and what each of them takes of it."""
    medians = {
        name: {one: statistics.median(run[one] for run in runs) for one in COSTS} for name, runs in found.items()
    }
    base = medians.pop("")
    rows = [["", *COSTS], ["---"] * (len(COSTS) + 1), ["with all", *(number(base[one]) for one in COSTS)]]
    for name, figures in medians.items():
        cells = (f"{number(figures[one])} ({(base[one] - figures[one]) / base[one]:+.0%})" for one in COSTS)
        rows.append([f"without `{name}`", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def measure_protections(ours: Server, rounds: int) -> dict[str, list[dict[str, float]]]:
    """What ours costs with all protections, under an empty name, and without each of them, in turns."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("", *PROTECTIONS)}
    for name in list(found) * rounds:
        ours.restart()
        if name:
            ours.run("prosodyctl", "shell", "module", "unload", name)
        found[name].append(ours.load("--only", "logins", "messages", "room"))
        print(f"  without {name or 'nothing'}: {json.dumps(found[name][-1], ensure_ascii=False)}", flush=True)
    return found


def measure(found: list[Server], given: argparse.Namespace) -> None:
    """Runs load.py on all, round after round."""
    for turn in range(1, given.runs + 1):
        print(f"round {turn}", flush=True)
        crowd = ["crowd"] if given.occupants and turn == given.runs else []
        for one in found:
            # A daemon that has had clients needs no new memory for as many.
            one.restart()
            options = ("--clients", str(given.clients), "--seconds", "5", "--occupants", str(given.occupants))
            one.rounds.append(one.load(*options, "--only", *STEPS, *crowd))
            print(f"  {one.name}: {json.dumps(one.rounds[-1], ensure_ascii=False)}", flush=True)


def said(rounds: int, busy: float) -> str:
    """Where it was measured, and which figures hold."""
    machine = "Figures with \\* are those of a machine that did nothing else."
    if busy > QUIET:
        machine = f"**The machine did other work, too** (load average {busy:.1f} before it began): figures with \\* say little."
    return (
        f"{os.cpu_count()} cores, Debian 13 in containers, {bench.medians(rounds)}. In brackets: ours as a share of that "
        f"server's. CPU times are those of the daemons' processes. {machine}"
    )


def run(given: argparse.Namespace) -> None:
    found, busy = servers(), os.getloadavg()[1]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for one in found:
                one.set_up(Path(folder))
            measure(found, given)
            parts = [said(given.runs, busy), "", table(found, busy > QUIET)]
            report(parts, given.write)
            if given.protections:
                without = measure_protections(found[0], given.runs)
                parts += ["", PROTECTION, "", protections(without)]
                report(parts, given.write)
        finally:
            for one in found:
                bench.timed(str(bench.LAB), "down", one.host)


def report(parts: list[str], write: bool) -> None:
    print("\n".join(parts), flush=True)
    if write:
        bench.put(BEGIN, END, parts)
