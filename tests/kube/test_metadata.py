"""Typed metadata: what is read, and that a hostile member's wrong types end here (SEC-73)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kube.errors import Garbled
from kube.metadata import read_metadata


def test_metadata_is_read_with_its_types() -> None:
    meta = read_metadata(
        {
            "metadata": {
                "name": "web",
                "namespace": "prod",
                "uid": "u-1",
                "resourceVersion": "7",
                "generation": 3,
                "labels": {"a": "b"},
                "finalizers": ["x/y"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-2", "controller": True}],
                "creationTimestamp": "2026-11-24T10:00:00Z",
                "deletionTimestamp": None,
                "managedFields": [{"manager": "x"}],
            }
        }
    )
    assert meta.key == ("prod", "web")
    assert meta.resource_version == "7"
    assert meta.labels == {"a": "b"}
    assert meta.owner_references is not None
    assert meta.owner_references[0].controller
    assert meta.creation_timestamp == datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert meta.deletion_timestamp is None


def test_an_object_of_no_namespace_has_an_empty_one_in_its_key() -> None:
    assert read_metadata({"metadata": {"name": "n1"}}).key == ("", "n1")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        {"name": 7},
        {"labels": ["a"]},
        {"labels": {"a": 1}},
        {"creationTimestamp": "yesterday"},
        {"ownerReferences": [{"name": "p"}]},
        {"finalizers": "x"},
        {"generation": "3"},
    ],
)
def test_sec73_wrong_types_are_garbled(metadata: object) -> None:
    with pytest.raises(Garbled, match="metadata"):
        read_metadata({"metadata": metadata})
