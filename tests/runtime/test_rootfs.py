import os
from pathlib import Path

import pytest

from pinnace.linux import mount
from pinnace.linux.mount import Option
from pinnace.oci import spec
from pinnace.runtime import rootfs


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], rootfs.Options()),
        (["ro"], rootfs.Options(set=mount.MOUNT_ATTR_RDONLY)),
        (["ro", "rw"], rootfs.Options(clear=mount.MOUNT_ATTR_RDONLY)),
        (["exec", "noexec"], rootfs.Options(set=mount.MOUNT_ATTR_NOEXEC)),
        (["rro"], rootfs.Options(set_all=mount.MOUNT_ATTR_RDONLY)),
        (["rnosuid", "rsuid"], rootfs.Options(clear_all=mount.MOUNT_ATTR_NOSUID)),
        (["rbind"], rootfs.Options(bind=True, recursive=True)),
        (["bind"], rootfs.Options(bind=True)),
        (["rslave"], rootfs.Options(propagation=(mount.MS_SLAVE | mount.MS_REC,))),
        (["shared", "private"], rootfs.Options(propagation=(mount.MS_SHARED, mount.MS_PRIVATE))),
        (["size=64k", "newinstance"],
         rootfs.Options(data=(Option("size", "64k"), Option("newinstance", None)))),
        (["tmpcopyup", "relatime", "defaults"], rootfs.Options(copy_up=True)),
    ],
    ids=lambda value: ",".join(value) or "none" if isinstance(value, list) else "",
)  # fmt: skip
def test_options_are_sorted(words: list[str], expected: rootfs.Options) -> None:
    assert rootfs.options(words) == expected


def test_an_r_before_a_word_of_the_file_system_is_part_of_it() -> None:
    assert rootfs.options(["rsize=4096"]).data == (Option("rsize", "4096"),)


MOUNTS = [
    spec.Mount(destination="/proc", type="proc", source="proc"),
    spec.Mount(destination="/dev", type="tmpfs", source="tmpfs", options=["mode=755"]),
    spec.Mount(destination="/data", source="/srv", options=["rbind", "ro"]),
    spec.Mount(destination="/sys/fs/cgroup", type="cgroup", options=["ro"]),
]


def test_the_plan_keeps_the_specifications_order() -> None:
    steps = rootfs.plan(MOUNTS, cgroup_v1=False)

    assert [step.describe() for step in steps] == [
        "mount proc to /proc", "mount to /dev", "mount to /data",
        "mount cgroup2 to /sys/fs/cgroup",
    ]  # fmt: skip
    assert rootfs.from_host(MOUNTS) == [1, 2]


def test_v1_has_a_mount_for_each_hierarchy() -> None:
    assert isinstance(rootfs.plan(MOUNTS, cgroup_v1=True)[-1], rootfs.CgroupTree)


def test_what_is_staged_is_left_out_and_numbers_stay() -> None:
    steps = rootfs.plan(MOUNTS, cgroup_v1=False, first=2)

    assert steps[0] == rootfs.Attach("/data", 2) and len(steps) == 2


def test_restrictions_mask_before_they_freeze() -> None:
    steps = rootfs.restrictions(["/proc/kcore"], ["/proc/sys"])

    assert steps == [rootfs.Mask("/proc/kcore"), rootfs.Freeze("/proc/sys")]


def test_a_mount_that_is_not_at_hand_is_asked_for() -> None:
    tree = rootfs.Tree(-1, {2: 20}, ask=lambda number: 100 + number)

    assert [tree.take(2), tree.take(2), tree.take(5)] == [20, 102, 105]


def test_a_failing_step_says_what_it_is() -> None:
    class Step:
        def describe(self) -> str:
            return "mount x to /y"

        def perform(self, tree: rootfs.Tree) -> None:
            raise OSError(22, "Invalid argument")

    with pytest.raises(rootfs.StepFailed, match="mount x to /y: Invalid argument"):
        rootfs.perform([Step()], rootfs.Tree(-1, {}))


@pytest.mark.root
def test_masks_hide_what_is_there_and_skip_what_is_not(tmp_path: Path) -> None:
    from pinnace.linux import syscall
    from tests.linux import child

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/secret").touch()
    (tmp_path / "file").write_text("secret")
    (tmp_path / "frozen").mkdir()

    def restricted() -> tuple[list[str], str, bool]:
        mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
        tree = rootfs.Tree(os.open(tmp_path, os.O_PATH), {})
        steps = rootfs.restrictions(["/folder", "/file", "/nowhere", "/file/below"], ["/frozen"])
        rootfs.perform(steps, tree)
        try:
            (tmp_path / "frozen/x").touch()
        except OSError:
            return os.listdir(tmp_path / "folder"), (tmp_path / "file").read_text(), True
        return [], "", False

    assert child.call(restricted, flags=syscall.CLONE_NEWNS) == ([], "", True)


@pytest.mark.root
def test_copy_up_brings_what_the_image_has(tmp_path: Path) -> None:
    from pinnace.linux import syscall
    from tests.linux import child

    (tmp_path / "run/below").mkdir(parents=True)
    (tmp_path / "run").chmod(0o711)
    (tmp_path / "run/below/file").write_text("text")
    os.chown(tmp_path / "run/below/file", 5, 6)
    (tmp_path / "run/link").symlink_to("below")

    def copied() -> tuple[object, ...]:
        mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
        entry = spec.Mount(destination="/run", type="tmpfs", options=["tmpcopyup"])
        tree = rootfs.Tree(os.open(tmp_path, os.O_PATH), {})
        rootfs.perform(rootfs.plan([entry], cgroup_v1=False), tree)
        (tmp_path / "run/only-inside").touch()
        info = os.stat(tmp_path / "run/below/file")
        text, link = (tmp_path / "run/below/file").read_text(), os.readlink(tmp_path / "run/link")
        return text, link, (info.st_uid, info.st_gid), os.stat(tmp_path / "run").st_mode & 0o777

    assert child.call(copied, flags=syscall.CLONE_NEWNS) == ("text", "below", (5, 6), 0o711)
    assert not (tmp_path / "run/only-inside").exists()
