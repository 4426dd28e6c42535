"""Kubernetes' verbs as descriptions of requests: what both clients send, said once.

Nothing is sent here. Raises ValueError for an object without the name or namespace that its verb needs, or of another
kind than the resource.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kube.resources import SELF_SUBJECT_ACCESS_REVIEWS, SERVICE_ACCOUNTS, Object, Resource, namespace_of
from kube.wire import JSON, Query

PATCH_TYPES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}
APPLY_TYPE = "application/apply-patch+yaml"  # JSON is YAML; the newer name of the type is not known everywhere

PatchKind = Literal["merge", "json"]
PatchBody = Object | list[dict[str, Any]]
Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    query: Query | None = None
    body: object = None
    content_type: str = JSON


def build_list(
    resource: Resource,
    namespace: str | None,
    *,
    label_selector: str | None,
    field_selector: str | None,
    limit: int,
    continue_token: str | None,
) -> Call:
    query = {**_selectors(label_selector, field_selector), "limit": limit, "continue": continue_token}
    return Call("GET", resource.path(namespace), query)


def build_watch(
    resource: Resource,
    namespace: str | None,
    *,
    label_selector: str | None,
    field_selector: str | None,
    resource_version: str | None,
    timeout_seconds: int,
) -> Call:
    query = {
        **_selectors(label_selector, field_selector),
        "watch": True,
        "allowWatchBookmarks": True,
        "resourceVersion": resource_version,
        "timeoutSeconds": timeout_seconds,
    }
    return Call("GET", resource.path(namespace), query)


def build_create(resource: Resource, obj: Object, *, manager: str, dry_run: bool) -> Call:
    namespace = namespace_of(obj)
    if resource.namespaced and namespace is None:
        raise ValueError(f"{resource.kind} needs metadata.namespace")
    return Call("POST", resource.path(namespace), _write_query(manager, dry_run), _typed(resource, obj))


def build_replace(resource: Resource, obj: Object, *, manager: str, subresource: str | None) -> Call:
    return Call("PUT", _object_path(resource, obj, subresource), _write_query(manager), _typed(resource, obj))


def build_patch(
    resource: Resource,
    name: str,
    body: PatchBody,
    namespace: str | None,
    *,
    manager: str,
    subresource: str | None,
    kind: PatchKind,
) -> Call:
    return Call("PATCH", resource.path(namespace, name, subresource), _write_query(manager), body, PATCH_TYPES[kind])


def build_apply(
    resource: Resource, obj: Object, *, manager: str, force: bool, subresource: str | None, dry_run: bool
) -> Call:
    query = {**_write_query(manager, dry_run), "force": force}
    return Call("PATCH", _object_path(resource, obj, subresource), query, _typed(resource, obj), APPLY_TYPE)


def build_delete(
    resource: Resource,
    name: str,
    namespace: str | None,
    *,
    uid: str | None,
    resource_version: str | None,
    propagation: Propagation,
    grace_seconds: int | None,
) -> Call:
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    if uid is not None or resource_version is not None:
        options["preconditions"] = {key: value for key, value in preconditions.items() if value is not None}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    return Call("DELETE", resource.path(namespace, name), body=options)


def build_access_review(
    verb: str, resource: Resource, namespace: str | None, name: str | None, subresource: str | None
) -> Call:
    attributes = {
        "verb": verb,
        "group": resource.group,
        "version": resource.version,
        "resource": resource.plural,
        "namespace": namespace,
        "name": name,
        "subresource": subresource,
    }
    asked = {key: value for key, value in attributes.items() if value is not None}
    review = _typed(SELF_SUBJECT_ACCESS_REVIEWS, {"spec": {"resourceAttributes": asked}})
    return Call("POST", SELF_SUBJECT_ACCESS_REVIEWS.path(), body=review)


def build_token_request(namespace: str, service_account: str, seconds: int) -> Call:
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    return Call("POST", SERVICE_ACCOUNTS.path(namespace, service_account, "token"), body=body)


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str | int | bool | None]:
    return {"labelSelector": label_selector or None, "fieldSelector": field_selector or None}


def _write_query(manager: str, dry_run: bool = False) -> dict[str, str | int | bool | None]:
    return {"fieldManager": manager, "dryRun": "All" if dry_run else None}


def _object_path(resource: Resource, obj: Object, subresource: str | None) -> str:
    name = obj.get("metadata", {}).get("name")
    if not isinstance(name, str):
        raise ValueError("The object needs metadata.name")
    return resource.path(namespace_of(obj), name, subresource)


def _typed(resource: Resource, obj: Object) -> Object:
    """``obj`` with apiVersion and kind, which callers may leave out."""
    said = (obj.get("apiVersion", resource.api_version), obj.get("kind", resource.kind))
    if said != (resource.api_version, resource.kind):
        raise ValueError(f"{said[0]} {said[1]} is not {resource.api_version} {resource.kind}")
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
