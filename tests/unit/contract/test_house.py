# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of docs/architecture.md that a program can hold the collection to."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.plan import KEYS

TOP = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (TOP / "roles").iterdir())
SITE = TOP / "playbooks" / "site.yml"


def load(path: Path):
    return yaml.safe_load(path.read_text()) if path.exists() else None


def defaults(role: str) -> dict:
    return load(TOP / "roles" / role / "defaults" / "main.yml") or {}


def spec(role: str) -> dict:
    """The only entry of a role's specs: C(main), or the model."""
    (entry,) = load(TOP / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"].values()
    return entry


def model() -> dict:
    return load(TOP / "playbooks" / "site.meta.yml")["argument_specs"]["site"]["options"]


def files(role: str, *folders: str) -> list[Path]:
    return [path for folder in folders for path in (TOP / "roles" / role / folder).rglob("*") if path.is_file()]


def own_files() -> list[Path]:
    """Every file of the checkout that is the project's own: no environment, cache or demo."""
    foreign = {".git", ".venv", ".cache", ".demo", ".ansible", "__pycache__", ".pytest_cache"}
    foreign |= {".ruff_cache", ".mypy_cache"}
    found = []
    for folder, folders, names in os.walk(TOP):
        folders[:] = [name for name in folders if name not in foreign]
        found += [path for name in names if (path := Path(folder, name)).is_file() and name not in foreign]
    return found


def code(path: Path) -> str:
    """The text without comments of YAML and Jinja."""
    text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.S)
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def tasks(path: Path):
    """Every task of a file, those in blocks as well."""
    for task in load(path) or []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from task.get(part, [])


def test_there_are_roles():
    print(f"{len(ROLES)} roles: {', '.join(ROLES)}")
    assert len(ROLES) >= 9


@pytest.mark.parametrize("role", [role for role in ROLES if role != "xmpp"])
def test_the_spec_has_exactly_the_defaults_and_what_is_required(role):
    options = spec(role)["options"]
    required = {name for name, option in options.items() if option.get("required")}
    assert set(options) - required == set(defaults(role))
    assert not required & set(defaults(role))


def test_the_model_has_exactly_the_defaults_of_the_role_xmpp_and_what_is_required():
    required = {name for name, option in model().items() if option.get("required")}
    assert required == {"xmpp_domain", "xmpp_admins"}
    assert set(model()) == set(defaults("xmpp"))
    # The site requires them; a role on a host without XMPP does not.
    assert {name for name, value in defaults("xmpp").items() if value is None} == required


