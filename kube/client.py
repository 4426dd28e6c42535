"""The synchronous client: Kubernetes' verbs on plain dicts.

One client holds one warm pool and may be shared by threads. It follows no redirect and retries nothing: whether and
when to ask again is the reconcilers' decision, for which each error says by its class whether it can help.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from kube import verbs
from kube.credentials import Credentials
from kube.errors import Expired, Garbled, NotFound, error_from_response
from kube.guard import AddressGuard
from kube.resources import Object, Resource
from kube.transport import Transport
from kube.wire import (
    JSON,
    MAX_RESPONSE_BYTES,
    PAGE_SIZE,
    Page,
    Query,
    decode_access,
    decode_body,
    decode_groups,
    decode_page,
    decode_token,
    encode_body,
    encode_target,
    expect_object,
    request_headers,
)

LIST_RESTARTS = 3

# Named here, because inside the class `list` is the verb.
Objects = list[Object]
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
        """Closes idle connections; a request of another thread that is under way is not cut off."""
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
        for _ in range(LIST_RESTARTS - 1):
            try:
                return self._list_once(resource, namespace, label_selector, field_selector)
            except Expired:
                continue
        return self._list_once(resource, namespace, label_selector, field_selector)

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
                raise Garbled("The list does not go on")
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
        call = verbs.build_list(
            resource,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            continue_token=continue_token,
        )
        return decode_page(resource, self._run(call))

    def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        """Raises AlreadyExists when the name is taken."""
        call = verbs.build_create(resource, obj, manager=self._field_manager, dry_run=dry_run)
        return expect_object(self._run(call))

    def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        """Writes the whole object; a resourceVersion in it is a precondition (Conflict when it is not the latest)."""
        call = verbs.build_replace(resource, obj, manager=self._field_manager, subresource=subresource)
        return expect_object(self._run(call))

    def patch(
        self,
        resource: Resource,
        name: str,
        body: verbs.PatchBody,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        kind: verbs.PatchKind = "merge",
    ) -> Object:
        """A JSON merge patch (RFC 7396) or JSON patch (RFC 6902). uid and resourceVersion in a merge patch's metadata
        are preconditions."""
        manager = self._field_manager
        call = verbs.build_patch(resource, name, body, namespace, manager=manager, subresource=subresource, kind=kind)
        return expect_object(self._run(call))

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
        manager = self._field_manager
        call = verbs.build_apply(resource, obj, manager=manager, force=force, subresource=subresource, dry_run=dry_run)
        return expect_object(self._run(call))

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: verbs.Propagation = "Background",
        grace_seconds: int | None = None,
    ) -> bool:
        """Asks for deletion; True when the object was there (finalizers may keep it for a while), False when not.

        ``uid`` and ``resource_version`` are preconditions: Conflict when the object is another one by now.
        """
        call = verbs.build_delete(
            resource,
            name,
            namespace,
            uid=uid,
            resource_version=resource_version,
            propagation=propagation,
            grace_seconds=grace_seconds,
        )
        try:
            self._run(call)
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
        target, payload = encode_target(path, query), encode_body(body)
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
        return decode_groups(self.call("GET", "/api"), self.call("GET", "/apis"))

    def can_i(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
    ) -> bool:
        """Whether the API would allow this to these credentials; ``namespace`` None asks for all namespaces."""
        return decode_access(self._run(verbs.build_access_review(verb, resource, namespace, name, subresource)))

    def request_token(self, namespace: str, service_account: str, seconds: int) -> tuple[str, datetime]:
        """A bound token of a service account and when it expires, which the server may have made sooner or later."""
        return decode_token(self._run(verbs.build_token_request(namespace, service_account, seconds)))

    def _run(self, call: verbs.Call) -> Any:
        return self.call(call.method, call.path, query=call.query, body=call.body, content_type=call.content_type)
