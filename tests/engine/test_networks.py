"""The pre-defined networks, beside what Docker 28.5.2 said of its own."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pinnace import errors
from pinnace.engine.documents import Container, EndpointSettings, State, Status
from pinnace.engine.networks import Networks
from pinnace.engine.registry import Registry
from pinnace.store.database import Database
from tests.engine.shapes import differences

GOLDEN = msgspec.json.decode((Path(__file__).parent / "recorded/docker_system.json").read_bytes())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "db")
    yield database
    database.close()


@pytest.fixture
def registry(database: Database) -> Registry:
    return Registry(database)


@pytest.fixture
def networks(database: Database, registry: Registry) -> Networks:
    return Networks(database, registry)


def names(networks: Networks, **filters: list[str]) -> list[str]:
    return [network["Name"] for network in networks.list(filters)]


@pytest.mark.parametrize("name", ["bridge", "host", "none"])
def test_inspect_is_as_docker_s(networks: Networks, name: str) -> None:
    shown, wanted = networks.inspect(name), GOLDEN["networks"][name]

    assert differences(wanted, shown) == []
    for key in wanted.keys() - {"Id", "Created", "Containers"}:
        assert shown[key] == wanted[key]


def test_they_are_found_by_id_name_and_the_beginning_of_an_id(networks: Networks) -> None:
    ident = networks.id("host")

    assert len(ident) == 64
    for word in (ident, "host", ident[:40]):
        assert networks.inspect(word)["Name"] == "host"
    assert networks.id("mine") == ""


def test_ids_stay(networks: Networks, database: Database, registry: Registry) -> None:
    again = Networks(database, registry)

    assert [again.inspect(name)["Id"] for name in ("bridge", "host", "none")] == [
        networks.id(name) for name in ("bridge", "host", "none")
    ]
    assert again.inspect("none")["Created"] == networks.inspect("none")["Created"]


@pytest.mark.parametrize("ident", ["mine", "bri", "", "g" * 64])
def test_others_are_not_found(networks: Networks, ident: str) -> None:
    with pytest.raises(errors.NotFound) as missing:
        networks.inspect(ident)

    assert missing.value.message == f"network {ident} not found"


def test_a_beginning_that_fits_two_is_refused(database: Database, registry: Registry) -> None:
    made = {
        name: {"id": f"ab{number}", "created": 1} for number, name in enumerate(("host", "none"))
    }
    database.put_meta("networks", msgspec.json.encode(made))

    with pytest.raises(errors.Invalid) as refused:
        Networks(database, registry).inspect("ab")

    assert refused.value.message == "2 matches found based on ID prefix: network ab is ambiguous"


def test_running_containers_are_shown(networks: Networks, registry: Registry) -> None:
    leg = EndpointSettings(
        ip_address="172.17.0.2", ip_prefix_len=16, mac_address="06:32:13:9e:50:1e"
    )
    for name, status, networking in (
        ("a", Status.RUNNING, {"bridge": leg}),
        ("b", Status.PAUSED, {networks.id("bridge"): EndpointSettings(endpoint_id="e" * 64)}),
        ("c", Status.EXITED, {"bridge": leg}),
        ("d", Status.RUNNING, {"none": EndpointSettings()}),
    ):  # fmt: skip
        state = State(status=status)
        registry.add(Container(id=name * 64, name=name, state=state, networking=networking))

    shown = networks.inspect("bridge")["Containers"]

    assert shown.keys() == {"a" * 64, "b" * 64}
    assert shown["a" * 64] | {"EndpointID": ""} == {
        "Name": "a",
        "EndpointID": "",
        "MacAddress": "06:32:13:9e:50:1e",
        "IPv4Address": "172.17.0.2/16",
        "IPv6Address": "",
    }
    assert shown["b" * 64]["EndpointID"] == "e" * 64
    assert len(shown["a" * 64]["EndpointID"]) == 64
    assert shown == networks.inspect("bridge")["Containers"]
    assert networks.inspect("none")["Containers"]["d" * 64]["IPv4Address"] == ""


def test_filters(networks: Networks) -> None:
    assert names(networks) == ["bridge", "host", "none"]
    assert names(networks, name=["b"]) == ["bridge"]
    assert names(networks, name=["^b.*e$", "none"]) == ["bridge", "none"]
    assert names(networks, driver=["null"]) == ["none"]
    assert names(networks, driver=["nu"]) == []
    assert names(networks, id=[networks.id("host")[:12]]) == ["host"]
    assert names(networks, label=["x"]) == []
    assert names(networks, scope=["global"]) == []
    assert names(networks, type=["custom"]) == []
    assert names(networks, type=["builtin", "custom"]) == ["bridge", "host", "none"]
    assert names(networks, dangling=["true"]) == []
    assert names(networks, dangling=["0"]) == ["bridge", "host", "none"]


@pytest.mark.parametrize(
    ("filters", "kind", "message"),
    [
        ({"nosuch": ["x"]}, errors.Invalid, "invalid filter 'nosuch'"),
        ({"type": ["x"]}, errors.Failed, "invalid filter: 'type'='x'"),
        (
            {"dangling": ["x"]},
            errors.Invalid,
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
        ),
        (
            {"dangling": ["1", "0"]},
            errors.Invalid,
            'got more than one value for filter key "dangling"',
        ),
    ],
)
def test_filters_that_make_no_sense(
    networks: Networks, filters: dict[str, list[str]], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as refused:
        networks.list(filters)

    assert str(refused.value) == message


def test_what_is_not_offered_yet(networks: Networks, registry: Registry) -> None:
    registry.add(Container(id="a" * 64, name="a"))

    with pytest.raises(errors.Unsupported):
        networks.create("mine")
    with pytest.raises(errors.Unsupported):
        networks.connect("bridge", "a")
    with pytest.raises(errors.Unsupported):
        networks.disconnect("bridge", "a")
    with pytest.raises(errors.NotFound, match="No such container: b"):
        networks.connect("mine", "b")
    with pytest.raises(errors.NotFound, match="network mine not found"):
        networks.connect("mine", "a")


def test_the_predefined_ones_stay(networks: Networks) -> None:
    with pytest.raises(errors.Forbidden) as refused:
        networks.remove("bridge")
    assert refused.value.message == "bridge is a pre-defined network and cannot be removed"

    with pytest.raises(errors.Forbidden) as refused:
        networks.create("host")
    assert refused.value.message == "operation is not permitted on predefined host network "

    with pytest.raises(errors.NotFound):
        networks.remove("mine")