@pytest.mark.parametrize("role", [role for role in ROLES if role != "xmpp"])
def test_public_variables_bear_the_name_of_the_role(role):
    assert [name for name in defaults(role) if not name.startswith(f"{role}_")] == []
    internal = load(TOP / "roles" / role / "vars" / "main.yml") or {}
    assert [name for name in internal if not name.startswith(f"__{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_the_model_is_read_in_defaults_only(role):
    hits = [
        f"{path.relative_to(TOP)}: {hit}"
        for path in files(role, "tasks", "templates", "handlers", "vars")
        # The package of the programs on a host is called xmpp_host there.
        for hit in re.findall(r"\bxmpp_(?!host\b)[a-z_]+", code(path))
    ]
    assert hits == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_names_no_other_role_s_variables(role):
    others = {name for other in ROLES if other not in (role, "xmpp") for name in defaults(other)}
    others |= {
        name for other in ROLES if other != role for name in load(TOP / "roles" / other / "vars" / "main.yml") or {}
    }
    hits = [
        f"{path.relative_to(TOP)}: {name}"
        for path in files(role, "tasks", "templates", "handlers", "vars", "defaults")
        for name in set(re.findall(r"\b[a-z_]+\b", code(path))) & others
    ]
    assert hits == []


@pytest.mark.parametrize("role", [role for role in ROLES if role != "xmpp"])
def test_a_role_works_alone(role):
    dependencies = load(TOP / "roles" / role / "meta" / "main.yml")["dependencies"]
    assert dependencies == [{"role": "magicbroccoli.xmpp.xmpp"}]
    for path in files(role, "tasks", "handlers"):
        assert not re.search(r"(include|import)_role", path.read_text()), path


@pytest.mark.parametrize("role", ROLES)
def test_no_default_filter_on_inputs_and_no_set_fact(role):
    names = "|".join(defaults(role)) or "(?!)"
    for path in files(role, "tasks", "templates", "handlers", "vars"):
        assert not re.search(rf"\b({names})\b\s*\|\s*(default|d)\(", code(path)), path
        assert "set_fact" not in path.read_text(), path


@pytest.mark.parametrize("role", ROLES)
def test_facts_are_never_injected(role):
    for path in files(role, "tasks", "templates", "handlers", "vars", "defaults"):
        hits = re.findall(
            r"\bansible_(?:distribution|default_ipv|all_ipv|hostname|fqdn|os_family|memtotal)\w*", code(path)
        )
        assert hits == [], path


@pytest.mark.parametrize("role", ROLES)
def test_templates_are_placed_by_config_tree_and_nothing_else(role):
    """Every template's path is its destination, so no task may send one elsewhere."""
    for path in files(role, "tasks"):
        for task in tasks(path):
            assert not {"ansible.builtin.template", "ansible.builtin.copy"} & set(task), path
    placed = files(role, "templates")
    tops = {path.relative_to(TOP / "roles" / role / "templates").parts[0] for path in placed}
    assert tops <= {"etc", "usr", "var"}, tops
    if placed:
        assert any("magicbroccoli.xmpp.config_tree" in task for path in files(role, "tasks") for task in tasks(path))


@pytest.mark.parametrize("role", ROLES)
def test_attributes_are_for_files_that_are_there(role):
    """An entry for a template that was renamed would create nothing and protect nothing."""
    entries = (load(TOP / "roles" / role / "vars" / "main.yml") or {}).get(f"__{role}_files")
    if not isinstance(entries, dict):
        return
    root = TOP / "roles" / role / "templates"
    for destination, attributes in entries.items():
        if attributes and ({"content", "target"} & set(attributes) or attributes.get("state", "file") != "file"):
            continue
        path = root / destination.lstrip("/")
        assert path.exists() or path.with_name(path.name + ".j2").exists(), destination


@pytest.mark.parametrize("role", [role for role in ROLES if role != "xmpp"])
def test_packages_are_asked_for_once_and_do_not_start(role):
    for path in files(role, "tasks"):
        for task in tasks(path):
            # Our own waits for whoever uses apt, and starts no daemon.
            assert "ansible.builtin.apt" not in task, path
            if apt := task.get("magicbroccoli.xmpp.packages"):
                if apt.get("state") == "absent":
                    assert f"'{apt['name']}' in ansible_facts['host_state']['packages']" in task["when"]
                    continue
                condition = f"{role}_packages is magicbroccoli.xmpp.missing_on(ansible_facts['host_state'])"
                assert condition in str(task["when"])


def test_the_site_has_every_role_and_their_packages():
    (play,) = load(SITE)
    roles = play["vars"]["__site_roles"]
    assert sorted(roles) == [role for role in ROLES if role != "xmpp"]
    imports = [task for task in play["tasks"] if "ansible.builtin.import_role" in task]
    assert [task["ansible.builtin.import_role"]["name"] for task in imports] == [
        f"magicbroccoli.xmpp.{role}" for role in roles
    ]
    # Those after the task that installs the files of several roles at one go take them from it, and it leaves out the others.
    (together,) = [task for task in play["tasks"] if task not in imports]
    first = roles[: play["tasks"].index(together)]
    assert together["magicbroccoli.xmpp.config_tree"] == {"roles": f"{{{{ __site_chosen | difference({first}) }}}}"}
    for role, task in zip(roles, imports, strict=True):
        due = {f"__{role}_due": f"{{{{ '{role}' in __site_due }}}}"}
        installed = {f"__{role}_installed": f"{{{{ __site_files.{role} | default({{}}) }}}}"}
        assert task["vars"] == (due if role in first else due | installed)
    tasks_before = play["pre_tasks"]
    checks = [task["magicbroccoli.xmpp.check_inventory"] for task in tasks_before if "check_inventory" in str(task)]
    assert [check["roles"] for check in checks] == ["{{ __site_roles }}"] * 2
    (packages,) = [
        task["vars"]["__site_packages"] for task in tasks_before if "__site_packages" in task.get("vars", {})
    ]
    assert re.findall(r"\w+_packages", packages) == [f"{role}_packages" for role in roles]


def test_what_a_role_installs_at_one_go_with_others_is_what_it_installs_itself():
    (play,) = load(SITE)
    for role in play["vars"]["__site_roles"]:
        plan = load(TOP / "roles" / role / "vars" / "main.yml")[f"__{role}_plan"]
        for path in files(role, "tasks"):
            for task in tasks(path):
                given = task.get("magicbroccoli.xmpp.config_tree", {})
                if "installed" not in given:
                    continue
                assert given.pop("installed") == f"{{{{ __{role}_installed | default({{}}) }}}}"
                keys = [key for key in ("files", "programs", "validate_tree", "validate_live") if key in plan]
                assert given == {key: f"{{{{ __{role}_plan.{key} }}}}" for key in keys}, path


# What the site runs although nothing is to change, each for its reason.
RUNS_ALWAYS = {
    "Check the inventory": "a wrong one must be named before the host is asked",
    "Gather facts and check the Debian release": "the one call that asks the host",
    "Compare all roles with the host": "the one call that compares",
    "Apply pending handlers": "none is pending, which costs nothing",
    "Show what is left to do": "what only the operator can do",
    "End the run for this host": "so that no role is looked at",
}


def test_a_run_without_change_is_two_calls_to_the_host():
    """Each further task that runs is time that every operator waits for every day."""
    (play,) = load(SITE)
    always = [
        task["name"]
        for task in play["pre_tasks"] + play["tasks"] + play["post_tasks"]
        if "ansible.builtin.import_role" not in task or task in play["pre_tasks"]
        if not re.search(
            r"__site_due \| length > 0|__site_plan.changes \| length > 0|in __site_due|^ansible_check_mode$|^'xmpp-status.timer' not in|__site_survey|site_plan_only \| default\(false\)$|site_restore \| default\(false\)$",
            str(task.get("when", "")),
        )
        # A loop over nothing.
        and task.get("loop") != "{{ __site_plan.preflights }}"
    ]
    print(f"always: {always}")
    assert set(always) == set(RUNS_ALWAYS)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "xmpp"])
