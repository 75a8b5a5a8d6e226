"""The options of `run` and `create`: one row each, as Docker has them."""

from __future__ import annotations

from pinnace.cli import quantities, specifications
from pinnace.cli.arguments import Option

# What becomes the container's configuration; `run` and `create` share all of it.
CONTAINER = (
    Option(
        "add-host",
        "list",
        "Add a custom host-to-IP mapping (host:ip)",
        check=specifications.extra_host,
    ),
    Option(
        "annotation",
        "map",
        "Add an annotation to the container (passed through to the OCI runtime) (default map[])",
    ),
    Option(
        "attach",
        "list",
        "Attach to STDIN, STDOUT or STDERR",
        short="a",
        check=specifications.attached,
    ),
    Option(
        "blkio-weight",
        "uint16",
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    Option(
        "blkio-weight-device",
        "list",
        "Block IO weight (relative device weight) (default [])",
        check=specifications.weight_device,
    ),
    Option("cap-add", "list", "Add Linux capabilities"),
    Option("cap-drop", "list", "Drop Linux capabilities"),
    Option("cgroup-parent", "string", "Optional parent cgroup for the container"),
    Option(
        "cgroupns",
        "string",
        "Cgroup namespace to use (host|private)\n"
        "'host':    Run the container in the Docker host's cgroup namespace\n"
        "'private': Run the container in its own private cgroup namespace\n"
        "'':        Use the cgroup namespace as configured by the\n"
        "           default-cgroupns-mode option on the daemon (default)",
    ),
    Option("cidfile", "string", "Write the container ID to the file"),
    Option("cpu-count", "int", "CPU count (Windows only)", hidden=True),
    Option("cpu-percent", "int", "CPU percent (Windows only)", hidden=True),
    Option("cpu-period", "int", "Limit CPU CFS (Completely Fair Scheduler) period"),
    Option("cpu-quota", "int", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Option("cpu-rt-period", "int", "Limit CPU real-time period in microseconds"),
    Option("cpu-rt-runtime", "int", "Limit CPU real-time runtime in microseconds"),
    Option("cpu-shares", "int", "CPU shares (relative weight)", short="c"),
    Option("cpus", "decimal", "Number of CPUs", default=0),
    Option("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
    Option("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"),
    Option("device", "list", "Add a host device to the container"),
    Option(
        "device-cgroup-rule",
        "list",
        "Add a rule to the cgroup allowed devices list",
        check=specifications.device_rule,
    ),
    Option(
        "device-read-bps",
        "list",
        "Limit read rate (bytes per second) from a device (default [])",
        check=specifications.byte_rate,
    ),
    Option(
        "device-read-iops",
        "list",
        "Limit read rate (IO per second) from a device (default [])",
        check=specifications.operation_rate,
    ),
    Option(
        "device-write-bps",
        "list",
        "Limit write rate (bytes per second) to a device (default [])",
        check=specifications.byte_rate,
    ),
    Option(
        "device-write-iops",
        "list",
        "Limit write rate (IO per second) to a device (default [])",
        check=specifications.operation_rate,
    ),
    Option("disable-content-trust", "bool", "Skip image verification (default true)", default=True),
    Option("dns", "list", "Set custom DNS servers", check=specifications.ip_address),
    Option("dns-opt", "list", "Set DNS options", key="dns-option", hidden=True),
    Option("dns-option", "list", "Set DNS options"),
    Option("dns-search", "list", "Set custom DNS search domains", check=specifications.domain),
    Option("domainname", "string", "Container NIS domain name"),
    Option("entrypoint", "string", "Overwrite the default ENTRYPOINT of the image"),
    Option("env", "list", "Set environment variables", short="e", check=specifications.variable),
    Option("env-file", "list", "Read in a file of environment variables"),
    Option("expose", "list", "Expose a port or a range of ports"),
    Option(
        "gpus",
        "gpu-request",
        "GPU devices to add to the container ('all' to pass all GPUs)",
        check=specifications.gpus,
    ),
    Option("group-add", "list", "Add additional groups to join"),
    Option("health-cmd", "string", "Command to run to check health"),
    Option(
        "health-interval",
        "duration",
        "Time between running the check (ms|s|m|h) (default 0s)",
    ),
    Option("health-retries", "int", "Consecutive failures needed to report unhealthy"),
    Option(
        "health-start-interval",
        "duration",
        "Time between running the check during the start period (ms|s|m|h) (default 0s)",
    ),
    Option(
        "health-start-period",
        "duration",
        "Start period for the container to initialize before starting health-retries countdown"
        " (ms|s|m|h) (default 0s)",
    ),
    Option(
        "health-timeout",
        "duration",
        "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
    ),
    Option("help", "bool", "Print usage"),
    Option("hostname", "string", "Container host name", short="h"),
    Option(
        "init",
        "bool",
        "Run an init inside the container that forwards signals and reaps processes",
    ),
    Option("interactive", "bool", "Keep STDIN open even if not attached", short="i"),
    Option(
        "io-maxbandwidth",
        "bytes",
        "Maximum IO bandwidth limit for the system drive (Windows only)",
        hidden=True,
    ),
    Option(
        "io-maxiops",
        "uint",
        "Maximum IOps limit for the system drive (Windows only)",
        hidden=True,
    ),
    Option("ip", "string", "IPv4 address (e.g., 172.30.100.104)"),
    Option("ip6", "string", "IPv6 address (e.g., 2001:db8::33)"),
    Option("ipc", "string", "IPC mode to use"),
    Option("isolation", "string", "Container isolation technology"),
    Option("kernel-memory", "bytes", "Kernel memory limit"),
    Option("label", "list", "Set meta data on a container", short="l", check=specifications.label),
    Option("label-file", "list", "Read in a line delimited file of labels"),
    Option("link", "list", "Add link to another container", check=specifications.link),
    Option("link-local-ip", "list", "Container IPv4/IPv6 link-local addresses"),
    Option("log-driver", "string", "Logging driver for the container"),
    Option("log-opt", "list", "Log driver options"),
    Option("mac-address", "string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Option("memory", "bytes", "Memory limit", short="m"),
    Option("memory-reservation", "bytes", "Memory soft limit"),
    Option(
        "memory-swap",
        "bytes",
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        check=quantities.swap,
    ),
    Option(
        "memory-swappiness",
        "int",
        "Tune container memory swappiness (0 to 100) (default -1)",
        default=-1,
    ),
    Option(
        "mount", "mount", "Attach a filesystem mount to the container", check=specifications.mount
    ),
    Option("net", "network", "", key="network", hidden=True, check=specifications.network),
    Option("net-alias", "list", "", key="network-alias", hidden=True),
    Option("network", "network", "Connect a container to a network", check=specifications.network),
    Option("network-alias", "list", "Add network-scoped alias for the container"),
    Option("no-healthcheck", "bool", "Disable any container-specified HEALTHCHECK"),
    Option("oom-kill-disable", "bool", "Disable OOM Killer"),
    Option("oom-score-adj", "int", "Tune host's OOM preferences (-1000 to 1000)"),
    Option("pid", "string", "PID namespace to use"),
    Option("pids-limit", "int", "Tune container pids limit (set -1 for unlimited)"),
    Option("platform", "string", "Set platform if server is multi-platform capable"),
    Option("privileged", "bool", "Give extended privileges to this container"),
    Option("publish", "list", "Publish a container's port(s) to the host", short="p"),
    Option("publish-all", "bool", "Publish all exposed ports to random ports", short="P"),
    Option("read-only", "bool", "Mount the container's root filesystem as read only"),
    Option(
        "restart",
        "string",
        'Restart policy to apply when a container exits (default "no")',
        default="no",
    ),
    Option(
        "rm",
        "bool",
        "Automatically remove the container and its associated anonymous volumes when it exits",
    ),
    Option("runtime", "string", "Runtime to use for this container"),
    Option("security-opt", "list", "Security Options"),
    Option("shm-size", "bytes", "Size of /dev/shm"),
    Option("stop-signal", "string", "Signal to stop the container"),
    Option("stop-timeout", "int", "Timeout (in seconds) to stop a container"),
    Option("storage-opt", "list", "Storage driver options for the container"),
    Option("sysctl", "map", "Sysctl options (default map[])", check=specifications.sysctl),
    Option("tmpfs", "list", "Mount a tmpfs directory"),
    Option("tty", "bool", "Allocate a pseudo-TTY", short="t"),
    Option("ulimit", "ulimit", "Ulimit options (default [])", check=specifications.ulimit),
    Option("use-api-socket", "bool", "Bind mount Docker API socket and required auth"),
    Option("user", "string", "Username or UID (format: <name|uid>[:<group|gid>])", short="u"),
    Option("userns", "string", "User namespace to use"),
    Option("uts", "string", "UTS namespace to use"),
    Option("volume", "list", "Bind mount a volume", short="v"),
    Option("volume-driver", "string", "Optional volume driver for the container"),
    Option("volumes-from", "list", "Mount volumes from the specified container(s)"),
    Option("workdir", "string", "Working directory inside the container", short="w"),
    Option("name", "string", "Assign a name to the container"),
)

CREATE = (
    *CONTAINER,
    Option(
        "pull",
        "string",
        'Pull image before creating ("always", "|missing", "never") (default "missing")',
        default="missing",
    ),
    Option("quiet", "bool", "Suppress the pull output", short="q"),
)

RUN = (
    *CONTAINER,
    Option("detach", "bool", "Run container in background and print container ID", short="d"),
    Option("detach-keys", "string", "Override the key sequence for detaching a container"),
    Option(
        "pull",
        "string",
        'Pull image before running ("always", "missing", "never") (default "missing")',
        default="missing",
    ),
    Option("quiet", "bool", "Suppress the pull output", short="q"),
    Option(
        "sig-proxy", "bool", "Proxy received signals to the process (default true)", default=True
    ),
)
