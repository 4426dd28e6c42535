"""Typed reading of ``metadata``, which every object has: checked once, so that nobody downstream meets a wrong type."""

from __future__ import annotations

from datetime import datetime

import msgspec

from kube.errors import Garbled
from kube.resources import Object


class OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The part of apimachinery's ObjectMeta that Paddock reads; null counts as absent, other fields are ignored."""

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None
    finalizers: tuple[str, ...] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Namespace ("" when there is none) and name: what an object is called among its kind."""
        return (self.namespace or "", self.name)


def read_metadata(obj: Object) -> ObjectMeta:
    """Raises Garbled when a field has the wrong type."""
    try:
        return msgspec.convert(obj.get("metadata"), ObjectMeta)
    except msgspec.ValidationError as error:
        raise Garbled(f"The object's metadata is malformed: {error}") from error
