"""Requests are read as Go's encoding/json reads them, and documents shown as Docker shows them.

The refusals are those of dockerd 28.5.2 (built with Go 1.27) for the same bodies.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.engine import codec, documents
from pinnace.engine.documents import (
    ContainerConfig,
    Document,
    Empty,
    EndpointSettings,
    ExecConfig,
    ExecStartConfig,
    HostConfig,
    Mount,
    PortBinding,
    TmpfsOptions,
    UpdateConfig,
)


def config(body: str) -> ContainerConfig:
    made = documents.decode_create(body.encode()).config
    assert made is not None
    return made


def host(**fields: Any) -> HostConfig:
    body = json.dumps({"HostConfig": fields}).encode()
    made = documents.decode_create(body).host_config
    assert made is not None
    return made


REFUSED = [
    ("", "invalid JSON: got EOF while reading request body"),
    ("{", "invalid JSON: unexpected EOF"),
    ("{a}", "invalid JSON: invalid character 'a' looking for beginning of object key string"),
    ("{}x", "unexpected content after JSON"),
    ("{}{}", "unexpected content after JSON"),
    (
        "[]",
        "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest",
    ),
    (
        '{"Image":1}',
        "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string",
    ),
    (
        '{"Env":"x"}',
        "invalid JSON: json: cannot unmarshal string into Go struct field .Env of type []string",
    ),
    ('{"Env":[1]}', "invalid JSON: json: cannot unmarshal number into .Env.0 of type string"),
    (
        '{"Tty":"x"}',
        "invalid JSON: json: cannot unmarshal string into Go struct field .Tty of type bool",
    ),
    (
        '{"Labels":{"a":1}}',
        "invalid JSON: json: cannot unmarshal number into Go struct field .Labels.a of type string",
    ),
    (
        '{"Volumes":{"/a":1}}',
        "invalid JSON: json: cannot unmarshal number into Go struct field .Volumes.~1a "
        "of type struct {}",
    ),
    (
        '{"Healthcheck":{"Interval":"1s"}}',
        "invalid JSON: json: cannot unmarshal string into Go struct field .Healthcheck.Interval "
        "of type time.Duration",
    ),
    (
        '{"HostConfig":5}',
        "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig "
        "of type container.HostConfig",
    ),
    (
        '{"HostConfig":{"Memory":"x"}}',
        "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Memory "
        "of type int64",
    ),
    (
        '{"HostConfig":{"Memory":1.5}}',
        "invalid JSON: json: cannot unmarshal number 1.5 into Go struct field .HostConfig.Memory "
        "of type int64",
    ),
    (
        '{"HostConfig":{"Memory":99999999999999999999}}',
        "invalid JSON: json: cannot unmarshal number 99999999999999999999 into Go struct field "
        ".HostConfig.Memory of type int64",
    ),
    (
        '{"HostConfig":{"BlkioWeight":-1}}',
        "invalid JSON: json: cannot unmarshal number -1 into Go struct field "
        ".HostConfig.BlkioWeight of type uint16",
    ),
    (
        '{"HostConfig":{"Mounts":[{"TmpfsOptions":{"Mode":"x"}}]}}',
        "invalid JSON: json: cannot unmarshal string into Go struct field "
        ".HostConfig.Mounts.0.TmpfsOptions.Mode of type fs.FileMode",
    ),
    (
        '{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":80}]}}}',
        "invalid JSON: json: cannot unmarshal number into Go struct field "
        ".HostConfig.PortBindings.80~1tcp.0.HostPort of type string",
    ),
    (
        '{"NetworkingConfig":{"EndpointsConfig":{"a":1}}}',
        "invalid JSON: json: cannot unmarshal number into Go struct field "
        ".NetworkingConfig.EndpointsConfig.a of type network.EndpointSettings",
    ),
    ('{"Cmd":7}', "invalid JSON: json: cannot unmarshal number into Go value of type string"),
    ('{"Cmd":["a",7]}', "invalid JSON: json: cannot unmarshal array into Go value of type string"),
    (
        '{"ExposedPorts":[]}',
        "invalid JSON: json: cannot unmarshal array into Go struct field .ExposedPorts "
        "of type nat.PortSet",
    ),
    (
        '{"HostConfig":{"PortBindings":[]}}',
        "invalid JSON: json: cannot unmarshal array into Go struct field .HostConfig.PortBindings "
        "of type nat.PortMap",
    ),
    (
        '{"HostConfig":{"Ulimits":[7]}}',
        "invalid JSON: json: cannot unmarshal number into .HostConfig.Ulimits.0 "
        "of type units.Ulimit",
    ),
    (
        '{"HostConfig":{"RestartPolicy":{"Name":7}}}',
        "invalid JSON: json: cannot unmarshal number into Go struct field "
        ".HostConfig.RestartPolicy.Name of type container.RestartPolicyMode",
    ),
    (
        '{"HostConfig":{"BlkioDeviceReadBps":[{"Rate":"x"}]}}',
        "invalid JSON: json: cannot unmarshal string into Go struct field "
        ".HostConfig.BlkioDeviceReadBps.0.Rate of type uint64",
    ),
]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_what_go_refuses(body: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        documents.decode_create(body.encode())
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (ExecConfig, '{"Cmd":"a"}', "string into Go struct field ExecOptions.Cmd of type []string"),
        (ExecConfig, '{"Cmd":[7]}', "number into ExecOptions.Cmd.0 of type string"),
        (
            ExecStartConfig,
            '{"Tty":"x"}',
            "string into Go struct field ExecStartOptions.Tty of type bool",
        ),
        (
            UpdateConfig,
            '{"Memory":"x"}',
            "string into Go struct field UpdateConfig.Memory of type int64",
        ),
        (ContainerConfig, '{"Env":7}', "number into Go struct field .Env of type []string"),
    ],
)
def test_the_document_is_named_where_go_has_a_name_for_it(
    kind: type[Document], body: str, message: str
) -> None:
    with pytest.raises(errors.Invalid) as refused:
        codec.decode(body.encode(), kind)

    assert refused.value.message == f"invalid JSON: json: cannot unmarshal {message}"


def test_names_match_in_any_case_and_the_last_one_counts() -> None:
    assert config('{"hostname":"a","HOSTNAME":"b","tTy":true}') == ContainerConfig(
        hostname="b", tty=True
    )


def test_null_is_absent_and_in_lists_and_maps_zero() -> None:
    made = config(
        '{"Image":null,"Cmd":null,"Env":[null,"a"],"Labels":{"a":null},'
        '"ExposedPorts":{"80/tcp":null},"Healthcheck":null}'
    )
    assert made == ContainerConfig(
        env=["", "a"], labels={"a": ""}, exposed_ports={"80/tcp": Empty()}
    )


def test_nested_nulls() -> None:
    request = documents.decode_create(
        b'{"HostConfig":{"PortBindings":{"80/tcp":null},"Mounts":[null]},'
        b'"NetworkingConfig":{"EndpointsConfig":{"a":null}}}'
    )
    assert request.host_config == HostConfig(port_bindings={"80/tcp": []}, mounts=[Mount()])
    assert request.networking_config is not None
    assert request.networking_config.endpoints_config == {"a": EndpointSettings()}


def test_a_string_stands_for_a_list_where_docker_has_it_so() -> None:
    made = config('{"Cmd":"ls -l","Entrypoint":["sh"]}')
    assert (made.cmd, made.entrypoint) == (["ls -l"], ["sh"])
    assert host(CapAdd="NET_ADMIN").cap_add == ["NET_ADMIN"]


@pytest.mark.parametrize(
    ("given", "size"), [([], (0, 0)), ([1], (1, 0)), ([1, 2], (1, 2)), ([1, 2, 3], (1, 2))]
)
def test_arrays_are_filled_or_cut(given: list[int], size: tuple[int, int]) -> None:
    assert host(ConsoleSize=given).console_size == size


def test_without_a_field_of_it_there_is_no_config() -> None:
    assert documents.decode_create(b"null").config is None
    assert documents.decode_create(b'{"HostConfig":{}}').config is None
    assert documents.decode_create(b'{"Unknown":1}').config is None
    assert documents.decode_create(b'{"image":""}').config == ContainerConfig()


def test_depth_is_bounded() -> None:
    for depth in (201, 5000, 100_000):
        with pytest.raises(errors.Invalid, match="invalid JSON: exceeded max depth"):
            documents.decode_create(b'{"x":' + b"[" * depth + b"]" * depth + b"}")
    documents.decode_create(b'{"x":' + b"[" * 150 + b"]" * 150 + b"}")
    documents.decode_create(b'{"x":[' + b"[]," * 500 + b"[]]}")


@pytest.mark.parametrize("body", [b'{"Image":"\xff"}', b'{"Image":"\\ud800"}', b"\xff", b"nul"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(errors.Invalid, match="invalid JSON: "):
        documents.decode_create(body)


Anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(
        st.sampled_from([*codec._fields_by_name(HostConfig), "x"]), Anything, max_size=4
    )
)
def test_any_body_is_read_or_refused(fields: dict[str, Any]) -> None:
    try:
        made = documents.decode(json.dumps(fields).encode(), HostConfig)
    except errors.Invalid as refused:
        assert refused.message.startswith("invalid JSON: ")
    else:
        assert documents.decode(documents.encode(made), HostConfig) == made


GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["plain", "privileged", "mounts", "memory-all", "image-config"])
@pytest.mark.parametrize(
    ("part", "kind"), [("Config", ContainerConfig), ("HostConfig", HostConfig)]
)
def test_documents_are_shown_as_inspect_does(name: str, part: str, kind: type[Any]) -> None:
    shown = json.loads((GOLDEN / f"{name}.json").read_bytes())["inspect"][part]

    again = json.loads(documents.encode(documents.show(codec.convert(shown, kind))))

    assert again == _known(shown)


def _known(shown: Any) -> Any:
    """Docker shows some lists as [] when they were sent so; here each is one or the other."""
    nulls = (*HostConfig.NULLED.split(), *ContainerConfig.NULLED.split())
    names = {
        field.encode_name
        for kind in (HostConfig, ContainerConfig)
        for field in codec.msgspec.structs.fields(kind)
        if field.name in nulls and field.name not in ("cmd", "entrypoint")
    }
    return {key: None if key in names and not value else value for key, value in shown.items()}


def test_order_of_a_host_config_is_dockers() -> None:
    keys = list(documents.show(HostConfig()))
    recorded = json.loads((GOLDEN / "plain.json").read_bytes())["inspect"]["HostConfig"]
    assert keys[0] == "Binds"
    assert keys.index("Isolation") + 1 == keys.index("CpuShares")
    assert set(keys) | {"Runtime"} == set(recorded)


def test_pointers_are_shown_when_they_are_zero() -> None:
    shown = documents.show(ContainerConfig(cmd=[], stop_timeout=0))
    assert (shown["Cmd"], shown["StopTimeout"], shown["Entrypoint"]) == ([], 0, None)
    assert documents.show(HostConfig(init=False))["Init"] is False
    assert "Init" not in documents.show(HostConfig())


def test_nested_documents_are_shown() -> None:
    mount = Mount(type="tmpfs", target="/a", tmpfs_options=TmpfsOptions(mode=0o700))
    shown = documents.show(
        HostConfig(mounts=[mount], port_bindings={"80/tcp": [PortBinding(host_port="1")]})
    )
    assert shown["Mounts"] == [{"Type": "tmpfs", "Target": "/a", "TmpfsOptions": {"Mode": 448}}]
    assert shown["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "1"}]}


def test_optional_arrays() -> None:
    assert documents.decode(b"{}", ExecStartConfig).console_size is None
    made = documents.decode(b'{"ConsoleSize":[24,80]}', ExecStartConfig)
    assert made.console_size == (24, 80)
