import pytest

from pinnace import errors
from pinnace.oci import reference
from pinnace.oci.image import Config
from pinnace.store.authoring import Commit
from pinnace.store.removal import Use
from tests.store.kit import Kit
from tests.store.trees import entry

pytestmark = pytest.mark.root

WEB = "c0ffee" * 10


def layer_of(kit: Kit, id: str) -> str:
    top = kit.images.resolve(id).snapshot
    assert top is not None
    return top


def child(kit: Kit, parent: str, name: str = "") -> str:
    """An image that was committed on top of another one."""
    layers = kit.overlay.prepare("box", kit.images.resolve(parent).snapshot)
    with open(layers.upper + "/new", "w") as file:
        file.write("x")
    request = Commit(container_id="box", config=Config(), container_config=Config(), parent=parent)
    id = kit.images.commit("box", request, repo=name)
    kit.overlay.remove("box")
    return id


def test_the_last_name_takes_the_image_with_it(kit: Kit) -> None:
    id = kit.make("web")
    layer = layer_of(kit, id)
    kit.events.clear()

    assert kit.images.remove("web") == [
        {"Untagged": "web:latest"},
        {"Deleted": id},
        {"Deleted": layer},
    ]
    assert kit.events == [("untag", id, id), ("delete", id, id)]
    assert layer not in kit.snapshot_names()


def test_another_name_keeps_it(kit: Kit) -> None:
    id = kit.make("web")
    kit.images.tag("web", "other", "1")

    assert kit.images.remove("web") == [{"Untagged": "web:latest"}]
    assert kit.images.resolve("other:1").id == id


def test_by_id_all_names_go_if_they_are_one(kit: Kit) -> None:
    id = kit.make("web")

    assert kit.images.remove(id[7:19])[0] == {"Untagged": "web:latest"}


def test_by_id_several_names_need_force(kit: Kit) -> None:
    id = kit.make("web")
    kit.images.tag("web", "other")

    with pytest.raises(errors.Conflict) as caught:
        kit.images.remove(id)
    records = kit.images.remove(id, force=True)

    assert caught.value.message == (
        f"conflict: unable to delete {id[7:19]} (must be forced) -"
        " image is referenced in multiple repositories"
    )
    assert [*records][:3] == [
        {"Untagged": "other:latest"},
        {"Untagged": "web:latest"},
        {"Deleted": id},
    ]


def test_a_stopped_container_needs_force(kit: Kit) -> None:
    id = kit.make("web")
    kit.uses[id] = [Use(WEB, running=False)]

    with pytest.raises(errors.Conflict) as by_name:
        kit.images.remove("web")
    with pytest.raises(errors.Conflict) as by_id:
        kit.images.remove(id)

    assert by_name.value.message == (
        'conflict: unable to remove repository reference "web" (must force) -'
        f" container {WEB[:12]} is using its referenced image {id[7:19]}"
    )
    assert by_id.value.message == (
        f"conflict: unable to delete {id[7:19]} (must be forced) -"
        f" image is being used by stopped container {WEB[:12]}"
    )


def test_with_force_a_stopped_container_keeps_its_layers_only(kit: Kit) -> None:
    id = kit.make("web")
    layer = layer_of(kit, id)
    kit.overlay.prepare(WEB, layer)
    kit.uses[id] = [Use(WEB, running=False)]

    assert kit.images.remove("web", force=True) == [{"Untagged": "web:latest"}, {"Deleted": id}]
    assert layer in kit.snapshot_names()


def test_a_running_container_cannot_be_forced(kit: Kit) -> None:
    id = kit.make("web")
    kit.uses[id] = [Use(WEB, running=True)]

    with pytest.raises(errors.Conflict) as caught:
        kit.images.remove(id, force=True)

    assert caught.value.message == (
        f"conflict: unable to delete {id[7:19]} (cannot be forced) -"
        f" image is being used by running container {WEB[:12]}"
    )
    assert kit.images.inspect(id)["RepoTags"] == ["web:latest"]


def test_with_force_a_running_containers_image_loses_its_name(kit: Kit) -> None:
    id = kit.make("web")
    kit.uses[id] = [Use(WEB, running=True)]

    assert kit.images.remove("web", force=True) == [{"Untagged": "web:latest"}]
    assert kit.images.resolve(id).id == id


def test_a_parent_outlives_its_child(kit: Kit) -> None:
    parent = kit.make("web")
    id = child(kit, parent, "child")

    with pytest.raises(errors.Conflict) as caught:
        kit.images.remove(parent, force=True)

    assert "(cannot be forced) - image has dependent child images" in caught.value.message
    assert kit.images.inspect(id)["Parent"] == parent


def test_the_last_child_takes_an_unnamed_parent_with_it(kit: Kit) -> None:
    parent = kit.make("web")
    layer = layer_of(kit, parent)
    id = child(kit, parent, "child")
    own = layer_of(kit, id)
    assert kit.images.remove("web") == [{"Untagged": "web:latest"}]

    assert kit.images.remove("child") == [
        {"Untagged": "child:latest"},
        {"Deleted": id},
        {"Deleted": own},
        {"Deleted": parent},
        {"Deleted": layer},
    ]


def test_unless_it_is_asked_not_to(kit: Kit) -> None:
    parent = kit.make("")
    child(kit, parent, "child")

    kit.images.remove("child", prune=False)

    assert kit.images.resolve(parent).id == parent


def test_a_named_parent_stays(kit: Kit) -> None:
    parent = kit.make("web")
    child(kit, parent, "child")

    records = kit.images.remove("child")

    assert {"Deleted": parent} not in records
    assert kit.images.resolve("web").id == parent


def test_digests_go_with_the_last_tag_of_their_repository(kit: Kit) -> None:
    id = kit.make("web")
    pinned = reference.parse("web@sha256:" + "d" * 64)
    kit.images.store.tag(pinned, id)

    records = kit.images.remove("web")

    assert [*records][:2] == [{"Untagged": "web:latest"}, {"Untagged": pinned.familiar}]
    assert {"Deleted": id} in records


def test_by_id_a_tag_and_its_digest_are_one_name(kit: Kit) -> None:
    id = kit.make("web")
    kit.images.store.tag(reference.parse("web@sha256:" + "d" * 64), id)

    assert {"Deleted": id} in kit.images.remove(id)


def test_shared_layers_stay(kit: Kit) -> None:
    kit.make("one", entry("x"))
    two = kit.make("two", entry("x"), message="another config")

    records = kit.images.remove("one")

    assert layer_of(kit, two) in kit.snapshot_names()
    assert len(records) == 2


def test_an_unknown_image_is_not_found(kit: Kit) -> None:
    with pytest.raises(errors.NotFound, match="No such image: web:latest"):
        kit.images.remove("web")
