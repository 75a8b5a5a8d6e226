import pytest

from pinnace.dockerfile import commands, history
from pinnace.dockerfile.instructions import Cmd, Entrypoint, Run
from pinnace.dockerfile.stages import read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ARG X=1 Y Z="a b"', 'ARG X=1 Y Z="a b"'),
        ("ENV a=b c=d", "ENV a=b c=d"),
        ("ENV a b c", "ENV a=b c"),
        ("LABEL l=m", "LABEL l=m"),
        ("MAINTAINER me you", "MAINTAINER me you"),
        ('CMD echo "hi"', 'CMD ["/bin/sh" "-c" "echo \\"hi\\""]'),
        ('ENTRYPOINT ["/x", "a\\"b"]', 'ENTRYPOINT ["/x" "a\\"b"]'),
        (
            "HEALTHCHECK --interval=90s --timeout=1500ms --retries=3 CMD a b",
            "HEALTHCHECK {Test:[CMD-SHELL a b] Interval:1m30s Timeout:1.5s StartPeriod:0s "
            "StartInterval:0s Retries:3}",
        ),
        ("EXPOSE 80 22-23/UDP 8080:90", "EXPOSE [22/udp 23/udp 80/tcp 90/tcp]"),
        ("USER a:b", "USER a:b"),
        ("VOLUME /v /w", "VOLUME [/v /w]"),
        ("STOPSIGNAL SIGINT", "STOPSIGNAL SIGINT"),
        ('SHELL ["/bin/bash", "-c"]', "SHELL [/bin/bash -c]"),
        ("WORKDIR r", "WORKDIR /q/r"),
        (
            "COPY --from=x --parents --chown=1:2 --chmod=755 --link a <<E /dst/\nx\nE",
            "COPY --parents --chown=1:2 --chmod=755 a <<E /dst/ # buildkit",
        ),
        ("ADD --chown=3 a b /z", "ADD --chown=3 a b /z # buildkit"),
        ("RUN a  b", "RUN |2 X=1 Y= /bin/sh -c a  b # buildkit"),
        ('RUN ["a", "b"]', "RUN |2 X=1 Y= a b # buildkit"),
        ("ONBUILD RUN x", None),
    ],
)
def test_the_history_tells_what_was_done(text: str, expected: str | None) -> None:
    step = read(f"FROM a\n{text}\n".encode()).stages[0].steps[0]
    runs = isinstance(step, Run | Cmd | Entrypoint)
    started = commands.started(step.command).arguments if runs else ()  # type: ignore[union-attr]

    words = history.created_by(
        step, started=started, arguments={"X": "1", "Y": ""}, directory="/q/r"
    )

    assert words == expected


def test_a_run_without_arguments_counts_none() -> None:
    step = read(b"FROM a\nRUN b\n").stages[0].steps[0]

    assert history.created_by(step, started=("b",)) == "RUN b # buildkit"
