"""The verbs on resources over HTTP: from a call to the registry and back to an answer."""

import asyncio
from collections.abc import Sequence
from functools import partial

import orjson
from aiohttp import web

from kube.resources import Object
from simulator.apiserver import status
from simulator.apiserver.calls import Call, json_response
from simulator.apiserver.deletion import DeleteOptions
from simulator.apiserver.negotiation import Form, wanted_form
from simulator.apiserver.paging import Page, list_page, matchers, refuse_future
from simulator.apiserver.patches import APPLY, patch_function
from simulator.apiserver.registry import Admit, Registry, WriteOptions
from simulator.apiserver.storage import Stored
from simulator.apiserver.tables import build_table
from simulator.apiserver.watching import Watch
from simulator.kinds import KindSpec

_FIELD_VALIDATION = ("Ignore", "Warn", "Strict")


class Endpoints:
    """Serves every stored kind of a registry. ``stopping`` ends watches."""

    def __init__(self, registry: Registry, stopping: asyncio.Event) -> None:
        self._registry = registry
        self._stopping = stopping

    async def serve(self, call: Call, kind: KindSpec, admit: Admit) -> web.StreamResponse:
        """Answer a request for the kind itself or its status. Raises ApiError."""
        verb = call.info.verb
        if kind.refuses_writes and verb not in ("get", "list", "watch"):
            raise status.not_simulated(kind.refuses_writes)
        match verb:
            case "get":
                return self._get(call, kind)
            case "list":
                return self._list(call, kind)
            case "watch":
                return await self._watch(call, kind)
            case "create" if not call.info.name:
                return await self._create(call, kind, admit)
            case "update" if call.info.name:
                return await self._update(call, kind, admit)
            case "patch" if call.info.name:
                return await self._patch(call, kind, admit)
            case "delete" if not call.info.subresource:
                return await self._delete(call, kind)
            case "deletecollection":
                return await self._delete_collection(call, kind)
        raise status.method_not_allowed(call.request.method)

    def _get(self, call: Call, kind: KindSpec) -> web.Response:
        refuse_future(self._registry.store, call.query)
        stored = self._registry.get(kind, _namespace(call, kind), call.info.name)
        return self._object(call, kind, stored.object)

    def _list(self, call: Call, kind: KindSpec) -> web.Response:
        form = wanted_form(call.request)
        collection = self._registry.store.collection(kind)
        page = list_page(self._registry.store, collection, _namespace(call, kind), call.query)
        metadata = _list_metadata(page)
        if form is Form.TABLE:
            objects = (item.object for item in page.items)
            return json_response(build_table(kind, objects, call.query.get("includeObject", ""), metadata))
        if form is Form.METADATA:
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            items = [_metadata_only(item.object) for item in page.items]
            return json_response(head | {"items": items})
        return json_response(_list_body(kind, page.items, metadata))

    async def _watch(self, call: Call, kind: KindSpec) -> web.StreamResponse:
        collection = self._registry.store.collection(kind)
        present = _presenter(call, kind, wanted_form(call.request))
        watch = Watch(self._registry.store, collection, _namespace(call, kind), call.query, present, self._stopping)
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        response.enable_chunked_encoding()
        await response.prepare(call.request)
        async for line in watch.lines():
            await response.write(line)
        await response.write_eof()
        return response

    async def _create(self, call: Call, kind: KindSpec, admit: Admit) -> web.Response:
        if kind.resource.namespaced and not call.info.namespace:
            raise status.method_not_allowed("POST")
        obj = await call.json_body()
        options = self._options(call, admit)
        created = self._registry.create(kind, _namespace(call, kind), obj, options)
        return self._object(call, kind, created, 201, options.warnings)

    async def _update(self, call: Call, kind: KindSpec, admit: Admit) -> web.Response:
        obj = await call.json_body()
        options = self._options(call, admit)
        info = call.info
        updated = self._registry.replace(kind, _namespace(call, kind), info.name, obj, options, info.subresource)
        return self._object(call, kind, updated, 200, options.warnings)

    async def _patch(self, call: Call, kind: KindSpec, admit: Admit) -> web.Response:
        body = call.decode(await call.body())
        options = self._options(call, admit)
        info = call.info
        if call.content_type == APPLY:
            return self._apply(call, kind, body, options)
        if "force" in call.query:
            message = "Forbidden: may not be specified for non-apply patch"
            raise status.invalid_option("PATCH", "force", "FieldValueForbidden", message)
        change = patch_function(call.content_type, kind, body)
        patched = self._registry.change(kind, _namespace(call, kind), info.name, change, options, info.subresource)
        return self._object(call, kind, patched, 200, options.warnings)

    def _apply(self, call: Call, kind: KindSpec, body: object, options: WriteOptions) -> web.Response:
        if not isinstance(body, dict):
            raise status.bad_request("the body must be one object")
        if not call.query.get("fieldManager"):
            message = "Required value: is required for apply patch"
            raise status.invalid_option("PATCH", "fieldManager", "FieldValueRequired", message)
        info = call.info
        applied, is_new = self._registry.apply(
            kind, _namespace(call, kind), info.name, body, options, info.subresource, force=call.asks("force")
        )
        return self._object(call, kind, applied, 201 if is_new else 200, options.warnings)

    async def _delete(self, call: Call, kind: KindSpec) -> web.Response:
        options, dry_run = await self._delete_options(call)
        info = call.info
        deleted, gone = self._registry.delete(kind, _namespace(call, kind), info.name, options, dry_run=dry_run)
        if not gone or kind.returns_deleted:
            return self._object(call, kind, deleted)
        details = {"name": info.name, "kind": kind.resource.plural, "uid": deleted["metadata"]["uid"]}
        if kind.resource.group:
            details["group"] = kind.resource.group
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return json_response(body)

    async def _delete_collection(self, call: Call, kind: KindSpec) -> web.Response:
        if kind.resource.namespaced and not call.info.namespace:
            raise status.method_not_allowed("DELETE")
        options, dry_run = await self._delete_options(call)
        collection = self._registry.store.collection(kind)
        tests = matchers(collection, call.query)
        found = [item for item in collection.list(_namespace(call, kind)) if all(test(item.object) for test in tests)]
        for item in found:
            self._registry.delete(kind, *item.key, options, dry_run=dry_run)
        return json_response(_list_body(kind, found, {"resourceVersion": str(self._registry.store.revision)}))

    async def _delete_options(self, call: Call) -> tuple[DeleteOptions, bool]:
        raw = await call.body()
        body = call.decode(raw) if raw else {}
        options = DeleteOptions.parse(body, call.query)
        return options, call.dry_run or body.get("dryRun") == ["All"]

    def _options(self, call: Call, admit: Admit) -> WriteOptions:
        validation = call.query.get("fieldValidation") or "Warn"
        if validation not in _FIELD_VALIDATION:
            message = f'Unsupported value: "{validation[:40]}": supported values: {", ".join(_FIELD_VALIDATION)}'
            raise status.invalid_option(call.request.method, "fieldValidation", "FieldValueNotSupported", message)
        return WriteOptions(call.manager, call.dry_run, validation, admit)

    def _object(
        self, call: Call, kind: KindSpec, obj: Object, code: int = 200, warnings: Sequence[str] = ()
    ) -> web.Response:
        present = _presenter(call, kind, wanted_form(call.request))
        return json_response(present(Stored(obj, 0)), code, [*call.warnings, *warnings])


