"""Owners and namespaces, where the contract suite cannot look: unknown kinds, other scopes, long chains."""

from collections.abc import Callable

import pytest

from kube.resources import CONFIG_MAPS, NAMESPACES, NODES, SECRETS, SERVICE_ACCOUNTS, Object, Resource
from simulator.apiserver.deletion import DeleteOptions
from simulator.apiserver.housekeeping import Housekeeping
from simulator.apiserver.registry import Registry, WriteOptions
from simulator.apiserver.status import ApiError
from tests.simulator.apiserver.conftest import KINDS

Create = Callable[[str], Object]


@pytest.fixture
def housekeeping(registry: Registry) -> Housekeeping:
    return Housekeeping(registry, "a certificate")


def owner(obj: Object, **more: object) -> Object:
    metadata = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        **more,
    }


def own(registry: Registry, resource: Resource, name: str, *owners: Object, namespace: str = "one") -> Object:
    obj = {"metadata": {"name": name, "ownerReferences": list(owners)}}
    return registry.create(KINDS[resource], namespace, obj, WriteOptions())


def names(registry: Registry, resource: Resource, namespace: str = "one") -> set[str]:
    return {stored.key[1] for stored in registry.store.collection(KINDS[resource]).list(namespace)} - {
        "kube-root-ca.crt"
    }


def test_a_long_chain_goes_link_by_link(registry: Registry, create: Create, housekeeping: Housekeeping) -> None:
    link = create("link-0")
    for number in range(1, 60):
        link = own(registry, CONFIG_MAPS, f"link-{number}", owner(link))
    registry.delete(KINDS[CONFIG_MAPS], "one", "link-0", DeleteOptions())
    housekeeping.settle()
    assert names(registry, CONFIG_MAPS) == set()


def test_owners_in_a_ring_stay(registry: Registry, create: Create, housekeeping: Housekeeping) -> None:
    first = create("first")
    second = own(registry, CONFIG_MAPS, "second", owner(first))

    def closed(obj: Object) -> Object:
        obj["metadata"]["ownerReferences"] = [owner(second)]
        return obj

    registry.change(KINDS[CONFIG_MAPS], "one", "first", closed, WriteOptions())
    housekeeping.settle()
    assert names(registry, CONFIG_MAPS) == {"first", "second"}


def test_an_owner_of_an_unknown_kind_is_taken_for_present(registry: Registry, housekeeping: Housekeeping) -> None:
    stranger = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "u"}
    own(registry, SECRETS, "s", stranger)
    housekeeping.settle()
    assert names(registry, SECRETS) == {"s"}


def test_a_cluster_wide_object_has_no_owner_in_a_namespace(
    registry: Registry, create: Create, housekeeping: Housekeeping
) -> None:
    made = create("a")
    own(registry, NODES, "n", owner(made), namespace="")
    registry.delete(KINDS[CONFIG_MAPS], "one", "a", DeleteOptions())
    housekeeping.settle()
    assert names(registry, NODES, "") == {"n"}


def test_an_object_can_belong_to_a_cluster_wide_owner(registry: Registry, housekeeping: Housekeeping) -> None:
    node = registry.create(KINDS[NODES], "", {"metadata": {"name": "n"}}, WriteOptions())
    own(registry, SECRETS, "s", owner(node))
    housekeeping.settle()
    assert names(registry, SECRETS) == {"s"}
    registry.delete(KINDS[NODES], "", "n", DeleteOptions())
    housekeeping.settle()
    assert names(registry, SECRETS) == set()


def test_another_object_of_the_owners_name_is_not_the_owner(
    registry: Registry, create: Create, housekeeping: Housekeeping
) -> None:
    made = create("a")
    own(registry, SECRETS, "s", owner(made))
    registry.delete(KINDS[CONFIG_MAPS], "one", "a", DeleteOptions())
    create("a")
    housekeeping.settle()
    assert names(registry, SECRETS) == set()


def test_the_reference_to_an_owner_that_is_gone_is_dropped(
    registry: Registry, create: Create, housekeeping: Housekeeping
) -> None:
    one, two = create("a"), create("b")
    own(registry, SECRETS, "s", owner(one), owner(two))
    registry.delete(KINDS[CONFIG_MAPS], "one", "a", DeleteOptions())
    housekeeping.settle()
    left = registry.get(KINDS[SECRETS], "one", "s").object["metadata"]["ownerReferences"]
    assert [reference["name"] for reference in left] == ["b"]


def test_in_the_foreground_grandchildren_go_first(
    registry: Registry, create: Create, housekeeping: Housekeeping
) -> None:
    parent = create("parent")
    child = own(registry, CONFIG_MAPS, "child", owner(parent, blockOwnerDeletion=True))
    own(registry, CONFIG_MAPS, "grandchild", owner(child, blockOwnerDeletion=True))
    ended: list[str] = []
    registry.store.listeners.append(
        lambda _, change: ended.append(change.stored.key[1]) if change.type == "DELETED" else None
    )
    registry.delete(KINDS[CONFIG_MAPS], "one", "parent", DeleteOptions("Foreground"))
    housekeeping.settle()
    assert ended == ["grandchild", "child", "parent"]


def test_what_follows_from_a_store_is_found_at_the_start(registry: Registry, create: Create) -> None:
    made = create("a")
    own(registry, SECRETS, "s", owner(made))
    registry.delete(KINDS[CONFIG_MAPS], "one", "a", DeleteOptions())
    Housekeeping(registry, "a certificate").settle()
    assert names(registry, SECRETS) == set()


def test_a_default_account_that_is_deleted_comes_back(registry: Registry, housekeeping: Housekeeping) -> None:
    housekeeping.settle()
    before = registry.get(KINDS[SERVICE_ACCOUNTS], "one", "default").object["metadata"]["uid"]
    registry.delete(KINDS[SERVICE_ACCOUNTS], "one", "default", DeleteOptions())
    housekeeping.settle()
    assert registry.get(KINDS[SERVICE_ACCOUNTS], "one", "default").object["metadata"]["uid"] != before


def test_a_namespace_that_waits_says_for_what(registry: Registry, housekeeping: Housekeeping) -> None:
    obj = {"metadata": {"name": "held", "finalizers": ["paddock.io/held"]}}
    registry.create(KINDS[CONFIG_MAPS], "one", obj, WriteOptions())
    registry.delete(KINDS[NAMESPACES], "", "one", DeleteOptions())
    housekeeping.settle()
    condition = registry.get(KINDS[NAMESPACES], "", "one").object["status"]["conditions"][0]
    assert condition["type"] == "NamespaceContentRemaining"
    assert "configmaps has 1 resource instances" in condition["message"]


def test_housekeeping_survives_what_it_cannot_do(
    registry: Registry, create: Create, housekeeping: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create("a")
    own(registry, SECRETS, "s", owner(made))
    registry.delete(KINDS[CONFIG_MAPS], "one", "a", DeleteOptions())

    def refuse(*_: object, **__: object) -> None:
        raise ApiError(500, "InternalError", "not now")

    monkeypatch.setattr(registry, "delete", refuse)
    housekeeping.settle()
    assert names(registry, SECRETS) == {"s"}