def test_a_role_ends_at_once_when_the_plan_has_nothing_for_it(role):
    first, *others = load(TOP / "roles" / role / "tasks" / "main.yml")
    assert first == {
        "name": "End the role when the site's plan has nothing for it",
        "ansible.builtin.meta": "end_role",
        "when": f"not __{role}_due | default(true)",
        "tags": "always",
    }
    # What must hold before anything changes; in the site, for all roles before the first of them.
    if (TOP / "roles" / role / "tasks" / "preflight.yml").exists():
        assert others[0] == {
            "name": "Check what must hold before anything changes",
            "ansible.builtin.include_tasks": "preflight.yml",
            "when": f"__{role}_due is not defined",
            "tags": "always",
        }


@pytest.mark.parametrize("role", [role for role in ROLES if role != "xmpp"])
def test_a_role_s_plan_has_what_its_tasks_bring(role):
    """What a task installs, creates, starts or stops and the plan lacks would not come back by a run of the site."""
    plan = load(TOP / "roles" / role / "vars" / "main.yml")[f"__{role}_plan"]
    assert set(plan) <= set(KEYS)
    assert plan["packages"] == f"{{{{ {role}_packages }}}}"
    for path in files(role, "tasks"):
        for task in tasks(path):
            # Files in sysusers.d make groups.
            assert "ansible.builtin.group" not in task, path
            if units := task.get("magicbroccoli.xmpp.units"):
                names = {"started": "units", "stopped": "units_off"}
                assert units == {key: f"{{{{ __{role}_plan.{names[key]} }}}}" for key in units}
                assert {names[key] for key in units} <= set(plan)
            # Other ways to start a service would be in no plan. Handlers restart what runs; config_tree reloads systemd.
            assert "ansible.builtin.systemd_service" not in task or path.stem == "run", path
    main = [
        task for name in ("main", "serve", "program") for task in tasks(TOP / "roles" / role / "tasks" / f"{name}.yml")
    ]
    trees = [tree for task in main if (tree := task.get("magicbroccoli.xmpp.config_tree"))]
    assert any(tree["files"][3:-3] == f"__{role}_plan.files" or tree["files"][3:-3] in plan["files"] for tree in trees)
    # Check mode validates what the plan has.
    assert {tree["validate_tree"] for tree in trees if "validate_tree" in tree} == (
        {f"{{{{ __{role}_plan.validate_tree }}}}"} if "validate_tree" in plan else set()
    )
    assert {key for key in ("units", "units_off") if key in plan} == {
        {"started": "units", "stopped": "units_off"}[key]
        for task in main
        for key in task.get("magicbroccoli.xmpp.units", {})
    }