def _namespace(call: Call, kind: KindSpec) -> str:
    return call.info.namespace if kind.resource.namespaced else ""


def _presenter(call: Call, kind: KindSpec, form: Form) -> "partial[bytes]":
    return partial(_present, kind, form, call.query.get("includeObject", ""))


def _present(kind: KindSpec, form: Form, include: str, stored: Stored) -> bytes:
    if form is Form.TABLE:
        version = {"resourceVersion": stored.object["metadata"].get("resourceVersion", "")}
        return orjson.dumps(build_table(kind, [stored.object], include, version))
    if form is Form.METADATA:
        return orjson.dumps(_metadata_only(stored.object))
    return stored.json


def _metadata_only(obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _list_metadata(page: Page) -> Object:
    metadata: Object = {"resourceVersion": str(page.revision)}
    if page.continue_token:
        metadata["continue"] = page.continue_token
    if page.remaining is not None:
        metadata["remainingItemCount"] = page.remaining
    return metadata


def _list_body(kind: KindSpec, items: Sequence[Stored], metadata: Object) -> bytes:
    """A list; the JSON of its items is reused. Items of built-in kinds come without apiVersion and kind."""
    head = orjson.dumps({"kind": kind.list_kind, "apiVersion": kind.resource.api_version, "metadata": metadata})
    if kind.builtin:
        bodies = [
            orjson.dumps({name: value for name, value in item.object.items() if name not in ("apiVersion", "kind")})
            for item in items
        ]
    else:
        bodies = [item.json for item in items]
    return head[:-1] + b',"items":[' + b",".join(bodies) + b"]}"
