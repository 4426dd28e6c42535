"""The server: from a TLS connection to an answer, for one simulated cluster.

Several servers can run in one event loop; each has its own store, keys and addresses.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from kube import resources
from kube.credentials import Credentials
from kube.resources import Object
from simulator.apiserver import bootstrap, status
from simulator.apiserver.access import AccessControl
from simulator.apiserver.authentication import Authenticator, user_of_certificate
from simulator.apiserver.authority import Authority
from simulator.apiserver.calls import Call, error_response, json_response
from simulator.apiserver.discovery import Discovery
from simulator.apiserver.endpoints import Endpoints
from simulator.apiserver.faults import Faults
from simulator.apiserver.housekeeping import Housekeeping
from simulator.apiserver.identity import MASTERS_GROUP, User
from simulator.apiserver.impersonation import impersonate
from simulator.apiserver.listeners import Listener
from simulator.apiserver.openapi import OpenApi
from simulator.apiserver.rbac import Rbac
from simulator.apiserver.registry import Registry, WriteOptions
from simulator.apiserver.requests import RequestInfo, parse_request
from simulator.apiserver.reviews import Reviews, issue_token
from simulator.apiserver.saboteur import Saboteur
from simulator.apiserver.storage import Store
from simulator.apiserver.tokens import TokenSigner
from simulator.kinds import KindSpec

_ACTION_VERBS = {"token": "create", "finalize": "update"}

ADMIN_USER = "simulator:admin"
INSIDE_USER = "simulator:inside"
VERSION = "v1.34.4"

AggregatedApi = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Answers for a group and version; the request carries X-Remote-User and X-Remote-Group as behind a real server."""

_log = logging.getLogger(__name__)


