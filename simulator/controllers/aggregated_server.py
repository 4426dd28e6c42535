"""The power API as an aggregated API server: TLS of its own, behind an APIService of a real kube-apiserver.

The sender is who X-Remote-User says, and only when the connection shows a client certificate of the front proxy's
authority, which kube-apiserver publishes (ConfigMap kube-system/extension-apiserver-authentication). Whether the sender
may is checked by kube-apiserver before it passes the request on.
"""

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from kube.aio import AsyncKubeClient
from kube.errors import KubeError
from kube.resources import API_SERVICES, CONFIG_MAPS, NAMESPACES, SERVICES, Object
from simulator.apiserver import Authority
from simulator.apiserver.authority import KeyPair
from simulator.apiserver.listeners import Listener
from simulator.conditions import condition_status
from simulator.controllers.aggregated import GROUP, VERSION, PowerApi, refusal, served_resources
from simulator.controllers.objects import ObjectWriter

_NAMESPACE = "harvester-system"
_SERVICE = "virt-api"
_REGISTRATION_SECONDS = 30.0
_AUTHENTICATION = "extension-apiserver-authentication"


@dataclass(frozen=True, slots=True)
class FrontProxyTrust:
    """Whose word on users counts: certificates of `ca_pem` with one of `names` (any, when there are none)."""

    ca_pem: str
    names: tuple[str, ...]


async def read_front_proxy_trust(client: AsyncKubeClient) -> FrontProxyTrust:
    """What kube-apiserver publishes of its front proxy. Raises LookupError when it has none."""
    published = await client.get(CONFIG_MAPS, _AUTHENTICATION, "kube-system")
    data = published.get("data") or {}
    ca_pem = data.get("requestheader-client-ca-file")
    if not ca_pem:
        raise LookupError("the API server has no front proxy: start it with --requestheader-client-ca-file")
    return FrontProxyTrust(ca_pem, tuple(json.loads(data.get("requestheader-allowed-names", "[]"))))


class AggregatedServer:
    """Serves `PowerApi` on loopback and registers it. `client` acts as virt-api's own account."""

    def __init__(self, client: AsyncKubeClient, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._client = client
        self._writer = ObjectWriter(client)
        self._power = PowerApi(client)
        self._address = (host, port)
        self._trust: FrontProxyTrust | None = None
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Listens, registers, and returns when the API server passes requests on. Raises OSError when the address is
        taken, KubeError, and TimeoutError when it does not within half a minute."""
        ca_pem = await self.listen(await read_front_proxy_trust(self._client))
        await self._register(int(self.url.rpartition(":")[2]), ca_pem)
        async with asyncio.timeout(_REGISTRATION_SECONDS):
            await self._wait_available()

    async def _wait_available(self) -> None:
        while True:
            if await self._is_available():
                return
            await asyncio.sleep(0.1)

    async def _is_available(self) -> bool:
        registration = await self._client.get(API_SERVICES, f"{VERSION}.{GROUP}")
        conditions = registration.get("status", {}).get("conditions") or []
        if condition_status(conditions, "Available") != "True":
            return False
        try:
            await self._client.call("GET", f"/apis/{GROUP}/{VERSION}")
        except KubeError:
            return False
        return True

    async def listen(self, trust: FrontProxyTrust) -> str:
        """Listens; returns the certificate of the authority that its own certificate is of. Raises OSError."""
        self._trust = trust
        own = Authority.generate(_SERVICE)
        authority = Authority(own.server_ca, KeyPair(trust.ca_pem, ""), own.account_key)
        host, port = self._address
        context = authority.server_context((f"{_SERVICE}.{_NAMESPACE}.svc", host))
        self._listener = Listener(host, port, context, self.answer)
        await self._listener.start()
        return own.server_ca.certificate

    async def close(self) -> None:
        """Listens no more."""
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    async def stop(self) -> None:
        """Unregisters first: an APIService whose server is gone holds up the end of every namespace."""
        await self._client.delete(API_SERVICES, f"{VERSION}.{GROUP}")
        await self.close()

    @property
    def url(self) -> str:
        """Where it listens. Raises RuntimeError before the start."""
        if self._listener is None:
            raise RuntimeError("the server is not listening")
        return self._listener.url

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request: discovery, or an action of a sender whom the front proxy vouches for."""
        if not self._is_front_proxy(request) or not request.headers.get("X-Remote-User"):
            return refusal(401, "Unauthorized", "Unauthorized")
        if request.method == "GET":
            document = _discovery(request.path.rstrip("/"))
            return web.json_response(document) if document is not None else web.Response(status=404)
        return await self._power.answer(request)

    def _is_front_proxy(self, request: web.BaseRequest) -> bool:
        peer = request.transport.get_extra_info("peercert") if request.transport else None
        if not peer or self._trust is None:
            return False
        names = [value for part in peer.get("subject", ()) for key, value in part if key == "commonName"]
        return not self._trust.names or any(name in self._trust.names for name in names)

    async def _register(self, port: int, ca_pem: str) -> None:
        await self._writer.ensure(NAMESPACES, {"metadata": {"name": _NAMESPACE}})
        service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
        # A leftover may name another port; as a Service it is cheaper to make anew than to compare.
        await self._client.delete(SERVICES, _SERVICE, _NAMESPACE)
        await self._client.create(SERVICES, {"metadata": {"name": _SERVICE, "namespace": _NAMESPACE}, "spec": service})
        spec = {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "caBundle": base64.b64encode(ca_pem.encode()).decode(),
            "service": {"namespace": _NAMESPACE, "name": _SERVICE, "port": port},
        }
        registration: Object = {"metadata": {"name": f"{VERSION}.{GROUP}"}, "spec": spec}
        if not await self._writer.ensure(API_SERVICES, registration):
            await self._writer.patch(API_SERVICES, registration, {"spec": spec})


def _discovery(path: str) -> dict[str, Any] | None:
    version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    group = {"name": GROUP, "versions": [version], "preferredVersion": version}
    documents: dict[str, dict[str, Any]] = {
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]},
        f"/apis/{GROUP}": {"kind": "APIGroup", "apiVersion": "v1", **group},
        f"/apis/{GROUP}/{VERSION}": {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{GROUP}/{VERSION}",
            "resources": served_resources(),
        },
    }
    return documents.get(path)
