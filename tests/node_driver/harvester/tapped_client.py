"""A KubeClient whose traffic a test can watch and disturb: before the request leaves, or after its effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kube.client import KubeClient
from kube.credentials import Credentials
from kube.errors import KubeError, Unavailable
from kube.guard import AddressGuard


@dataclass(slots=True)
class Tap:
    """A disturbance of the requests whose method and path begin so. skip: how many of them pass first."""

    method: str
    path: str
    error: KubeError
    after_effect: bool
    skip: int
    times: int

    def takes(self, method: str, path: str) -> bool:
        if not (method.startswith(self.method) and self.path in path) or self.times == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class TappedClient(KubeClient):
    """requests: (method, path) of every call, in order."""

    def __init__(self, credentials: Credentials, *, guard: AddressGuard) -> None:
        super().__init__(credentials, guard=guard)
        self.requests: list[tuple[str, str]] = []
        self.taps: list[Tap] = []

    @contextmanager
    def disturb(
        self,
        method: str = "",
        path: str = "",
        *,
        error: KubeError | None = None,
        after_effect: bool = False,
        skip: int = 0,
        times: int = -1,
    ) -> Iterator[None]:
        """While entered, requests that match fail; `times` of them, -1 for all."""
        tap = Tap(method, path, error or Unavailable("cut off by the test"), after_effect, skip, times)
        self.taps.append(tap)
        try:
            yield
        finally:
            self.taps.remove(tap)

    def call(self, method: str, path: str, **options: Any) -> Any:
        self.requests.append((method, path))
        tap = next((tap for tap in self.taps if tap.takes(method, path)), None)
        if tap is None:
            return self.pass_on(method, path, **options)
        if tap.after_effect:
            with suppress(KubeError):
                self.pass_on(method, path, **options)
        raise tap.error

    def pass_on(self, method: str, path: str, **options: Any) -> Any:
        """Where an undisturbed request goes."""
        return super().call(method, path, **options)
