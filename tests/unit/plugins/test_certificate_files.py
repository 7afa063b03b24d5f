# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains and keys as entries of config_tree: at the places of the pairs, and in a folder of the host's program."""

import pytest
from ansible_collections.magicbroccoli.xmpp.plugins.module_utils.host.certificate import pairs as program
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import certificates
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.certificates import certificate_files

PAIRS = [{"path": "/tls/c.pem", "key_path": "/tls/k.pem"}, {"path": "/tls/c-rsa.pem", "key_path": "/tls/k-rsa.pem"}]


def test_the_host_s_program_looks_for_these_names():
    assert (certificates.CHAINS, certificates.KEYS) == (program.CHAINS, program.KEYS)


def test_both_pairs_at_their_places():
    found = certificate_files(PAIRS, ["C1", "C2\n"], ["K1", "K2\n"], group="tls")
    assert found == {
        "/tls/c.pem": {"group": "tls", "mode": "0640", "content": "C1\n"},
        "/tls/k.pem": {"group": "tls", "mode": "0640", "content": "K1\n", "secret": True},
        "/tls/c-rsa.pem": {"group": "tls", "mode": "0640", "content": "C2\n"},
        "/tls/k-rsa.pem": {"group": "tls", "mode": "0640", "content": "K2\n", "secret": True},
    }


def test_chains_in_a_folder():
    assert certificate_files(PAIRS[:1], ["C1"], folder="/f") == {
        "/f": {"state": "directory", "mode": "0700"},
        "/f/fullchain.pem": {"mode": "0600", "content": "C1\n"},
    }
    found = certificate_files(PAIRS, ["C1", "C2"], ["K1", "K2"], folder="/f")
    assert list(found)[1:] == ["/f/fullchain.pem", "/f/privkey.pem", "/f/fullchain-rsa.pem", "/f/privkey-rsa.pem"]


def test_the_authority_ends_each_chain():
    found = certificate_files([{"path": "/f/fullchain.pem"}], ["\nC1\n"], issuer="CA\n")
    assert found == {"/f/fullchain.pem": {"mode": "0600", "content": "C1\nCA\n"}}


@pytest.mark.parametrize(("chains", "keys", "name"), [(["C"], [], "chains"), (["C", "C"], ["K"], "keys")])
def test_one_for_each(chains, keys, name):
    with pytest.raises(ValueError, match=f"{name}: there are 1, and pairs: 2; give one for each"):
        certificate_files(PAIRS, chains, keys)