def test_every_public_option_is_described():
    def undescribed(options: dict, where: str):
        for name, option in options.items():
            if not option.get("description") or not option.get("type"):
                yield f"{where}.{name}"
            yield from undescribed(option.get("options", {}), f"{where}.{name}")

    assert [hit for role in ROLES for hit in undescribed(spec(role)["options"], role)] == []
    assert list(undescribed(model(), "site")) == []


def test_the_project_names_no_registry_host():
    registries = re.compile(rb"(deb|security)\.debian\.org|pypi\.org|registry\.npmjs|galaxy\.ansible\.com")
    found = own_files()
    hits = [str(path.relative_to(TOP)) for path in found if registries.search(path.read_bytes())]
    print(f"{len(found)} files")
    assert len(found) > 500
    assert hits == []


# Daemons of packages that strangers reach, and the roles that configure them.
DAEMONS = {
    "bind": "named",
    "hardening": "ssh",
    "munin": "munin-node",
    "nginx": "nginx",
    "prosody": "prosody",
    "turn": "coturn",
}


def test_no_output_of_a_service_sets_a_priority_of_its_own():
    """Text of strangers ends up in it, and journald reads `<0>` at the beginning of a line unless it is told not to."""
    units = [
        path
        for role in ROLES
        for path in files(role, "templates")
        if re.search(r"/etc/systemd/system/[^/]+\.service(\.j2)?$", str(path))
        and path.name != "hardening-mounts.service.j2"
    ]
    assert len(units) >= 8
    for path in units:
        assert "\nSyslogLevelPrefix=no\n" in path.read_text(), path


@pytest.mark.parametrize("role", DAEMONS)
def test_no_daemon_fills_the_journal(role):
    (path,) = (TOP / "roles" / role / "templates/etc/systemd/system" / f"{DAEMONS[role]}.service.d").glob(
        "journal.conf*"
    )
    lines = path.read_text().splitlines()
    assert {"SyslogLevelPrefix=no", "LogRateLimitIntervalSec=30s", "LogRateLimitBurst=100"} <= set(lines)


def test_what_a_diff_conceals_no_message_shows():
    """A variable whose values are secret in a file is so where the inventory is checked, too.

    But for questions, whose messages say what is missing: a wrong answer is one that is empty.
    """
    names = {}
    for role in ROLES:
        entries = (load(TOP / "roles" / role / "vars" / "main.yml") or {}).get(f"__{role}_files")
        for attributes in entries.values() if isinstance(entries, dict) else ():
            conceals = attributes.get("conceals", []) if isinstance(attributes, dict) else []
            names |= dict.fromkeys(conceals, spec(role)["options"])
    print(f"concealed: {', '.join(names)}")

    def is_secret(option):
        return option.get("no_log") is True or any(map(is_secret, (option.get("options") or {}).values()))

    assert len(names) >= 3
    shown = [name for name, options in names.items() if not is_secret(options[name])]
    assert shown == ["prosody_registration_questions"]


HOST = TOP / "plugins" / "module_utils" / "host"
# A folder without a program is of the ground floor, too.
ROOMS = {path.parent.name for path in HOST.glob("*/main.py")}
GROUND = ({path.stem for path in HOST.glob("*.py")} | {path.parent.name for path in HOST.glob("*/__init__.py")}) - ROOMS


def imports_of(path: Path) -> set[tuple[str, ...]]:
    """What a file of the package imports of the package, as parts of a path below it."""
    here, found = path.relative_to(HOST).parts[:-1], set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*here[: len(here) - node.level + 1], *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                whole = (*base, alias.name)
                is_file = (HOST.joinpath(*whole).with_suffix(".py")).exists()
                found.add(whole if is_file else base)
    return found


def circle(arrows: dict) -> list | None:
    """A way along arrows that comes back to where it began, or nothing."""
    done: set = set()

    def walk(place, way):
        if place in way:
            return [*way[way.index(place) :], place]
        if place in done:
            return None
        for following in sorted(arrows.get(place, ())):
            if found := walk(following, [*way, place]):
                return found
        done.add(place)
        return None

    return next((found for place in sorted(arrows) if (found := walk(place, []))), None)


