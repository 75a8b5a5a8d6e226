"""`network create|ls|rm|connect|disconnect|prune`."""

from __future__ import annotations

from pinnace.cli import format, specifications, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError, Unreachable
from pinnace.cli.container import _natural, confirm
from pinnace.cli.ps import TABLE_FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Row = dict[str, Any]


def list_all(invocation: Invocation) -> None:
    layout = invocation["format"]
    quiet = invocation["quiet"]
    if not layout and not quiet:
        layout = invocation.config.text("networksFormat")
    rows = invocation.client.get("/networks", {"filters": invocation["filter"] or None})
    rows = sorted(rows or (), key=lambda row: _natural(row["Name"]))
    view = _view(whole=invocation["no-trunc"])
    if quiet and layout in ("", "table"):
        terminal.write(format.quiet(rows, view.fields["ID"]))
        return
    raw = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"
    terminal.write(format.render(raw if layout == "raw" else layout, rows, view))


def _view(*, whole: bool) -> format.View:
    fields: dict[str, Callable[..., Any]] = {
        "ID": lambda row: row["Id"] if whole else format.short_id(row["Id"]),
        "Name": lambda row: row["Name"],
        "Driver": lambda row: row["Driver"],
        "Scope": lambda row: row["Scope"],
        "IPv4": lambda row: format.yes(row.get("EnableIPv4", True)),
        "IPv6": lambda row: format.yes(row.get("EnableIPv6", False)),
        "Internal": lambda row: format.yes(row.get("Internal", False)),
        "Labels": lambda row: format.labels(row.get("Labels")),
        "Label": lambda row, name: (row.get("Labels") or {}).get(name, ""),
        "CreatedAt": lambda row: _created(row["Created"]),
    }
    headers = {
        "ID": "NETWORK ID",
        "Name": "NAME",
        "Driver": "DRIVER",
        "Scope": "SCOPE",
        "IPv4": "IPV4",
        "IPv6": "IPV6",
        "Internal": "INTERNAL",
        "Labels": "LABELS",
        "CreatedAt": "CREATED AT",
    }
    columns = ("ID", "Name", "Driver", "Scope")
    return format.View("*network.networkContext", fields, headers, columns)


def _created(text: str) -> str:
    """An RFC 3339 time as Go prints it."""
    if text.endswith("Z"):
        return f"{text[:10]} {text[11:-1]} +0000 UTC"
    return f"{text[:10]} {text[11:-6]} {text[-6:-3]}{text[-2:]} {text[-6:-3]}{text[-2:]}"


def create(invocation: Invocation) -> None:
    arguments = invocation.arguments
    labels = (text.partition("=") for text in invocation["label"])
    try:
        ipam = ipam_config(
            invocation["subnet"],
            invocation["ip-range"],
            invocation["gateway"],
            invocation["aux-address"],
        )
    except ValueError as error:
        raise Failure(str(error)) from None
    body: Row = {
        "Driver": invocation["driver"],
        "Scope": invocation["scope"],
        "IPAM": {
            "Driver": invocation["ipam-driver"],
            "Options": invocation["ipam-opt"],
            "Config": ipam,
        },
        "Internal": invocation["internal"],
        "Attachable": invocation["attachable"],
        "Ingress": invocation["ingress"],
        "ConfigOnly": invocation["config-only"],
        "ConfigFrom": {"Network": invocation["config-from"]} if invocation["config-from"] else None,
        "Options": invocation["opt"],
        "Labels": {key: value for key, _, value in labels},
        "Name": invocation.operands[0],
    }
    for key, name in (("EnableIPv4", "ipv4"), ("EnableIPv6", "ipv6")):
        if name in arguments.changed:
            body[key] = invocation[name]
    terminal.say(invocation.client.post("/networks/create", None, body)["Id"])


def ipam_config(
    subnets: list[str], ranges: list[str], gateways: list[str], auxiliary: dict[str, str]
) -> list[Row]:
    """Each subnet with the range, the gateway and the addresses that lie in it."""
    if len(subnets) < max(len(ranges), len(gateways)):
        raise ValueError("every ip-range or gateway must have a corresponding subnet")
    found: dict[str, Row] = {}
    for subnet in subnets:
        if any(_contains(subnet, each) or _contains(each, subnet) for each in found):
            raise ValueError("multiple overlapping subnet configuration is not supported")
        found[subnet] = {"Subnet": subnet}
    for key, several, one, values in (
        ("IPRange", "ranges", "range", ranges),
        ("Gateway", "gateways", "gateway", gateways),
    ):
        for value in values:
            home = _home(subnets, value, one)
            before = found[home].get(key)
            if before:
                where = "on the same" if key == "IPRange" else "for the same"
                raise ValueError(
                    f"cannot configure multiple {several} ({value}, {before}) {where} "
                    f"subnet ({home})"
                )
            found[home][key] = value
    for name, value in auxiliary.items():
        home = _home(subnets, value, "aux-address")
        found[home].setdefault("AuxiliaryAddresses", {})[name] = value
    return list(found.values())


def _home(subnets: list[str], value: str, what: str) -> str:
    for subnet in subnets:
        if _contains(subnet, value):
            return subnet
    raise ValueError(f"no matching subnet for {what} {value}")


def _contains(subnet: str, value: str) -> bool:
    import ipaddress

    try:
        network = ipaddress.ip_network(subnet, strict=False)
    except ValueError:
        raise ValueError(f"invalid subnet: invalid CIDR address: {subnet}") from None
    try:
        address = ipaddress.ip_interface(value).ip
    except ValueError:
        if "/" in value:
            raise ValueError(f"invalid CIDR address: {value}") from None
        return False
    return address in network


