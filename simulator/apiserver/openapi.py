"""OpenAPI v3 documents of the served kinds: enough for clients that look up which fields merge how, and whether the
server checks unknown fields."""

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from kube.resources import Object
from simulator.kinds import KindSpec
from simulator.kinds.metadata import object_schema

_VALIDATION = {
    "name": "fieldValidation",
    "in": "query",
    "schema": {"type": "string", "uniqueItems": True},
}
_STRING_PARAMETERS = ("dryRun", "fieldManager")


class OpenApi:
    """One document per group and version, made when first asked for."""

    def __init__(self, kinds: Iterable[KindSpec]) -> None:
        self._kinds: dict[str, list[KindSpec]] = {}
        for kind in kinds:
            if not kind.transient:
                self._kinds.setdefault(_root(kind), []).append(kind)
        self._documents: dict[str, Object] = {}

    def answer(self, path: str) -> Object | None:
        """The index at ``/openapi/v3``, or the document below it; None when there is none."""
        if path == "/openapi/v3":
            return {"paths": {root: {"serverRelativeURL": self._url(root)} for root in self._kinds}}
        root = path.removeprefix("/openapi/v3/")
        return self._document(root) if root in self._kinds else None

    def _url(self, root: str) -> str:
        digest = hashlib.sha256(orjson.dumps(self._document(root))).hexdigest().upper()
        return f"/openapi/v3/{root}?hash={digest}"

    def _document(self, root: str) -> Object:
        if root not in self._documents:
            kinds = self._kinds[root]
            paths: dict[str, Any] = {}
            for kind in kinds:
                paths |= _paths(kind)
            self._documents[root] = {
                "openapi": "3.0.0",
                "info": {"title": "Kubernetes", "version": "v1"},
                "paths": paths,
                "components": {"schemas": {_schema_name(kind): _schema(kind) for kind in kinds}},
            }
        return self._documents[root]


def _root(kind: KindSpec) -> str:
    resource = kind.resource
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


def _type(kind: KindSpec) -> dict[str, str]:
    return {"group": kind.resource.group, "version": kind.resource.version, "kind": kind.resource.kind}


def _schema_name(kind: KindSpec) -> str:
    """Reversed domain, version and kind, as names of definitions are."""
    group = kind.resource.group or "api.k8s.io"
    return ".".join([*reversed(group.split(".")), kind.resource.version, kind.resource.kind])


def _schema(kind: KindSpec) -> Object:
    return object_schema(kind) | {"x-kubernetes-group-version-kind": [_type(kind)]}


def _paths(kind: KindSpec) -> dict[str, Any]:
    namespace = "/namespaces/{namespace}" if kind.resource.namespaced else ""
    base = f"/{_root(kind)}{namespace}/{kind.resource.plural}"
    write = {
        "parameters": [
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in _STRING_PARAMETERS),
            _VALIDATION,
        ],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": _type(kind),
    }
    return {
        base: {"post": write | {"x-kubernetes-action": "post"}},
        f"{base}/{{name}}": {
            "put": write | {"x-kubernetes-action": "put"},
            "patch": write | {"x-kubernetes-action": "patch"},
        },
    }
