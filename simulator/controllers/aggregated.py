"""`subresources.kubevirt.io`: start, stop and restart of virtual machines, as KubeVirt's virt-api serves them.

One handler, used in two places: mounted in a simulated API server, which has authenticated and authorized the caller
already, or behind an APIService of a real kube-apiserver as a TLS server of its own, where callers must show the front
proxy's client certificate before their X-Remote-User counts. Rules are `power.py`'s (contract harvester-vm §3).
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from kube.aio import AsyncKubeClient
from kube.errors import Conflict, KubeError, NotFound
from kube.resources import (
    SUBRESOURCE_VIRTUAL_MACHINES,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
)
from simulator.apiserver.calls import error_response
from simulator.apiserver.status import ApiError
from simulator.controllers.power import ACTIONS, PowerChange, PowerRefused, RequestStateChange, SetRunStrategy

GROUP = SUBRESOURCE_VIRTUAL_MACHINES.group
VERSION = SUBRESOURCE_VIRTUAL_MACHINES.version
_MAX_BODY = 64 * 1024
_ATTEMPTS = 5
_log = logging.getLogger(__name__)


def served_resources() -> list[dict[str, Any]]:
    """The APIResource entries of discovery."""
    return [
        {
            "name": f"virtualmachines/{action}",
            "singularName": "",
            "namespaced": True,
            "kind": "VirtualMachine",
            "verbs": ["update"],
        }
        for action in sorted(ACTIONS)
    ]


class PowerApi:
    """Answers requests below `/apis/subresources.kubevirt.io/v1`. `client` acts as virt-api's own account."""

    def __init__(self, client: AsyncKubeClient) -> None:
        self._client = client

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request whose sender is known and allowed."""
        try:
            namespace, name, action = _read_path(request)
            if action not in ACTIONS:
                raise PowerRefused(501, "NotImplemented", f"virtualmachines/{action} is not simulated")
            if request.method != "PUT":
                raise PowerRefused(405, "MethodNotAllowed", f"{request.method} is not allowed on {action}")
            await self._act(namespace, name, action, await _read_options(request))
        except PowerRefused as refused:
            return refusal(refused.code, refused.reason, refused.message)
        except Conflict as error:
            return refusal(409, "Conflict", error.message)
        except KubeError as error:
            _log.warning("%s %s: %s", request.method, request.path, error)
            return refusal(error.code or 500, error.reason or "InternalError", error.message)
        return web.Response(status=202)

    async def _act(self, namespace: str, name: str, action: str, options: Mapping[str, Any]) -> None:
        """Looks and acts; when somebody changed the machine in between, once more on what it is now."""
        for _ in range(_ATTEMPTS - 1):
            try:
                await self._act_once(namespace, name, action, options)
            except Conflict:
                continue
            return
        await self._act_once(namespace, name, action, options)

    async def _act_once(self, namespace: str, name: str, action: str, options: Mapping[str, Any]) -> None:
        try:
            vm = await self._client.get(VIRTUAL_MACHINES, name, namespace)
        except NotFound:
            message = f'virtualmachine.kubevirt.io "{name}" not found'
            raise PowerRefused(404, "NotFound", message) from None
        instance = await self._client.find(VIRTUAL_MACHINE_INSTANCES, name, namespace)
        change = ACTIONS[action](vm, instance, options)
        if change is not None:
            await self._apply(vm, change)

    async def _apply(self, vm: Object, change: PowerChange) -> None:
        metadata = vm["metadata"]
        # Whoever changed the machine meanwhile may have changed what the rule looked at.
        guard = {"resourceVersion": metadata["resourceVersion"]}
        body: Object
        if isinstance(change, SetRunStrategy):
            body = {"metadata": guard, "spec": {"runStrategy": change.strategy}}
            await self._client.patch(VIRTUAL_MACHINES, metadata["name"], body, metadata["namespace"])
        elif isinstance(change, RequestStateChange):
            requests = [dict(request) for request in change.requests]
            body = {"metadata": guard, "status": {"stateChangeRequests": requests}}
            await self._client.patch(
                VIRTUAL_MACHINES, metadata["name"], body, metadata["namespace"], subresource="status"
            )


def _read_path(request: web.BaseRequest) -> tuple[str, str, str]:
    """Namespace, machine and action. Raises PowerRefused 404 for paths that this API does not have."""
    parts = request.path.strip("/").split("/")
    prefix = ["apis", GROUP, VERSION, "namespaces"]
    if len(parts) != 8 or parts[:4] != prefix or parts[5] not in ("virtualmachines", "virtualmachineinstances"):
        raise PowerRefused(404, "NotFound", "the server could not find the requested resource")
    if parts[5] == "virtualmachineinstances":
        raise PowerRefused(501, "NotImplemented", f"virtualmachineinstances/{parts[7]} is not simulated")
    return parts[4], parts[6], parts[7]


async def _read_options(request: web.BaseRequest) -> Mapping[str, Any]:
    """The JSON body, which may be empty. Raises PowerRefused 400 or 413."""
    body = await request.content.read(_MAX_BODY + 1)
    if len(body) > _MAX_BODY:
        raise PowerRefused(413, "RequestEntityTooLarge", "the body is too large")
    if not body.strip():
        return {}
    try:
        options = json.loads(body)
    except ValueError:
        raise PowerRefused(400, "BadRequest", "Can not unmarshal Request body to struct") from None
    if not isinstance(options, dict):
        raise PowerRefused(400, "BadRequest", "Can not unmarshal Request body to struct")
    return options


def refusal(code: int, reason: str, message: str) -> web.Response:
    """A `Status` that says no."""
    return error_response(ApiError(code, reason, message))
