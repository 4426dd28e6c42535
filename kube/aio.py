"""The asynchronous client: the same verbs, and watches, for whoever looks at many objects at once.

As ``kube.client`` it follows no redirect and sends no request twice. A list/watch that survives everything is
``kube.reflector``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from kube import verbs
from kube.async_transport import AsyncTransport
from kube.credentials import Credentials
from kube.errors import NotFound
from kube.guard import AddressGuard
from kube.resources import Object, Resource
from kube.wire import (
    JSON,
    MAX_RESPONSE_BYTES,
    Page,
    Query,
    WatchEvent,
    decode_body,
    decode_page,
    decode_watch_line,
    encode_body,
    encode_target,
    expect_object,
    request_headers,
)


class AsyncKubeClient:
    """Verbs and watches of one Kubernetes API, used from one event loop. Every method raises KubeError."""

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
        self._transport = AsyncTransport(credentials, guard, max_response_bytes=max_response_bytes)
        self._timeout = timeout
        self._field_manager = field_manager

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes all connections; watches that are open end with Unavailable."""
        await self._transport.aclose()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return expect_object(await self.call("GET", resource.path(namespace, name)))

    async def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when the API says that there is none (and not when the path is not served)."""
        try:
            return await self.get(resource, name, namespace)
        except NotFound:
            return None

    async def list_page(
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
        return decode_page(resource, await self._run(call))

    async def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        call = verbs.build_create(resource, obj, manager=self._field_manager, dry_run=dry_run)
        return expect_object(await self._run(call))

    async def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        call = verbs.build_replace(resource, obj, manager=self._field_manager, subresource=subresource)
        return expect_object(await self._run(call))

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: verbs.PatchBody,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        kind: verbs.PatchKind = "merge",
    ) -> Object:
        manager = self._field_manager
        call = verbs.build_patch(resource, name, body, namespace, manager=manager, subresource=subresource, kind=kind)
        return expect_object(await self._run(call))

    async def apply(
        self,
        resource: Resource,
        obj: Object,
        *,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        manager = self._field_manager
        call = verbs.build_apply(resource, obj, manager=manager, force=force, subresource=subresource, dry_run=dry_run)
        return expect_object(await self._run(call))

    async def delete(
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
        """True when the object was there, False when not; see ``KubeClient.delete``."""
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
            await self._run(call)
        except NotFound:
            return False
        return True

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float | None = None,  # noqa: ASYNC109  # the same signature as KubeClient's
    ) -> Any:
        """Any request. Answers decoded JSON (None when the body is empty), or text when ``accept`` is not JSON."""
        payload = encode_body(body)
        headers = [*self._headers, ("Accept", accept)]
        if payload is not None:
            headers.append(("Content-Type", content_type))
        seconds = self._timeout if timeout is None else timeout
        answer = await self._transport.call(method, encode_target(path, query), headers, payload, seconds)
        return decode_body(answer, accept)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        resource_version: str | None = None,
        timeout_seconds: int = 300,
        idle_timeout: float = 90.0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after ``resource_version``, bookmarks among them, until the server ends the watch, which it does
        after about ``timeout_seconds``.

        Raises RequestTimeout when no whole event came for ``idle_timeout`` seconds: the connection may be half open
        (FLT-20), and bookmarks come about every minute. Raises Expired when the version is too old (FLT-19). Leave it
        early under ``contextlib.aclosing``, so that the connection is closed at once.
        """
        call = verbs.build_watch(
            resource,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
            timeout_seconds=timeout_seconds,
        )
        target, headers = encode_target(call.path, call.query), [*self._headers, ("Accept", JSON)]
        async with aclosing(self._transport.lines(target, headers, idle_timeout)) as lines:
            async for line in lines:
                yield decode_watch_line(line)

    async def _run(self, call: verbs.Call) -> Any:
        return await self.call(call.method, call.path, query=call.query, body=call.body, content_type=call.content_type)
