# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misspelt variables of every role are told from those of other people's roles."""

import random
import re

import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils import misspelt
from variables import TOP

KNOWN = sorted(name for path in TOP.glob("roles/*/defaults/main.yml") for name in yaml.safe_load(path.read_text())) + [
    "xmpp_admins",
    "xmpp_domain",
    "site_hosts",
    "site_restore",
]
MODEL = [name for name in KNOWN if name.startswith("xmpp_")]
# What people have written, or may write, and what they meant.
WRONG = {
    "update_windows": "updates_windows",
    "prosody_firwall_rules": "prosody_firewall_rules",
    "certificate_source": "certificates_source",
    "backup_repository": "backup_repositories",
    "backups_repositories": "backup_repositories",
    "bind_extra_records": "bind_records_extra",
    "bind_record_extra": "bind_records_extra",
    "alarm_mail_to": "alarms_mail_to",
    "firewall_rule_extra": "firewall_rules_extra",
    "firewall_extra_rules": "firewall_rules_extra",
    "firewall_ssh_prot": "firewall_ssh_port",
    "hardening_ssh_port": "firewall_ssh_port",
    "hardening_time_server": "hardening_time_servers",
    "harding_time_servers": "hardening_time_servers",
    "nginx_upload_limit": "nginx_upload_size_limit",
    "prosody_archive_days": "prosody_archive_expire_days",
    "prosody_modules_extras": "prosody_modules_extra",
    "prosody_setting_extra": "prosody_settings_extra",
    "prosody_invite_day": "prosody_invite_days",
    "site_host": "site_hosts",
    "status_unit_extra": "status_units_extra",
    "turn_denied_peer": "turn_denied_peers",
    "turn_alowed_peers": "turn_allowed_peers",
    "updates_windows_extra": "updates_windows",
}
# Variables of well-known roles and collections, and of operators.
OTHERS = re.findall(
    r"\S+",
    """
    nginx_version nginx_vhosts nginx_user nginx_worker_processes nginx_error_log nginx_access_log nginx_client_max_body_size
    nginx_upstreams nginx_server_tokens nginx_service_state nginx_conf_template nginx_sendfile nginx_keepalive_timeout
    postgresql_version postgresql_users postgresql_hba_entries postgresql_data_dir postgresql_auth_method postgresql_locales
    postgresql_user postgresql_service_state postgresql_global_config_options postgresql_unix_socket_directories
    firewall_allowed_tcp_ports firewall_state firewall_additional_rules firewall_enable_ipv6 firewall_log_dropped_packets
    firewall_forwarded_tcp_ports firewall_disable_firewalld firewall_flush_rules_and_chains firewall_template
    munin_node_allowed_ips munin_node_plugins munin_hosts munin_html_title munin_node_host_name munin_admin_user
    bind_zone_dir bind_acls bind_forwarders bind_dns64 bind_recursion bind_allow_query bind_owner
    backup_dir backup_user backup_cron_job_state backup_directories backup_remote_host backup_mysql_user backup_identifier
    status_url updates_enabled update_cache certificate_requests certificates_dir hardening_enabled turn_server
    docker_version ssh_port users timezone domain prosody_image prosody_version site_name site_title certbot_certs
    security_ssh_port unattended_mail os_auth_pw_max_age sshd_port ufw_rules alarm_channel alerts_email
""",
)


@pytest.mark.parametrize("name", WRONG)
def test_the_nearest_variable_is_named(name):
    (message,) = misspelt.misspelt([name], KNOWN, MODEL)
    assert message.startswith(f"{name}: is not a variable of this collection; did you mean {WRONG[name]!r}? ")
    assert message.endswith(f"write xmpp_other_variables: [{name}]")
    assert misspelt.misspelt([name], KNOWN, MODEL, [name]) == []


@pytest.mark.parametrize("name", OTHERS)
def test_variables_of_other_roles_are_left_alone(name):
    assert misspelt.misspelt([name], KNOWN, MODEL) == []


def test_those_of_the_model_are_all_known():
    (message,) = misspelt.misspelt(["xmpp_hostnam"], KNOWN, MODEL)
    assert message == "xmpp_hostnam: is not a variable of the site model; did you mean 'xmpp_hostname'?"
    assert misspelt.misspelt(["xmpp_stage"], KNOWN, MODEL, ["xmpp_stage"]) == []


def test_a_variable_of_a_former_release_is_refused_by_its_new_name():
    assert set(misspelt.RENAMED.values()) <= set(KNOWN) and not set(misspelt.RENAMED) & set(KNOWN)
    assert misspelt.misspelt(["hardening_apparmor"], KNOWN, MODEL) == [
        "hardening_apparmor: is called xmpp_apparmor now; rename it"
    ]


def test_what_is_right_or_internal_is_never_wrong():
    assert misspelt.misspelt([*KNOWN, "__prosody_file", "ansible_user", "groups", "x"], KNOWN, MODEL) == []


def test_one_slip_of_the_finger_is_found_in_every_variable():
    """A letter left out, doubled, or swapped with the next one, anywhere."""
    chance, seen, missed = random.Random(4), 0, []
    for name in KNOWN:
        place = chance.randrange(1, len(name) - 1)
        for slip in (
            name[:place] + name[place + 1 :],
            name[:place] + name[place] * 2 + name[place + 1 :],
            name[:place] + name[place + 1] + name[place] + name[place + 2 :],
        ):
            if slip in KNOWN or not re.fullmatch("[a-z][a-z0-9_]*", slip) or "_" not in slip:
                continue
            seen += 1
            found = misspelt.misspelt([slip], KNOWN, MODEL)
            if not found or f"did you mean {name!r}?" not in found[0] and "did you mean" not in found[0]:
                missed.append(slip)
    print(f"{seen} slips of {len(KNOWN)} variables")
    assert seen > 800 and missed == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("ab", "ab", 0),
        ("ab", "ba", 1),
        ("abc", "ac", 1),
        ("abc", "axc", 1),
        ("abcd", "ab", 2),
        ("abcd", "wxyz", 3),
        ("a", "abcd", 3),
    ],
)
def test_distance(one, other, expected):
    assert misspelt.distance(one, other, 2) == misspelt.distance(other, one, 2) == expected
