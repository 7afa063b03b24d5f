# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that no package has: from a served archive, by its checksum, and gone when it is no longer listed."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile

import hosts
import pytest
from conftest import DOMAIN, LOOP, create
from hosts import TOP

FEATURE = "urn:example:greeting"
MODULES = {
    "modules-5/mod_greeting/mod_greeting.lua": 'module:add_feature(module:require "words".feature);\n',
    "modules-5/mod_greeting/words.lib.lua": f'return {{ feature = "{FEATURE}" }};\n',
    "modules-5/mod_other/mod_other.lua": "error('nobody has asked for this');\n",
}
FOLDER = "/usr/local/lib/prosody/community"


@pytest.fixture(scope="module")
def served(internet) -> tuple[str, str]:
    """The address of an archive on internet.test, and its checksum."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in MODULES.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    data = stream.getvalue()
    internet.out("mkdir -p /srv/modules")
    internet.out("sh -c 'base64 --decode >/srv/modules/modules.tar.gz'", stdin=base64.b64encode(data).decode())
    internet.out(
        "systemd-run --quiet --collect --unit=modules python3 -m http.server --directory /srv/modules "
        f"--bind {internet.address} 8000"
    )
    internet.out(
        f"curl --silent --retry 20 --retry-connrefused --retry-delay 1 --output /dev/null http://{internet.address}:8000/"
    )
    yield f"http://{internet.address}:8000/modules.tar.gz", hashlib.sha256(data).hexdigest()
    internet.out("systemctl stop modules")


@pytest.fixture(scope="module")
def role(tmp_path_factory):
    """Run role prosody with other variables."""
    hosts.PLAIN["ANSIBLE_HOME"] = str(tmp_path_factory.mktemp("home"))

    def run(**variables):
        return hosts.apply(
            *(["prosody"], "rosewood.broccoli.test", f"--inventory={TOP / 'molecule/abuse/inventory'}"),
            inventory=TOP / "molecule/default/inventory",
            **variables,
        )

    yield run
    run()


@pytest.fixture
def offered(connect, rosewood):
    """What the domain says that it can."""

    def ask() -> set[str]:
        async def features() -> set[str]:
            client = await connect(create(rosewood, "curious", DOMAIN))
            info = await client.plugin["xep_0030"].get_info(jid=DOMAIN)
            await client.logout()
            return set(info["disco_info"]["features"])

        return LOOP.run_until_complete(features())

    return ask


def test_it_comes_by_its_checksum_and_goes(role, served, rosewood, offered):
    source, sha256 = served
    listed = {"source": source, "sha256": sha256, "modules": ["greeting"]}
    before = rosewood.out(f"find {FOLDER} /etc/prosody -exec stat --format '%n %Y %s' {{}} +; dpkg -l | md5sum")
    assert FEATURE not in offered()

    refused = role(prosody_community_modules=[listed | {"sha256": "0" * 64}], prosody_modules_extra=["greeting"])
    # molecule has Ansible write errors elsewhere.
    said = " ".join((refused.stdout + refused.stderr).replace("\\n", " ").split())
    print(said[-1500:])
    assert refused.returncode
    assert f"its SHA-256 is {sha256}, and not {'0' * 64}" in said
    assert rosewood.out(f"find {FOLDER} /etc/prosody -exec stat --format '%n %Y %s' {{}} +; dpkg -l | md5sum") == before

    done = role(prosody_community_modules=[listed], prosody_modules_extra=["greeting"])
    assert done.returncode == 0, done.stdout
    files = rosewood.out(f"cd {FOLDER} && find . -type f -printf '%P\\n'").split()
    print(files)
    assert sorted(name.split("/", 1)[1] for name in files) == [
        "mod_greeting/mod_greeting.lua",
        "mod_greeting/words.lib.lua",
    ]
    assert FEATURE in offered()
    again = role(prosody_community_modules=[listed], prosody_modules_extra=["greeting"])
    assert "changed=0" in again.stdout, again.stdout

    gone = role()
    assert gone.returncode == 0, gone.stdout
    assert rosewood.out(f"find {FOLDER} -mindepth 1") == ""
    assert FEATURE not in offered()