def connect(invocation: Invocation) -> None:
    network, container = invocation.operands
    try:
        options = dict(_driver_option(text) for text in invocation["driver-opt"])
    except ValueError as error:
        raise Failure(str(error)) from None
    ipam = {
        "IPv4Address": invocation["ip"],
        "IPv6Address": invocation["ip6"],
        "LinkLocalIPs": invocation["link-local-ip"],
    }
    from pinnace.cli import endpoints

    wanted = endpoints.Network(network)
    wanted.links, wanted.aliases = invocation["link"], invocation["alias"]
    wanted.priority = invocation["gw-priority"]
    settings = endpoints.endpoint(wanted)
    settings["IPAMConfig"] = {key: value for key, value in ipam.items() if value}
    settings["DriverOpts"] = options
    settings["Aliases"] = invocation["alias"]
    body = {"Container": container, "EndpointConfig": settings}
    invocation.client.post(f"/networks/{network}/connect", None, body)


def _driver_option(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ValueError("invalid key/value pair format in driver options")
    return key.strip(), value.strip()


def disconnect(invocation: Invocation) -> None:
    network, container = invocation.operands
    body = {"Container": container, "Force": invocation["force"]}
    invocation.client.post(f"/networks/{network}/disconnect", None, body)


def remove(invocation: Invocation) -> int:
    status = 0
    for name in invocation.operands:
        try:
            invocation.client.delete(f"/networks/{name}")
        except (DaemonError, Unreachable) as error:
            if invocation["force"] and isinstance(error, DaemonError) and error.status == 404:
                continue
            terminal.warn(str(error))
            status = 1
            continue
        terminal.say(name)
    return status


def prune(invocation: Invocation) -> None:
    warning = "WARNING! This will remove all custom networks not used by at least one container."
    if not invocation["force"] and not confirm(warning):
        return
    done = invocation.client.post("/networks/prune", {"filters": invocation["filter"] or None})
    names = (done or {}).get("NetworksDeleted")
    if names:
        terminal.say("Deleted Networks:\n" + "".join(f"{name}\n" for name in names))


CREATE = Command(
    "create",
    "[OPTIONS] NETWORK",
    "Create a network",
    create,
    (
        Option("attachable", "bool", "Enable manual container attachment"),
        Option(
            "aux-address",
            "map",
            "Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])",
        ),
        Option("config-from", "string", "The network from which to copy the configuration"),
        Option("config-only", "bool", "Create a configuration only network"),
        Option(
            "driver",
            "string",
            'Driver to manage the Network (default "bridge")',
            short="d",
            default="bridge",
        ),
        Option("gateway", "strings", "IPv4 or IPv6 Gateway for the master subnet"),
        Option("ingress", "bool", "Create swarm routing-mesh network"),
        Option("internal", "bool", "Restrict external access to the network"),
        Option("ip-range", "strings", "Allocate container ip from a sub-range"),
        Option(
            "ipam-driver",
            "string",
            'IP Address Management Driver (default "default")',
            default="default",
        ),
        Option("ipam-opt", "map", "Set IPAM driver specific options (default map[])"),
        Option(
            "ipv4",
            "bool",
            "Enable or disable IPv4 address assignment (default true)",
            default=True,
        ),
        Option("ipv6", "bool", "Enable or disable IPv6 address assignment"),
        Option("label", "list", "Set metadata on a network", check=specifications.label),
        Option("opt", "map", "Set driver specific options (default map[])", short="o"),
        Option("scope", "string", "Control the network's scope"),
        Option("subnet", "strings", "Subnet in CIDR format that represents a network segment"),
    ),
    at_least=1,
    at_most=1,
)
LS = Command(
    "ls",
    "[OPTIONS]",
    "List networks",
    list_all,
    (
        Option("filter", "filter", 'Provide filter values (e.g. "driver=bridge")', short="f"),
        Option("format", "string", TABLE_FORMAT_HELP),
        Option("no-trunc", "bool", "Do not truncate the output"),
        Option("quiet", "bool", "Only display network IDs", short="q"),
    ),
    aliases=("network ls", "network list"),
)
RM = Command(
    "rm",
    "NETWORK [NETWORK...]",
    "Remove one or more networks",
    remove,
    (Option("force", "bool", "Do not error if the network does not exist", short="f"),),
    at_least=1,
    at_most=MANY,
    aliases=("network rm", "network remove"),
)
CONNECT = Command(
    "connect",
    "[OPTIONS] NETWORK CONTAINER",
    "Connect a container to a network",
    connect,
    (
        Option("alias", "strings", "Add network-scoped alias for the container"),
        Option("driver-opt", "strings", "driver options for the network"),
        Option(
            "gw-priority",
            "int",
            "Highest gw-priority provides the default gateway. Accepts positive and negative"
            " values.",
        ),
        Option("ip", "string", 'IPv4 address (e.g., "172.30.100.104")'),
        Option("ip6", "string", 'IPv6 address (e.g., "2001:db8::33")'),
        Option("link", "list", "Add link to another container", check=specifications.link),
        Option("link-local-ip", "strings", "Add a link-local address for the container"),
    ),
    at_least=2,
    at_most=2,
)
DISCONNECT = Command(
    "disconnect",
    "[OPTIONS] NETWORK CONTAINER",
    "Disconnect a container from a network",
    disconnect,
    (Option("force", "bool", "Force the container to disconnect from a network", short="f"),),
    at_least=2,
    at_most=2,
)
PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove all unused networks",
    prune,
    (
        Option("filter", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
        Option("force", "bool", "Do not prompt for confirmation", short="f"),
    ),
)
