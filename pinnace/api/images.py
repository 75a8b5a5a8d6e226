"""/images: what is here, in and out of archives; registries are not spoken to yet."""

from collections.abc import Iterator
from typing import Final

import msgspec

from pinnace import errors
from pinnace.api import messages, streams, versions
from pinnace.api.facade import Engine
from pinnace.api.messages import Request, Response
from pinnace.api.router import Route
from pinnace.engine import filters as words
from pinnace.oci import digest, reference
from pinnace.oci.reference import Reference

TAR: Final = "application/x-tar"
JSON: Final = "application/json"


def list_images(engine: Engine, request: Request) -> Response:
    filters = request.filters()
    old_filter = request.text("filter")
    if request.version < (1, 25) and old_filter and "reference" not in filters:
        filters["reference"] = [old_filter]
    words.check(filters, words.IMAGES)
    images = engine.images.list(
        all=request.flag("all"),
        filters=filters,
        shared_size=request.version >= (1, 42) and request.flag("shared-size"),
    )
    shown = [versions.image_summary(dict(image), request.version) for image in images]
    return messages.json(shown)


def inspect(engine: Engine, request: Request) -> Response:
    check_platform(request, (1, 49))
    shown = dict(engine.images.inspect(request.names["name"]))
    return messages.json(versions.image_inspect(shown, request.version))


def check_platform(request: Request, since: tuple[int, int]) -> None:
    """One image has one platform here: the parameter is looked at and makes no difference."""
    if request.version < since:
        return
    for text in request.texts("platform"):
        if text:
            decode_platform(text)


def decode_platform(text: str) -> dict[str, object]:
    try:
        platform = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise errors.Invalid(f"failed to parse platform: {error}") from None
    if platform.get("os") and platform.get("architecture"):
        return platform
    if not platform.get("os") and not platform.get("architecture") and platform:
        raise errors.Invalid(
            "optional platform fields provided, but OS and Architecture are missing"
        )
    raise errors.Invalid("both OS and Architecture must be provided")


def history(engine: Engine, request: Request) -> Response:
    check_platform(request, (1, 48))
    return messages.json(list(engine.images.history(request.names["name"])))


def tag(engine: Engine, request: Request) -> Response:
    if not request.text("repo"):
        return Response(200)  # Docker 28 does nothing, and looks for no image
    engine.images.tag(request.names["name"], request.text("repo"), request.text("tag"))
    return messages.empty(201)


def remove(engine: Engine, request: Request) -> Response:
    name = request.names["name"]
    if not name.strip():
        raise errors.Invalid("image name cannot be blank")
    removed = engine.images.remove(
        name, force=request.flag("force"), prune=not request.flag("noprune")
    )
    return messages.json(list(removed))


def prune(engine: Engine, request: Request) -> Response:
    filters = request.filters()
    words.check(filters, words.PRUNE | {"dangling"})
    removed, reclaimed = engine.images.prune(filters)
    return messages.json({"ImagesDeleted": list(removed) or None, "SpaceReclaimed": reclaimed})


def save(engine: Engine, request: Request) -> Response:
    name = request.names.get("name")
    check_platform(request, (1, 48))
    references = request.texts("names") if name is None else [name]
    return streams.pull(engine.images.save(references), request, TAR)


def load(engine: Engine, request: Request) -> Response:
    check_platform(request, (1, 48))
    lines = streams.progress_lines(loading(engine, request))
    return streams.pull(lines, request, JSON)


def loading(engine: Engine, request: Request) -> Iterator[bytes]:
    for name in engine.images.load(request.body):
        # "Loaded image: a:b", or "Loaded image ID: sha256:..." of one without a name.
        kind = "image ID" if digest.valid(name) else "image"
        yield streams.progress_line({"stream": f"Loaded {kind}: {name}\n"})


def create(engine: Engine, request: Request) -> Response:
    """Pull or import."""
    if image := request.text("fromImage"):
        return pull(engine, request, image)
    source = request.text("fromSrc")
    if source != "-":
        raise errors.Unsupported("importing from a URL is not supported")
    image_id = engine.images.import_(
        request.body,
        repo=request.text("repo"),
        tag=request.text("tag"),
        message=request.text("message") or f"Imported from {source}",
        changes=request.texts("changes"),
        platform=(request.text("platform") if request.version >= (1, 32) else "") or None,
    )
    line = streams.progress_line({"status": image_id})
    return Response(200, (("Content-Type", JSON),), line)


def pull(engine: Engine, request: Request, image: str) -> Response:
    """What is here is up to date, as long as registries are not asked."""
    wanted = pulled_reference(image, request.text("tag"))
    if wanted.familiar_name == "scratch":
        raise errors.Forbidden("'scratch' is a reserved name")
    try:
        found = engine.images.resolve(wanted.familiar)
    except errors.NotFound:
        raise errors.NotFound(
            f"pull access denied for {wanted.familiar_name}, repository does not exist or may "
            "require 'docker login'"
        ) from None
    lines: tuple[dict[str, object], ...] = (
        {"status": f"Pulling from {wanted.path}", "id": wanted.tag or wanted.digest},
        {"status": f"Digest: {found.id}"},
        {"status": f"Status: Image is up to date for {wanted.familiar}"},
    )
    body = b"".join(streams.progress_line(line) for line in lines)
    return Response(200, (("Content-Type", JSON),), body)


def pulled_reference(image: str, tag: str) -> Reference:
    """The two parameters of a pull: the tag may be a digest, or stand in the name already."""
    name = reference.parse(image.removesuffix(":"))
    if digest.valid(tag):
        return msgspec.structs.replace(name, tag=None, digest=tag)
    return reference.with_tag(name, tag) if tag else name.pinned().tagged()


def push(engine: Engine, request: Request) -> Response:
    name, wanted = request.names["name"], request.text("tag")
    engine.images.resolve(f"{name}:{wanted}" if wanted else name)
    raise errors.Unsupported("pushing to registries is not supported yet")


def search(engine: Engine, request: Request) -> Response:
    raise errors.Unsupported("searching registries is not supported yet")


def attestations(engine: Engine, request: Request) -> Response:
    engine.images.resolve(request.names["name"])
    return messages.raw_json(b"[]")


ROUTES: Final = [
    Route("GET", "/images/json", list_images),
    Route("GET", "/images/search", search),
    Route("GET", "/images/get", save, slow=True),
    Route("GET", "/images/{name}/get", save, slow=True),
    Route("GET", "/images/{name}/history", history),
    Route("GET", "/images/{name}/json", inspect),
    Route("GET", "/images/{name}/attestations", attestations, since=(1, 55)),
    Route("POST", "/images/load", load, slow=True),
    Route("POST", "/images/create", create, slow=True),
    Route("POST", "/images/{name}/push", push),
    Route("POST", "/images/{name}/tag", tag),
    Route("POST", "/images/prune", prune, since=(1, 25), slow=True),
    Route("DELETE", "/images/{name}", remove, slow=True),
]
