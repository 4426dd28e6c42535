"""The API of one guest cluster: one store, one server, a listener on each of its server machines.

Beside the Kubernetes API stand the few paths of the supervisor that are open to all: `/cacerts` and `/ping`, on the
API's own port with K3s and on 9345 with RKE2 (contract guest-bootstrap §2).
"""

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from kube.resources import ENDPOINTS, SERVICES, Object
from simulator.apiserver import ApiServer, Authority, Store
from simulator.apiserver.authority import KeyPair
from simulator.apiserver.faults import Fault, FaultKind
from simulator.apiserver.journal import Journal
from simulator.apiserver.listeners import Listener
from simulator.apiserver.registry import Registry, WriteOptions
from simulator.guests.distribution import API_PORT, Distribution
from simulator.guests.pki import GuestAuthorities
from simulator.kinds import GUEST_KINDS, KindSpec
from simulator.kinds.schema import array, integer, struct, text

_SERVICE = "kubernetes"
_SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
_ADDRESS = struct({"ip": text(), "hostname": text(), "nodeName": text()}, required=["ip"])
_PORT = struct({"name": text(), "port": integer(), "protocol": text()}, required=["port"])
_ENDPOINTS_KIND = KindSpec(
    ENDPOINTS,
    struct({"subsets": array(struct({"addresses": array(_ADDRESS), "ports": array(_PORT)}))}),
    builtin=True,
    short_names=("ep",),
    counts_generation=False,
)


class GuestApi:
    """Serves one guest cluster. With a folder, its objects are kept there."""

    def __init__(
        self,
        distribution: Distribution,
        authorities: GuestAuthorities,
        *,
        version: str,
        service_cidr: str,
        folder: Path | None,
    ) -> None:
        self._distribution = distribution
        self._ca_pem = authorities.server.cert_pem
        self._authority = Authority(
            KeyPair(authorities.server.cert_pem, authorities.server.key_pem),
            KeyPair(authorities.client.cert_pem, authorities.client.key_pem),
            authorities.service_account_key_pem,
        )
        store = Store(Journal(folder / "objects.journal") if folder else None)
        self._server = ApiServer([*GUEST_KINDS, _ENDPOINTS_KIND], self._authority, store=store, version=version)
        self._service_ip = str(next(ipaddress.ip_network(service_cidr).hosts()))
        self._listeners: dict[str, list[Listener]] = {}
        self._outage: int | None = None
        self._is_started = False

    @property
    def registry(self) -> Registry:
        return self._server.registry

    def set_available(self, available: bool) -> None:
        """Without quorum every request for the API is answered with 503."""
        if available and self._outage is not None:
            self._server.faults.remove(self._outage)
            self._outage = None
        elif not available and self._outage is None:
            self._outage = self._server.faults.add(Fault(FaultKind.UNAVAILABLE, count=None))

    async def listen(self, address: str, names: Sequence[str]) -> None:
        """Serves on one machine's address, under a certificate for it. Raises OSError when it cannot be bound."""
        if not self._is_started:
            self._server.start_housekeeping()
            self._is_started = True
        all_names = tuple(dict.fromkeys([*names, "127.0.0.1", "localhost", self._service_ip, *_SERVICE_NAMES]))
        context = self._authority.server_context(all_names)
        if self._distribution.join_port == API_PORT:
            handlers = {API_PORT: self._answer_all}
        else:
            handlers = {API_PORT: self._server.handle, self._distribution.join_port: self._answer_supervisor}
        listeners = self._listeners.setdefault(address, [])
        try:
            for port, handler in handlers.items():
                listeners.append(Listener(address, port, context, handler))
                await listeners[-1].start()
        except OSError:
            await self.unlisten(address)
            raise

    async def unlisten(self, address: str) -> None:
        """Breaks off all connections to one machine."""
        for listener in self._listeners.pop(address, []):
            await listener.stop()

    def publish_servers(self, addresses: Sequence[str]) -> None:
        """Writes the Service `kubernetes` and the addresses of the API behind it."""
        ports = [{"name": "https", "port": API_PORT, "protocol": "TCP"}]
        service_ports = [{"name": "https", "port": 443, "targetPort": API_PORT, "protocol": "TCP"}]
        service = {"clusterIP": self._service_ip, "type": "ClusterIP", "ports": service_ports}
        self._server.seed([_named(SERVICES.kind, {"spec": service}), _named(ENDPOINTS.kind, {})])
        subsets = [{"addresses": [{"ip": address} for address in addresses], "ports": ports}]
        self.registry.change(
            _ENDPOINTS_KIND,
            "default",
            _SERVICE,
            lambda endpoints: {**endpoints, "subsets": subsets},
            WriteOptions(manager="kube-apiserver"),
        )

    async def close(self) -> None:
        for address in [*self._listeners]:
            await self.unlisten(address)
        await self._server.stop()

    async def _answer_all(self, request: web.BaseRequest) -> web.StreamResponse:
        return self._public_page(request) or await self._server.handle(request)

    async def _answer_supervisor(self, request: web.BaseRequest) -> web.StreamResponse:
        return self._public_page(request) or web.Response(status=401, text="Unauthorized\n")

    def _public_page(self, request: web.BaseRequest) -> web.Response | None:
        pages = {"/cacerts": self._ca_pem, "/ping": "pong"}
        if request.method != "GET" or request.path not in pages:
            return None
        return web.Response(text=pages[request.path])


def _named(kind: str, content: Object) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": _SERVICE, "namespace": "default"}, **content}
