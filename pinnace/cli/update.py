"""`update`: new limits for containers that exist."""

from __future__ import annotations

from pinnace.cli import quantities, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pinnace.cli.invocation import Invocation

_FIELDS = {
    "CpuShares": "cpu-shares",
    "Memory": "memory",
    "NanoCpus": "cpus",
    "BlkioWeight": "blkio-weight",
    "CpuPeriod": "cpu-period",
    "CpuQuota": "cpu-quota",
    "CpuRealtimePeriod": "cpu-rt-period",
    "CpuRealtimeRuntime": "cpu-rt-runtime",
    "CpusetCpus": "cpuset-cpus",
    "CpusetMems": "cpuset-mems",
    "MemoryReservation": "memory-reservation",
    "MemorySwap": "memory-swap",
}
# What the API's body has besides: nothing is said about these.
_UNSAID = {
    "CgroupParent": "",
    "BlkioWeightDevice": None,
    "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None,
    "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None,
    "Devices": None,
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemorySwappiness": None,
    "OomKillDisable": None,
    "Ulimits": None,
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
}


def update(invocation: Invocation) -> None:
    if not invocation.arguments.changed:
        raise Failure("you must provide one or more flags when using this command")
    from pinnace.cli import host_config

    policy = {"Name": "", "MaximumRetryCount": 0}
    if invocation["restart"]:
        try:
            policy = host_config.restart_policy(invocation["restart"])
        except ValueError as error:
            raise Failure(str(error)) from None
    body = {key: invocation[name] for key, name in _FIELDS.items()}
    body |= {**_UNSAID, "PidsLimit": invocation["pids-limit"] or None, "RestartPolicy": policy}
    if invocation["kernel-memory"]:
        body["KernelMemory"] = invocation["kernel-memory"]
    warnings: list[str] = []
    errors: list[str] = []
    for name in invocation.operands:
        try:
            answer = invocation.client.post(f"/containers/{name}/update", None, body)
        except DaemonError as error:
            errors.append(str(error))
            continue
        terminal.say(name)
        warnings += (answer or {}).get("Warnings") or ()
    if warnings:
        terminal.say("\n".join(warnings))
    if errors:
        raise Failure("\n".join(errors))


UPDATE = Command(
    "update",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Update configuration of one or more containers",
    update,
    (
        Option(
            "blkio-weight",
            "uint16",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
        ),
        Option("cpu-period", "int", "Limit CPU CFS (Completely Fair Scheduler) period"),
        Option("cpu-quota", "int", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        Option("cpu-rt-period", "int", "Limit the CPU real-time period in microseconds"),
        Option("cpu-rt-runtime", "int", "Limit the CPU real-time runtime in microseconds"),
        Option("cpu-shares", "int", "CPU shares (relative weight)", short="c"),
        Option("cpus", "decimal", "Number of CPUs", default=0),
        Option("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
        Option("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"),
        Option("kernel-memory", "bytes", "Kernel memory limit (deprecated)", hidden=True),
        Option("memory", "bytes", "Memory limit", short="m"),
        Option("memory-reservation", "bytes", "Memory soft limit"),
        Option(
            "memory-swap",
            "bytes",
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
            check=quantities.swap,
        ),
        Option("pids-limit", "int", "Tune container pids limit (set -1 for unlimited)"),
        Option("restart", "string", "Restart policy to apply when a container exits"),
    ),
    at_least=1,
    at_most=MANY,
    aliases=("container update", "update"),
)
