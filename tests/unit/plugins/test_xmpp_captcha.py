# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""xmpp-captcha keeps its folder full, of files that are whole. How they look is seen on a host."""

from pathlib import Path

import pytest
from programs import load_program

PROGRAM = Path(__file__).parents[3] / "roles/prosody/templates/usr/local/libexec/xmpp-captcha"


@pytest.fixture
def program():
    return load_program(PROGRAM)


def picture(text):
    return b"\x89PNG of " + text.encode()


def test_what_is_missing_is_made(program, tmp_path):
    assert program.fill(tmp_path, 5, picture) == 5
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name, content in files.items():
        text, _, rest = content.partition(b"\n")
        # register_page takes such names only.
        assert set(name) <= set("0123456789abcdef") and rest == picture(text.decode())
    assert program.fill(tmp_path, 5, picture) == 0
    next(tmp_path.iterdir()).unlink()
    assert program.fill(tmp_path, 5, picture) == 1
    assert program.fill(tmp_path, 4, picture) == 0
    assert len(list(tmp_path.iterdir())) == 5
    # What nobody has taken stays.
    assert len(files.keys() & {path.name for path in tmp_path.iterdir()}) == 4


def test_half_a_file_is_of_a_run_that_was_killed(program, tmp_path):
    (tmp_path / ".0f").write_bytes(b"AC")
    assert program.fill(tmp_path, 2, picture) == 2
    assert not list(tmp_path.glob(".*"))

    def fail(text):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        program.fill(tmp_path, 3, fail)
    assert len(list(tmp_path.iterdir())) == 2


def test_no_letter_looks_like_another(program):
    assert not set(program.LETTERS) & set("0BDGILOQSUVZ12568")
    made = {program.letters() for _ in range(200)}
    assert len(made) > 190
    assert {len(text) for text in made} == {program.LENGTH}
    assert set("".join(made)) == set(program.LETTERS)