def test_the_package_on_the_host_imports_one_way():
    """The ground floor imports no room, a room no other one, nothing of Ansible, and nothing goes round in a circle."""
    arrows = {path.relative_to(HOST).with_suffix("").parts: imports_of(path) for path in HOST.rglob("*.py")}
    wrong = []
    for place, targets in arrows.items():
        for target in targets:
            room = target[0] if target and target[0] not in GROUND else None
            if room and (len(place) == 1 or place[0] != room):
                wrong.append(f"{'/'.join(place)} imports {'/'.join(target)}")
    for path in HOST.rglob("*.py"):
        if re.search(r"^\s*(from|import) ansible", path.read_text(), re.M):
            wrong.append(f"{path.relative_to(HOST)} imports Ansible")
    print(f"{len(arrows)} files, {sum(map(len, arrows.values()))} imports")
    assert wrong == [] and circle(arrows) is None
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def test_no_file_of_the_package_is_too_long():
    lengths = {str(path.relative_to(HOST)): len(path.read_text().splitlines()) for path in HOST.rglob("*.py")}
    print(sorted(lengths.items(), key=lambda item: -item[1])[:5])
    assert {name: number for name, number in lengths.items() if number > 400} == {}


# What only one file may do, and the files that do it another way for a reason.
ONE_HOME = {
    "runs programs": (
        r"subprocess\.run\(",
        "host/commands.py",
        # Validators' output is one text, in the order in which it came.
        {"config_tree_validators.py"},
    ),
    "asks for STARTTLS": (r"urn:ietf:params:xml:ns:xmpp-tls", "host/tls.py", set()),
    "speaks to Prosody's shell": (r"repl-input", "host/prosody.py", set()),
    "reads what dig prints": (r'\["dig"|->>HEADER<<-', "dig.py", set()),
}


@pytest.mark.parametrize("act", ONE_HOME)
def test_each_helper_has_one_home(act):
    pattern, home, excused = ONE_HOME[act]
    tree = TOP / "plugins" / "module_utils"
    found = {str(path.relative_to(tree)) for path in tree.rglob("*.py") if re.search(pattern, path.read_text())}
    print(f"{act}: {', '.join(sorted(found))}")
    assert home in found and found - {home} <= excused
    # A program in a role's templates imports it from there.
    if act != "runs programs":
        paths = [path for role in ROLES for path in files(role, "templates")]
        programs = [path for path in paths if re.match(rb"#!.*python", path.read_bytes()[:80])]
        assert [str(path.relative_to(TOP)) for path in programs if re.search(pattern, path.read_text())] == []


def numbers_in(path: Path) -> set[int]:
    """The numbers that a file has as values: in Python those of the code, elsewhere all but those in comments."""
    text = path.read_text()
    if path.suffix == ".py" or re.match(r"#!.*python", text):
        values = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        ranges = [value for value in values if isinstance(value, str) and re.fullmatch(r"\d+(-\d+)?", value)]
        return {value for value in values if type(value) is int} | {
            int(end) for one in ranges for end in one.split("-")
        }
    return {int(number) for number in re.findall(r"(?<![\w.-])\d{4,5}(?![\w.])", code(path))}


def test_there_is_one_table_of_ports():
    """A daemon, the firewall, the DNS and the self-test take a port from the same place."""
    table = TOP / "plugins" / "plugin_utils" / "services.py"
    # The last one is the greatest number of 16 bits, too.
    ports = {number for number in numbers_in(table) if 1023 < number < 65535}
    paths = [path for role in ROLES for path in files(role, "tasks", "templates", "handlers", "vars", "defaults")]
    paths += [path for path in (TOP / "plugins").rglob("*.py") if path != table]
    paths += (TOP / "playbooks").glob("*.yml")
    print(f"{len(paths)} files without {', '.join(map(str, sorted(ports)))}")
    assert {5222, 5223, 5269, 5270, 5280, 5349, 3478, 49152} <= ports
    assert {str(path.relative_to(TOP)): sorted(found) for path in paths if (found := numbers_in(path) & ports)} == {}


def test_host_meta_is_written_in_one_place():
    paths = [path for folder in ("plugins", "roles", "playbooks") for path in (TOP / folder).rglob("*")]
    texts = {path for path in paths if path.suffix in (".py", ".j2", ".yml") and "urn:xmpp:alt-" in path.read_text()}
    # The self-test reads it.
    texts -= {TOP / "plugins/module_utils/host/status/probes/web.py"}
    assert texts == {TOP / "plugins" / "plugin_utils" / "website.py"}
