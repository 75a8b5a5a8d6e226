import os

import pytest

from pinnace.linux import cgroup, mount
from pinnace.linux.cgroup import V1, V2, Hierarchy, System

SEPARATE = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""
TOGETHER = """\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/net_cls,net_prio rw - cgroup cgroup rw,net_cls,net_prio
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset,clone_children,release_agent=/x
"""
UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
TWICE = """\
50 23 0:29 /docker/abc /mnt/part rw - cgroup cgroup rw,cpu
51 23 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
52 23 0:29 / /mnt/again rw - cgroup cgroup rw,cpu
"""


def hierarchies(text: str) -> list[Hierarchy]:
    return cgroup.hierarchies(mount._parse(line) for line in text.splitlines())


def machine(text: str) -> System:
    return cgroup.system(hierarchies(text))


def test_controllers_mounted_each_by_itself() -> None:
    assert hierarchies(SEPARATE) == [
        Hierarchy("/sys/fs/cgroup/cpu", ("cpu",), False),
        Hierarchy("/sys/fs/cgroup/memory", ("memory",), False),
        Hierarchy("/sys/fs/cgroup/systemd", ("name=systemd",), False),
        Hierarchy("/sys/fs/cgroup/unified", (), True),
    ]


def test_names_and_mount_options_of_hierarchies() -> None:
    found = [(each.name, each.options) for each in hierarchies(SEPARATE + TOGETHER)]

    assert ("memory", ("memory",)) in found
    assert ("systemd", ("none", "name=systemd")) in found
    assert ("unified", ()) in found


def test_controllers_mounted_together_are_one_hierarchy() -> None:
    system = machine(TOGETHER)

    assert [each.name for each in system.hierarchies] == [
        "cpu,cpuacct",
        "net_cls,net_prio",
        "cpuset",
    ]
    assert system.controllers["cpuacct"] == system.controllers["cpu"]
    assert system.controllers["cpuset"] == "/sys/fs/cgroup/cpuset"


def test_of_several_mounts_the_first_of_the_whole_tree_counts() -> None:
    assert hierarchies(TWICE) == [Hierarchy("/sys/fs/cgroup/cpu", ("cpu",), False)]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (SEPARATE, 1),
        (TOGETHER, 1),
        (UNIFIED, 2),
        (UNIFIED + SEPARATE.splitlines()[3] + "\n", 2),
    ],
    ids=["hybrid", "legacy", "unified", "unified and name=systemd"],
)
def test_the_version_is_one_as_soon_as_a_controller_is_with_it(text: str, version: int) -> None:
    system = machine(text)

    assert system.version == version
    assert isinstance(cgroup.on(system, "/x"), V1 if version == 1 else V2)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("/docker/abc", "/docker/abc"),
        ("//docker/./abc/", "/docker/abc"),
        ("/a..b/...", "/a..b/..."),
    ],
)
def test_paths_are_brought_to_one_form(given: str, normal: str) -> None:
    assert cgroup.normal(given) == normal


@pytest.mark.parametrize("path", ["", "/", "//./", "docker/abc", "/docker/../..", "/..", "/a\0b"])
def test_paths_that_could_leave_the_root_are_refused(path: str) -> None:
    with pytest.raises(OSError, match="not a cgroup below the root"):
        cgroup.normal(path)


def test_warming_moves_the_caller_to_where_it_is(tmp_path: os.PathLike[str]) -> None:
    root = os.fspath(tmp_path)
    os.makedirs(f"{root}/cpu/here")
    open(f"{root}/cpu/here/cgroup.procs", "w").close()
    mounts = {"memory": f"{root}/memory", "cpu": f"{root}/cpu", "cpuacct": f"{root}/cpu"}

    cgroup._stay(mounts, "9:name=systemd:/\n4:memory:/not/visible\n1:cpu,cpuacct:/here\n0::/\n")

    with open(f"{root}/cpu/here/cgroup.procs") as file:
        assert file.read() == str(os.getpid())


@pytest.mark.root
def test_the_machines_own_hierarchies_are_found_once() -> None:
    system = cgroup.detect()

    assert system is cgroup.detect()
    assert system.version in (1, 2)
    for hierarchy in system.hierarchies:
        assert os.path.exists(f"{hierarchy.target}/cgroup.procs")
