"""The kind table and the CRDs made from it."""

from collections.abc import Iterator
from typing import Any

import pytest

from kube.resources import SETTINGS, VIRTUAL_MACHINE_INSTANCE_MIGRATIONS, VIRTUAL_MACHINE_INSTANCES, VIRTUAL_MACHINES
from simulator.apiserver.jsonpath import first
from simulator.apiserver.schema import fill_defaults, validate
from simulator.kinds import BUILTIN_KINDS, HARVESTER_KINDS, KindSpec, build_crds
from simulator.kinds.crds import build_crd
from simulator.kinds.metadata import object_schema
from simulator.kinds.schema import Schema
from tests.bed.crds import real_crds

CUSTOM_KINDS = [kind for kind in HARVESTER_KINDS if not kind.builtin]

by_key = pytest.mark.parametrize("kind", HARVESTER_KINDS, ids=lambda kind: kind.key)
by_custom_key = pytest.mark.parametrize("kind", CUSTOM_KINDS, ids=lambda kind: kind.key)


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every node of a schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from nodes(schema[name], f"{path}[]")


def schema_of(crd: dict[str, Any], version: str) -> Schema:
    found = next(item for item in crd["spec"]["versions"] if item["name"] == version)
    schema: Schema = found["schema"]["openAPIV3Schema"]
    return schema


def test_no_kind_stands_twice_in_the_table() -> None:
    resources = [kind.resource for kind in HARVESTER_KINDS]
    assert len({(item.group, item.plural) for item in resources}) == len(resources)
    assert len({(item.api_version, item.kind) for item in resources}) == len(resources)


def test_short_names_are_clear_within_a_group() -> None:
    names = [
        (kind.resource.group, name) for kind in HARVESTER_KINDS for name in (*kind.short_names, kind.singular) if name
    ]
    assert len(set(names)) == len(names)


@by_key
def test_every_node_of_a_schema_has_a_type(kind: KindSpec) -> None:
    for path, node in nodes(object_schema(kind)):
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path


@by_key
def test_what_is_required_is_described(kind: KindSpec) -> None:
    for path, node in nodes(kind.schema):
        assert set(node.get("required", [])) <= set(node.get("properties", {})) or "spec" in node["required"], path


@by_key
def test_keys_of_lists_that_are_maps_are_fields_of_their_items(kind: KindSpec) -> None:
    for path, node in nodes(object_schema(kind)):
        if node.get("x-kubernetes-list-type") == "map":
            assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["properties"]), path


@by_key
def test_defaults_are_valid(kind: KindSpec) -> None:
    for path, node in nodes(kind.schema):
        if "default" in node:
            assert validate(node, node["default"]) == [], path


@by_key
def test_defaults_filled_in_twice_are_those_filled_in_once(kind: KindSpec) -> None:
    obj: dict[str, Any] = {"spec": {}, "status": {}}
    fill_defaults(kind.schema, obj)
    once = repr(obj)
    fill_defaults(kind.schema, obj)
    assert repr(obj) == once


@by_key
def test_columns_have_paths_that_can_be_read(kind: KindSpec) -> None:
    for column in kind.columns:
        assert first({}, column.path) is None


def test_crds_are_made_of_the_custom_kinds_alone_and_in_order() -> None:
    names = [crd["metadata"]["name"] for crd in build_crds()]
    assert names == sorted(kind.key for kind in CUSTOM_KINDS)


def test_a_built_in_kind_has_no_crd() -> None:
    with pytest.raises(ValueError, match="built into"):
        build_crd(BUILTIN_KINDS[0])


@by_custom_key
def test_a_crd_says_what_the_table_says(kind: KindSpec) -> None:
    crd = build_crd(kind)
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
    assert (names["kind"], names["listKind"]) == (kind.resource.kind, f"{kind.resource.kind}List")
    assert crd["spec"]["scope"] == ("Namespaced" if kind.resource.namespaced else "Cluster")
    (version,) = crd["spec"]["versions"]
    assert (version["name"], version["served"], version["storage"]) == (kind.resource.version, True, True)
    assert ("status" in version.get("subresources", {})) == kind.status


def test_a_crd_has_no_words_that_only_built_in_kinds_may_say() -> None:
    for crd in build_crds():
        for path, node in nodes(schema_of(crd, crd["spec"]["versions"][0]["name"])):
            assert not [word for word in node if word.startswith("x-kubernetes-patch")], path


def test_the_status_subresource_is_where_the_contract_says() -> None:
    with_status = {kind.resource for kind in CUSTOM_KINDS if kind.status}
    assert with_status == {VIRTUAL_MACHINES, VIRTUAL_MACHINE_INSTANCE_MIGRATIONS}
    assert VIRTUAL_MACHINE_INSTANCES not in with_status


def test_a_settings_value_stands_beside_its_metadata() -> None:
    kind = next(kind for kind in CUSTOM_KINDS if kind.resource == SETTINGS)
    assert "value" in kind.schema["properties"]


@by_custom_key
def test_every_field_of_ours_is_one_of_the_upstream_crd(kind: KindSpec) -> None:
    """So that nothing is written here that a real Harvester cluster would drop or refuse."""
    crds = real_crds({kind.resource.group})
    if crds is None:
        pytest.skip("real CRDs not at hand: PADDOCK_CRDS names no folder")
    upstream = next(crd for crd in crds if crd["metadata"]["name"] == kind.key)
    version = next(item for item in upstream["spec"]["versions"] if item["name"] == kind.resource.version)
    assert ("status" in (version.get("subresources") or {})) == kind.status
    differences = list(_differences(kind.schema, schema_of(upstream, kind.resource.version)))
    assert differences == []


def _differences(ours: Schema, theirs: Schema, path: str = "") -> Iterator[str]:
    if _keeps_anything(theirs):
        return
    if ours.get("type") != theirs.get("type"):
        yield f"{path}: {ours.get('type')}, upstream {theirs.get('type')}"
    if "enum" in ours and not set(ours["enum"]) <= set(theirs.get("enum") or ours["enum"]):
        yield f"{path}: {ours['enum']}, upstream {theirs['enum']}"
    if set(theirs.get("required", [])) - set(ours.get("required", [])) and "properties" in ours:
        yield f"{path}: requires {ours.get('required')}, upstream {theirs['required']}"
    for name, child in ours.get("properties", {}).items():
        if name in theirs.get("properties", {}):
            yield from _differences(child, theirs["properties"][name], f"{path}.{name}")
        elif not theirs.get("additionalProperties"):
            yield f"{path}.{name} is not upstream"
    for name in ("items", "additionalProperties"):
        if isinstance(ours.get(name), dict) and isinstance(theirs.get(name), dict):
            yield from _differences(ours[name], theirs[name], f"{path}[]")


def _keeps_anything(schema: Schema) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields"))
