"""The contract's values refuse what no driver should have to think of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node_driver.types import MachineOrder, MachineRef, Owner, Remains

OWNER = Owner("hub-1", 3, "machine-1", "tenant-1")
REF = MachineRef("ns", "c1-pool1-abcde", OWNER)


def order(**changes: Any) -> MachineOrder:
    fields: dict[str, Any] = {
        "ref": REF,
        "cluster_name": "c1",
        "pool_name": "p1",
        "settings": {},
        "user_data": "secret",
    }
    return MachineOrder(**{**fields, **changes})


@pytest.mark.parametrize(
    "name", ["", "A", "a.b", "-a", "a-", "a_b", "a/b", "a\n", "é", "a" * 64, "a b", "..", "\u0660"]
)
def test_a_name_that_is_no_dns_label_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="machine name"):
        MachineRef("ns", name, OWNER)


@pytest.mark.parametrize("name", ["a", "0", "a-0", "a" * 63])
def test_a_dns_label_is_a_name(name: str) -> None:
    assert MachineRef("ns", name, OWNER).name == name


def test_a_ref_without_location_is_refused() -> None:
    with pytest.raises(ValueError, match="location"):
        MachineRef("", "a", OWNER)


@pytest.mark.parametrize("field", ["hub_id", "machine_id", "tenant_id"])
@pytest.mark.parametrize("value", ["", "a b", "a\n", "x" * 64, "a=b", "a,b", "-a"])
def test_owner_ids_that_cannot_be_label_values_are_refused(field: str, value: str) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=field):
        replace(OWNER, **changes)


def test_a_negative_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch"):
        replace(OWNER, epoch=-1)


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (OWNER, True),
        (replace(OWNER, epoch=2), True),
        (replace(OWNER, tenant_id="tenant-2"), True),
        (replace(OWNER, epoch=4), False),
        (replace(OWNER, hub_id="hub-2"), False),
        (replace(OWNER, machine_id="machine-2"), False),
        (None, False),
    ],
    ids=["same", "older-epoch", "tenant", "newer-epoch", "hub", "machine", "nobody"],
)
def test_flt40_owner_owns_what_its_hub_made_for_the_machine_and_no_later_hub_took(
    found: Owner | None, ours: bool
) -> None:
    assert OWNER.owns(found) is ours


@pytest.mark.parametrize("field", ["cluster_name", "pool_name"])
@pytest.mark.parametrize("value", ["", "a b", "a\nb", "x" * 64, "a/b", "a: b"])
def test_sec66_names_of_cluster_and_pool_that_cannot_be_labels_are_refused(field: str, value: str) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match="name"):
        order(**changes)


def test_sec43_labels_below_the_reserved_prefix_are_refused() -> None:
    with pytest.raises(ValueError, match="owner-id"):
        order(labels={"team": "a", "paddock.io/owner-id": "other"})


def test_sec09_an_orders_repr_shows_no_document() -> None:
    shown = repr(order(user_data="canary-1", network_data="canary-2", settings={"password": "canary-3"}))
    assert "canary" not in shown
    assert "c1-pool1-abcde" in shown


@pytest.mark.parametrize("field", ["user_data", "network_data"])
def test_documents_that_are_no_unicode_text_are_refused_without_being_quoted(field: str) -> None:
    changes: dict[str, Any] = {field: "canary\ud800"}
    with pytest.raises(ValueError, match="Unicode") as refused:
        order(**changes)
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_remains_are_gone_only_when_empty() -> None:
    assert Remains().gone
    assert not Remains(("Secret ns/a",)).gone
