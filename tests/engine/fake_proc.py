"""A /proc of the test's own: processes as files, for what reads the real one."""

from pathlib import Path

WHOLE = "0 0 4294967295\n"
PRIVATE = "0 1879048192 65536\n65536 65536 1878982656\n2147352576 2147352576 2147614719\n"


class FakeProc:
    def __init__(self, root: Path) -> None:
        self.root = str(root)

    def add(
        self,
        pid: int,
        comm: str = "sleep",
        *,
        tid: int | None = None,
        cmdline: bytes = b"sleep\x00100\x00",
        parent: int = 1,
        state: str = "S",
        ticks: int = 0,
        start: int = 0,
        nice: int = 0,
        tty: int = 0,
        threads: int = 1,
        uid: int = 0,
        gid: int = 0,
        groups: str = "",
        rss: int = 1024,
        maps: str = WHOLE,
    ) -> None:
        """Sizes are KiB, times 1/100 s; tid makes a thread below the process."""
        folder = Path(self.root) / str(pid)
        if tid is not None:
            folder = folder / "task" / str(tid)
        folder.mkdir(parents=True)
        fields = {
            4: parent, 5: pid, 6: pid, 7: tty, 8: -1, 9: 0x400000, 14: ticks, 18: 20 + nice,
            19: nice, 20: threads, 22: start, 23: 4096 * 1024, 26: 4096, 27: 8192, 39: 1,
        }  # fmt: skip
        rest = " ".join(str(fields.get(number, 0)) for number in range(4, 53))
        (folder / "stat").write_text(f"{pid if tid is None else tid} ({comm}) {state} {rest}\n")
        (folder / "status").write_text(
            f"Name:\t{comm}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\n"
            f"Groups:\t{groups}\nVmLck:\t0 kB\nVmRSS:\t{rss} kB\n"
        )
        (folder / "cmdline").write_bytes(cmdline)
        (folder / "uid_map").write_text(maps)
        (folder / "gid_map").write_text(maps)