class ApiServer:
    """A Kubernetes API over ``store`` (a new one in memory by default).

    ``names`` are further names and addresses for its certificate, ``version`` is what ``/version`` tells.
    """

    def __init__(
        self,
        kinds: Iterable[KindSpec],
        authority: Authority,
        *,
        store: Store | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        names: Sequence[str] = (),
        version: str = VERSION,
    ) -> None:
        self.authority = authority
        self.store = store or Store()
        self.faults = Faults()
        self.registry = Registry(self.store, kinds)
        self._kinds = {kind.resource: kind for kind in self.registry.kinds}
        self._names = tuple(names)
        self._wanted = (host, port)
        self._stopping = asyncio.Event()
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._aggregated: dict[tuple[str, str], AggregatedApi] = {}
        self._signer = TokenSigner(authority.account_key)
        self._authenticator = Authenticator(self.store, self._kinds[resources.SERVICE_ACCOUNTS], self._signer)
        rbac = Rbac(self.store, self.registry.kinds)
        self._access = AccessControl(rbac)
        self._reviews = Reviews(rbac, self._authenticator)
        self._discovery = Discovery(self.registry.kinds)
        self._openapi = OpenApi(self.registry.kinds)
        self._endpoints = Endpoints(self.registry, self._stopping)
        self._saboteur = Saboteur(self._stopping, self._leave_for)
        self._version = _version_document(version)
        self._seed_bootstrap()
        self._housekeeping = Housekeeping(self.registry, authority.server_ca.certificate)

    @property
    def url(self) -> str:
        """The address of the first listener. Raises RuntimeError while the server is not listening."""
        for listener in self._listeners.values():
            return listener.url
        raise RuntimeError("the server is not listening")

    async def start(self) -> None:
        """Listen, and let the server's own controllers work. Raises OSError when the address is taken."""
        await self.listen(*self._wanted)
        self.start_housekeeping()

    def start_housekeeping(self) -> None:
        """Let the server's own controllers work, for a server whose listeners are its owner's."""
        self._spawn(self._housekeeping.run())

    async def listen(self, host: str, port: int = 0) -> str:
        """Listen on one more address; returns its URL."""
        names = dict.fromkeys([host, "localhost", "kubernetes", "kubernetes.default.svc", *self._names])
        listener = Listener(host, port, self.authority.server_context(tuple(names)), self.handle)
        await listener.start()
        self._listeners[host, listener.port] = listener
        return listener.url

    async def unlisten(self, host: str, port: int) -> None:
        """Give an address up and break off its connections; nothing happens when it is not listened on."""
        listener = self._listeners.pop((host, port), None)
        if listener:
            await listener.stop()

    async def stop(self) -> None:
        """Break off everything and close the store's journal."""
        self._stopping.set()
        for collection in self.store:
            collection.wake()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for address in list(self._listeners):
            await self.unlisten(*address)
        self.store.close()

    def admin_credentials(self) -> Credentials:
        """Credentials of the administrator, who may do everything."""
        return self._credentials_of(ADMIN_USER)

    def inside_credentials(self) -> Credentials:
        """Credentials of the cluster's own controllers, who may do everything and whom faults do not meet: those stand
        between the cluster and its clients, and are counted by what clients ask."""
        return self._credentials_of(INSIDE_USER)

    def _credentials_of(self, user: str) -> Credentials:
        pair = self.authority.issue_client(user, (MASTERS_GROUP,))
        urls = tuple(listener.url for listener in self._listeners.values())
        return Credentials(
            servers=urls,
            ca_pem=self.authority.server_ca.certificate,
            client_cert_pem=pair.certificate,
            client_key_pem=pair.key,
        )

    def seed(self, objects: Iterable[Object]) -> None:
        """Create objects that are not there yet, without access checks; for what a cluster has from its start."""
        for obj in objects:
            kind = self.registry.find_kind_of(obj["apiVersion"], obj["kind"])
            if kind is None:
                raise ValueError(f"{obj['apiVersion']} {obj['kind']} is not served")
            namespace = obj["metadata"].get("namespace", "")
            if self.store.collection(kind).find(namespace, obj["metadata"]["name"]) is None:
                self.registry.create(kind, namespace, obj, WriteOptions())

    def aggregate(self, group: str, version: str, handler: AggregatedApi, served: Sequence[Mapping[str, Any]]) -> None:
        """Mount an aggregated API; ``served`` are its APIResource objects for discovery."""
        self._aggregated[group, version] = handler
        self._discovery.add(group, version, served)
        self.seed([bootstrap.build_api_service(group, version)])

    def _seed_bootstrap(self) -> None:
        """A new cluster's history begins after its first objects, as if it had been there for a while."""
        is_new = self.store.revision == 1
        self.seed(bootstrap.build_objects())
        self.seed(bootstrap.build_served_crds(self.registry.kinds))
        if is_new:
            self.store.compact()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request that came in over TLS."""
        info = parse_request(request.method, request.path, request.query)
        fault = None if _is_from_inside(request) else self.faults.take(request.method, info)
        try:
            if fault is None:
                return await self._answer(request, info)
            return await self._saboteur.answer(fault, request, info, self._answer)
        except status.ApiError as error:
            return error_response(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return error_response(status.ApiError(500, "InternalError", "Internal error occurred"))

    async def _answer(self, request: web.BaseRequest, info: RequestInfo) -> web.StreamResponse:
        sender = self._authenticator.identify(request)
        user = impersonate(sender, request.headers, self._access.authorize)
        self._access.authorize(user, info)
        call = Call(request, info, user, request.query)
        if info.is_resource and (info.group, info.version) in self._aggregated:
            return await self._aggregated[info.group, info.version](_on_behalf(request, user))
        if not info.is_resource or not info.resource:
            return self._answer_plain(call)
        kind = self.registry.find_kind(info.group, info.version, info.resource)
        if kind is None:
            return _not_found_page()
        return await self._answer_resource(call, kind)

    async def _answer_resource(self, call: Call, kind: KindSpec) -> web.StreamResponse:
        info, user = call.info, call.user
        if kind.transient:
            if info.verb != "create":
                raise status.method_not_allowed(call.request.method)
            return json_response(self._reviews.answer(kind, user, await call.json_body(), info.namespace), 201)
        if info.subresource not in ("", "status" if kind.status else "", *kind.actions):
            if kind.builtin and info.subresource != "status":
                raise status.not_simulated(f"{kind.resource.plural}/{info.subresource}")
            raise status.not_served()
        if info.subresource in kind.actions and info.verb != _ACTION_VERBS[info.subresource]:
            raise status.method_not_allowed(call.request.method)
        if info.subresource == "token":
            account = self.registry.get(kind, info.namespace, info.name).object
            return json_response(issue_token(self._signer, account, await call.json_body()), 201)
        return await self._endpoints.serve(call, kind, self._access.admission(user, kind, info))

    def _answer_plain(self, call: Call) -> web.Response:
        path = call.info.path.rstrip("/") or "/"
        if call.request.method not in ("GET", "HEAD"):
            return _not_found_page()
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        if path == "/version":
            return json_response(self._version)
        document = self._discovery.answer(path) or self._openapi.answer(path)
        return _not_found_page() if document is None else json_response(document)

    def _leave_for(self, seconds: float) -> None:
        """Be away: no address is listened on for a while."""
        self._spawn(self._leave(seconds))

    async def _leave(self, seconds: float) -> None:
        addresses = list(self._listeners)
        for address in addresses:
            await self.unlisten(*address)
        await asyncio.sleep(seconds)
        for host, port in addresses:
            await self.listen(host, port)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_from_inside(request: web.BaseRequest) -> bool:
    peer = request.transport.get_extra_info("peercert") if request.transport else None
    return peer is not None and user_of_certificate(peer).name == INSIDE_USER


def _on_behalf(request: web.BaseRequest, user: User) -> web.BaseRequest:
    """The request as an aggregated API gets it: who asks stands in headers, credentials do not."""
    headers = request.headers.copy()
    for name in list(headers):
        if name.lower() == "authorization" or name.lower().startswith(("impersonate-", "x-remote-")):
            del headers[name]
    headers["X-Remote-User"] = user.name
    for group in user.groups:
        headers.add("X-Remote-Group", group)
    return request.clone(headers=headers)


def _not_found_page() -> web.Response:
    """What Go's router says about a path that nobody serves."""
    return web.Response(status=404, text="404 page not found\n")


def _version_document(version: str) -> bytes:
    major, minor, *_ = version.removeprefix("v").split(".")
    return orjson.dumps(
        {
            "major": major,
            "minor": minor,
            "gitVersion": version,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "linux/amd64",
        }
    )
