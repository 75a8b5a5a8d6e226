import pytest

from pinnace.dockerfile import verify
from pinnace.dockerfile.source import DockerfileError
from pinnace.dockerfile.stages import read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("COPY --chmod=u=rwX,go-w+x a b", ""),
        ("COPY --chmod=7777 a b", ""),
        ("COPY --chmod=u+q a b", "invalid syntax"),
        (
            "COPY --chmod=8 a b",
            "invalid chmod parameter: '8'. it should be octal string and between 0 and 07777",
        ),
        ("COPY http://x/y /", "source can't be a URL for COPY"),
        ("COPY git@x:y /", "source can't be a git ref for COPY"),
        ("ADD --checksum=x a b c", "checksum can't be specified for multiple sources"),
        ("ADD --checksum=x a b", "checksum requires HTTP(S) or Git sources"),
        ("ADD --checksum=sha256:x http://a/b /", ""),
        ("STOPSIGNAL sigrtmin+3", ""),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        ("STOPSIGNAL FOO", "invalid signal: FOO"),
        ("EXPOSE x", "invalid containerPort: x"),
        ("WORKDIR a", ""),
    ],
)
def test_an_expanded_instruction_is_verified(text: str, message: str) -> None:
    step = read(f"FROM a\n{text}\n".encode()).stages[0].steps[0]

    if not message:
        verify.check(step)
        return
    with pytest.raises(DockerfileError) as caught:
        verify.check(step)
    assert caught.value.message == message
    assert caught.value.places[0].first == 2
