"""Boot the microVM, run pytest in it, end as pytest ended."""

import sys
from pathlib import Path

from tests.vm import image, machine, packages

WORK = Path(__file__).resolve().parents[2] / "build" / "vm"

# Resources and lives: what depends on the version of cgroups and on the kernel's.
DEFAULT = (
    "tests/contracts",
    "tests/linux",
    "tests/runtime",
    "tests/supervisor",
    "tests/e2e/test_runtime_command.py",
    "tests/e2e/test_lifecycle.py",
    "tests/e2e/test_run_flags.py",
    "tests/e2e/test_exec.py",
    "tests/e2e/test_exit_codes.py",
    "tests/e2e/test_stop.py",
    "tests/e2e/test_survival.py",
    "tests/e2e/test_restart.py",
)


def main(arguments: list[str]) -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    kernel = packages.kernel(WORK)
    qemu = packages.qemu(WORK)
    root = image.root(WORK, kernel, arguments or list(DEFAULT))
    return machine.run(qemu, kernel, image.initramfs(WORK, kernel), root)


sys.exit(main(sys.argv[1:]))
