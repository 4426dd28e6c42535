"""A simulated API server in a thread of its own, for tests that talk to it with blocking clients."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from kube.client import KubeClient
from kube.credentials import Credentials
from kube.guard import AddressGuard
from simulator.apiserver import ApiServer
from tests.bed.loop_thread import LoopThread

LOOPBACK = AddressGuard(allow=["127.0.0.0/8"])

T = TypeVar("T")


class RunningServer:
    """Starts the server that ``build`` makes, in an event loop that it owns; stops both on exit."""

    def __init__(self, build: Callable[[], ApiServer]) -> None:
        self._build = build

    def __enter__(self) -> Self:
        self._loop = LoopThread()
        self.server = self.run(self._start())
        self.admin: Credentials = self.server.admin_credentials()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.server.stop())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's loop and wait for it."""
        return self._loop.run(work)

    def client(self, credentials: Credentials | None = None, *, timeout: float = 10.0) -> KubeClient:
        """The project's own client, as the administrator unless told otherwise."""
        return KubeClient(credentials or self.admin, guard=LOOPBACK, timeout=timeout)

    async def _start(self) -> ApiServer:
        server = self._build()
        await server.start()
        return server
