# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of which each is computed once, however many templates of one task use it.

Ansible computes a variable anew for each template that names it, and again for each variable that another one names. Values do
not change within a task, so that the first one holds for all. What Ansible keeps lazy values in is not public: where it is not
found, variables are computed as Ansible does, which is slower and gives the same.
"""

from __future__ import annotations

import copy
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any

try:
    from ansible._internal._templating import _lazy_containers as lazy
except ImportError:
    lazy = None


class Variables(Mapping):
    """The variables of a task, as they are written; `value` computes one.

    A template gets them by `with_own`, together with some of its own, on which no variable may depend.
    """

    def __init__(self, templar: Any, written: Mapping) -> None:
        self.written: dict[str, Any] = dict(written)
        self.own: dict[str, Any] = {}
        self.templar = templar.copy_with_new_env(available_variables={})
        self.templar.available_variables = self.known = self._computed_once()

    def _computed_once(self) -> Any:
        """What is written, as a dictionary that keeps what was computed, if this Ansible has one as we know it."""
        try:
            return lazy._AnsibleLazyTemplateDict(
                lazy._LazyValueSource(
                    source=((name, lazy._LazyValue(value)) for name, value in self.written.items()),
                    templar=self.templar._engine,
                    lazy_options=lazy.LazyOptions.DEFAULT,
                )
            )
        except (AttributeError, TypeError):
            return self.written

    def __getitem__(self, name: str) -> Any:
        return self.own[name] if name in self.own else self.written[name]

    def __iter__(self) -> Iterator[str]:
        return iter(ChainMap(self.own, self.written))

    def __len__(self) -> int:
        return len(ChainMap(self.own, self.written))

    def value(self, name: str) -> Any:
        """What a variable comes to. Raises what Ansible raises."""
        return self.templar.template(self[name])

    def below(self, own: Mapping) -> Variables:
        """The same with some for templates alone; what is computed counts for both."""
        found = copy.copy(self)
        found.own = {**self.own, **own}
        return found

    def changed(self, others: Mapping) -> Variables:
        """The same with other values for some, on which all others depend anew."""
        return Variables(self.templar, {**self.written, **others}).below(self.own)

    def with_own(self, own: Mapping) -> ChainMap:
        """What a template sees."""
        return ChainMap({**self.own, **own}, self.known)
