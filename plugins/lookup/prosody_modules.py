# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Mapping

from ansible import constants as C
from ansible.errors import AnsibleLookupError
from ansible.module_utils.urls import open_url
from ansible.plugins.lookup import LookupBase
from ansible_collections.magicbroccoli.xmpp.plugins.plugin_utils.prosody_modules import (
    MOST_BYTES,
    checked,
    module_files,
    tree_checksum,
    unpacked,
)

DOCUMENTATION = r"""
name: prosody_modules
short_description: Files of Prosody's modules that no Debian package has
version_added: 0.1.0
author:
  - magicbroccoli contributors (@magicbroccoli)
description:
  - Reads modules out of archives or directories, on the controller, and only where the checksum is right. What is taken
    is a revision that somebody has looked at, and stays so.
  - An archive from a URL is kept below C(~/.ansible/magicbroccoli.xmpp) under the name of its checksum, so that it is
    fetched once.
options:
  _terms:
    description:
      - Dictionaries with C(source), C(sha256) and C(modules).
      - "C(source) (string): a URL, or a file or a directory on the controller; relative paths are looked for as
        P(ansible.builtin.file#lookup) does. An archive is a C(.tar.gz) or a C(.zip)."
      - "C(sha256) (string): the SHA-256 of the archive. Of a directory, what
        C(find -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum) prints in it."
      - "C(modules) (list of strings): the modules that are taken, without C(mod_)."
    type: list
    elements: dict
    required: true
  path:
    description: The folder on the host that they are for.
    type: path
    required: true
notes:
  - An archive of up to 64 MB is read; links in it are not followed.
"""

EXAMPLES = r"""
- name: Show the files of a module
  ansible.builtin.debug:
    msg: "{{ lookup('magicbroccoli.xmpp.prosody_modules', one, path='/usr/local/lib/prosody/elsewhere').keys() }}"
  vars:
    one:
      source: files/modules-2f1e.tar.gz
      sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      modules: [muc_limits]
"""

RETURN = r"""
_raw:
  description: One dictionary, of paths on the host to attributes, as M(magicbroccoli.xmpp.config_tree) takes them.
  type: list
  elements: dict
"""


class LookupModule(LookupBase):
    """Reads what is listed."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        path, files = self.get_option("path"), self.read(terms, variables)
        return [{f"{path}/{name}": {"content": text} for name, text in files.items()}]

    def read(self, terms, variables):
        """Path below the folder of modules to text."""
        files: dict[str, str] = {}
        for term in terms:
            for entry in term if isinstance(term, list) else [term]:
                if not isinstance(entry, Mapping):
                    raise AnsibleLookupError(f"{entry!r} is not a dictionary with 'source', 'sha256' and 'modules'")
                try:
                    source, sha256 = str(entry["source"]), str(entry["sha256"])
                    files |= module_files(self._files(source, sha256, variables), list(entry["modules"]), source)
                except ValueError as error:
                    raise AnsibleLookupError(str(error)) from error
                except OSError as error:
                    raise AnsibleLookupError(f"{source}: {error}") from error
                except KeyError as error:
                    raise AnsibleLookupError(f"{dict(entry)!r} lacks {error}") from error
        return files

    def _files(self, source, sha256, variables):
        if source.startswith(("https://", "http://")):
            return unpacked(self._fetched(source, sha256), source)
        path = self.find_file_in_search_path(variables, "files", source, ignore_missing=True)
        if not path:
            raise ValueError(f"{source}: there is no such file or directory on the controller")
        if not os.path.isdir(path):
            with open(path, "rb") as file:
                return unpacked(checked(file.read(MOST_BYTES + 1), sha256, source), source)
        files = {}
        for folder, _names, names in os.walk(path):
            for name in names:
                where = os.path.join(folder, name)
                if os.path.islink(where) or not os.path.isfile(where):
                    continue
                with open(where, "rb") as file:
                    files[os.path.relpath(where, path)] = file.read()
        found = tree_checksum(files)
        if found != sha256.lower():
            raise ValueError(
                f"{source}: the SHA-256 of its files is {found}, and not {sha256.lower()}; give the files that were "
                "reviewed, or write the checksum of the new ones"
            )
        return files

    @staticmethod
    def _fetched(source, sha256):
        kept = os.path.join(C.config.get_config_value("ANSIBLE_HOME"), "magicbroccoli.xmpp", sha256.lower())
        if os.path.exists(kept):
            with open(kept, "rb") as file:
                return checked(file.read(), sha256, kept)
        data = checked(open_url(source, timeout=60).read(MOST_BYTES + 1), sha256, source)
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        with open(kept + ".new", "wb") as file:
            file.write(data)
        os.replace(kept + ".new", kept)
        return data
