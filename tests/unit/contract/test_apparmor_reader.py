# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scenario hardening believes of profiles and traces: a rule read too widely would hide what a kernel refuses."""

import pytest
from apparmor import Profile, accesses

PROFILE = Profile("""
@{HOMEDIRS}=/home/ /srv/home/
@{HOME}=@{HOMEDIRS}/*/ /root/
profile some /usr/bin/some flags=(attach_disconnected) {
  capability net_bind_service,
  network inet stream,
  /etc/some.conf r,
  /var/lib/some/** rwk,
  deny /var/lib/some/keys/* w,
  owner @{HOME}/.some rw,
  /usr/lib/@{multiarch}/*.so* mr,
  /usr/bin/{ls,cat} ix,
  "/etc/with space" r,
  audit /etc/[ab]?.d/ r,
}
profile not_this /usr/bin/other {
}
""")


@pytest.mark.parametrize(
    ("path", "permission", "allowed"),
    [
        ("/etc/some.conf", "r", True),
        ("/etc/some.conf", "w", False),
        ("/etc/some.conf.old", "r", False),
        ("/etc/someXconf", "r", False),
        ("/var/lib/some/a/b", "w", True),
        ("/var/lib/some/a/b", "k", True),
        ("/var/lib/some/a/b", "x", False),
        ("/var/lib/some", "r", False),
        ("/var/lib/some/", "r", False),
        ("/var/lib/some/a/", "r", True),
        ("/var/lib/some/keys/1", "r", True),
        ("/var/lib/some/keys/1", "w", False),
        ("/var/lib/some/keys/1/2", "w", True),
        ("/home/oak/.some", "w", True),
        ("/srv/home/oak/.some", "r", True),
        ("/root/.some", "r", True),
        ("/home/oak/x/.some", "r", False),
        ("/usr/lib/x/y.so", "m", False),
        ("/usr/bin/cat", "x", True),
        ("/usr/bin/cats", "x", False),
        ("/etc/a1.d/", "r", True),
        ("/etc/c1.d/", "r", False),
        ("/etc/a/.d/", "r", False),
    ],
)
def test_a_profile(path, permission, allowed):
    assert PROFILE.program == "/usr/bin/some"
    assert PROFILE.allows(path, permission) is allowed


def test_a_trace():
    """Of the named programs and what they start; what failed was not done."""
    trace = r"""
10 execve("/usr/bin/other", ["other"], 0x1 /* 1 vars */) = 0
10 openat(AT_FDCWD</>, "/etc/passwd", O_RDONLY) = 3</etc/passwd>
20 execve("/usr/bin/some", ["some"], 0x1 /* 1 vars */) = 0
20 openat(AT_FDCWD</>, "/etc/some.conf", O_RDONLY|O_CLOEXEC) = 3</etc/some.conf>
20 openat(AT_FDCWD</>, "/etc/missing", O_RDONLY) = -1 ENOENT (No such file or directory)
20 openat(AT_FDCWD</>, "/var/lib/some", O_RDONLY|O_DIRECTORY) = 4</var/lib/some>
20 openat(4</var/lib/some>, "new", O_RDWR|O_CREAT, 0600) = 5</var/lib/some/new>
20 mmap(NULL, 8, PROT_READ|PROT_EXEC, MAP_PRIVATE, 3</usr/lib/x.so>, 0) = 0x7f00
20 mmap(NULL, 8, PROT_READ, MAP_PRIVATE, 3</usr/lib/y.so>, 0) = 0x7f01
20 fcntl(5</var/lib/some/new>, F_SETLK, {l_type=F_WRLCK}) = 0
20 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 21
21 chdir("/var/lib/some") = 0
21 unlink("new" <unfinished ...>
20 rename("/var/lib/some/a", "/var/lib/some/b") = 0
21 <... unlink resumed>) = 0
20 unlinkat(4</var/lib/some>, "c", 0) = 0
20 link("/var/lib/some/b", "/var/lib/some/d") = 0
20 connect(6<UNIX-STREAM:[1]>, {sa_family=AF_UNIX, sun_path="/run/some.sock"}, 20) = 0
21 execve("/usr/bin/ls", ["ls"], 0x1 /* 1 vars */) = 0
21 openat(AT_FDCWD</var/lib/some>, "x", O_PATH) = 3</var/lib/some/x>
21 openat(AT_FDCWD</var/lib/some>, "y", O_WRONLY) = 3</var/lib/some/y (deleted)>
"""
    found = accesses(trace, {"/usr/bin/some": "some"})
    assert {name for name, _path, _permission in found} == {"some"}
    assert sorted((path, permission) for _name, path, permission in found) == [
        ("/etc/some.conf", "r"),
        ("/run/some.sock", "w"),
        ("/usr/bin/ls", "x"),
        ("/usr/lib/x.so", "m"),
        ("/var/lib/some/", "r"),
        ("/var/lib/some/a", "w"),
        ("/var/lib/some/b", "w"),
        ("/var/lib/some/c", "w"),
        ("/var/lib/some/d", "l"),
        ("/var/lib/some/new", "k"),
        ("/var/lib/some/new", "r"),
        ("/var/lib/some/new", "w"),
    ]
