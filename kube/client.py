"""The synchronous client: Kubernetes' verbs on plain dicts.

One client holds one warm pool and may be shared by threads. It follows no redirect and retries nothing: whether and
when to ask again is the reconcilers' decision, for which each error says by its class whether it can help.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlencode

from kube.credentials import Credentials
from kube.errors import Expired, Garbled, NotFound, error_from_response
from kube.guard import AddressGuard
from kube.resources import SELF_SUBJECT_ACCESS_REVIEWS, SERVICE_ACCOUNTS, Object, Resource, namespace_of
from kube.transport import Transport
from kube.wire import (
    APPLY_TYPE,
    JSON,
    MAX_RESPONSE_BYTES,
    PAGE_SIZE,
    PATCH_TYPES,
    Page,
    Query,
    check_path,
    decode_body,
    decode_page,
    encode_body,
    expect_object,
    list_query,
    query_pairs,
    request_headers,
    typed,
)

LIST_RESTARTS = 3

# Named here, because inside the class `list` is the verb.
Objects = list[Object]
JsonPatch = list[dict[str, Any]]
ServedGroups = dict[str, list[str]]


class KubeClient:
    """Verbs of one Kubernetes API. Every method raises ``kube.errors.KubeError``; times are in seconds."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        guard: AddressGuard,
        timeout: float = 10.0,
        field_manager: str = "paddock",
        impersonate_user: str | None = None,
        impersonate_groups: Sequence[str] = (),
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        """Connects to nothing yet. Raises TlsRefused when the key material is unusable, ValueError for an identity
        that cannot stand in a header."""
        self._headers = request_headers(credentials, impersonate_user, impersonate_groups)
        self._transport = Transport(credentials, guard, max_response_bytes=max_response_bytes)
        self._timeout = timeout
        self._field_manager = field_manager

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes idle connections. A request of another thread that is under way is not cut off."""
        self._transport.close()

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return expect_object(self.call("GET", resource.path(namespace, name)))

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when the API says that there is none (and not when the path is not served)."""
        try:
            return self.get(resource, name, namespace)
        except NotFound:
            return None

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Objects:
        """All objects, read in pages. When the snapshot expires on the way, it starts again (FLT-21): the result is
        one moment's whole list or an error, never a part."""
        for attempt in range(1, LIST_RESTARTS + 1):
            try:
                return self._list_once(resource, namespace, label_selector, field_selector)
            except Expired:
                if attempt == LIST_RESTARTS:
                    raise
        raise AssertionError("unreachable")

    def _list_once(
        self, resource: Resource, namespace: str | None, label_selector: str | None, field_selector: str | None
    ) -> Objects:
        items: Objects = []
        token: str | None = None
        while True:
            page = self.list_page(
                resource,
                namespace,
                limit=PAGE_SIZE,
                continue_token=token,
                label_selector=label_selector,
                field_selector=field_selector,
            )
            items += page.items
            if page.continue_token is None:
                return items
            if page.continue_token == token:
                raise Garbled("The list continues where it was")
            token = page.continue_token

    def list_page(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        limit: int,
        continue_token: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Page:
        """One page. Raises Expired when ``continue_token`` is too old."""
        query = list_query(
            label_selector=label_selector, field_selector=field_selector, limit=limit, continue_token=continue_token
        )
        return decode_page(resource, self.call("GET", resource.path(namespace), query=query))

    def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Raises AlreadyExists when the name is taken."""
        namespace = self._required_namespace(resource, obj)
        query = self._write_query(dry_run=dry_run)
        return expect_object(self.call("POST", resource.path(namespace), query=query, body=typed(resource, obj)))

    def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        """Writes the whole object; a resourceVersion in it is a precondition (Conflict when it is not the latest)."""
        path = resource.path(namespace_of(obj), self._required_name(obj), subresource)
        return expect_object(self.call("PUT", path, query=self._write_query(), body=typed(resource, obj)))

    def patch(
        self,
        resource: Resource,
        name: str,
        body: Object | JsonPatch,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        kind: Literal["merge", "json"] = "merge",
    ) -> Object:
        """A JSON merge patch (RFC 7396) or JSON patch (RFC 6902). uid and resourceVersion in a merge patch's metadata
        are preconditions."""
        path = resource.path(namespace, name, subresource)
        content_type = PATCH_TYPES[kind]
        return expect_object(self.call("PATCH", path, query=self._write_query(), body=body, content_type=content_type))

    def apply(
        self,
        resource: Resource,
        obj: Object,
        *,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply: creates or changes; the fields in ``obj`` are this field manager's from then on. Without
        ``force``, Conflict when another manager owns one of them."""
        path = resource.path(namespace_of(obj), self._required_name(obj), subresource)
        query = {**self._write_query(dry_run=dry_run), "force": force}
        body = typed(resource, obj)
        return expect_object(self.call("PATCH", path, query=query, body=body, content_type=APPLY_TYPE))

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_seconds: int | None = None,
    ) -> bool:
        """Asks for deletion; True when the object was there (finalizers may keep it for a while), False when not.

        ``uid`` and ``resource_version`` are preconditions: Conflict when the object is another one by now.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid is not None or resource_version is not None:
            options["preconditions"] = {key: value for key, value in preconditions.items() if value is not None}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self.call("DELETE", resource.path(namespace, name), body=options)
        except NotFound:
            return False
        return True

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float | None = None,
    ) -> Any:
        """Any request: subresources, discovery, health. Answers decoded JSON (None when the body is empty), or text
        when ``accept`` is not JSON."""
        pairs = query_pairs(query)
        target = check_path(path) + (f"?{urlencode(pairs)}" if pairs else "")
        payload = encode_body(body)
        headers = [*self._headers, ("Accept", accept)]
        if payload is not None:
            headers.append(("Content-Type", content_type))
        answer = self._transport.send(method, target, headers, payload, self._timeout if timeout is None else timeout)
        if not 200 <= answer.status < 300:
            raise error_from_response(answer.status, answer.headers, answer.body)
        return decode_body(answer.body, accept)

    def version(self) -> Object:
        """``/version``: gitVersion, major, minor and so on."""
        return expect_object(self.call("GET", "/version"))

    def api_groups(self) -> ServedGroups:
        """Served API groups with their versions, the preferred one first; "" is the core group."""
        core = expect_object(self.call("GET", "/api"))
        groups = expect_object(self.call("GET", "/apis"))
        try:
            served = {"": [str(version) for version in core["versions"]]}
            for group in groups["groups"]:
                preferred = group["preferredVersion"]["version"]
                versions = [version["version"] for version in group["versions"]]
                served[group["name"]] = sorted(versions, key=lambda version: version != preferred)
        except (KeyError, TypeError) as error:
            raise Garbled("The list of API groups is malformed") from error
        return served

    def can_i(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
    ) -> bool:
        """Whether the API would allow this to these credentials; ``namespace`` None asks for all namespaces."""
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
        review = self.create(SELF_SUBJECT_ACCESS_REVIEWS, {"spec": {"resourceAttributes": asked}})
        status = review.get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    def request_token(self, namespace: str, service_account: str, seconds: int) -> tuple[str, datetime]:
        """A bound token of a service account and when it expires, which the server may have made sooner or later."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        answer = expect_object(self.call("POST", SERVICE_ACCOUNTS.path(namespace, service_account, "token"), body=body))
        try:
            token, expires = answer["status"]["token"], datetime.fromisoformat(answer["status"]["expirationTimestamp"])
        except (KeyError, TypeError, ValueError) as error:
            raise Garbled("The answer to a token request is malformed") from error
        if not isinstance(token, str) or not token or expires.tzinfo is None:
            raise Garbled("The answer to a token request is malformed")
        return token, expires

    def _write_query(self, *, dry_run: bool = False) -> dict[str, str | int | bool | None]:
        return {"fieldManager": self._field_manager, "dryRun": "All" if dry_run else None}

    @staticmethod
    def _required_namespace(resource: Resource, obj: Object) -> str | None:
        namespace = namespace_of(obj)
        if resource.namespaced and namespace is None:
            raise ValueError(f"{resource.kind} needs metadata.namespace")
        return namespace

    @staticmethod
    def _required_name(obj: Object) -> str:
        name = obj.get("metadata", {}).get("name")
        if not isinstance(name, str):
            raise ValueError("The object needs metadata.name")
        return name
