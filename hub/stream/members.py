"""Connection pools to member clusters, one for each, made from the hub's own account there.

Read from the database when a cluster is first asked for, and at most every ``RECHECK_INTERVAL`` while it is in use. A pool
stays until the way to the cluster changes: tokens are renewed and rows written far more often.
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import Error as DatabaseFailure

from hub.core.address_guard import address_guard
from hub.core.errors import HubError
from hub.federation.clients import check_not_fenced, credentials_of
from hub.federation.models import Cluster
from kube.credentials import Credentials
from kube.errors import KubeError
from kube.relay.upstream import TlsDialer, UpstreamPool
from kube.tls import client_context

from .answers import Refusal
from .database import DatabaseThread

RECHECK_INTERVAL = 2.0  # a fenced cluster is left alone, and a new token is used, that soon


@dataclass(slots=True)
class Member:
    """How one cluster is reached: as the hub's account there, whose token is in ``credentials``, over ``pool``.

    ``version`` is the row's that it was read from.
    """

    credentials: Credentials
    version: int
    pool: UpstreamPool
    checked_at: float

    @property
    def token(self) -> str:
        return self.credentials.token or ""


class Members:
    """The members that were asked for, by cluster id."""

    def __init__(self) -> None:
        self._known: dict[UUID, Member] = {}
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._thread = DatabaseThread("members")

    async def get(self, cluster_id: UUID) -> Member:
        """Raises Refusal when the cluster cannot be used now; who may ask was decided before."""
        member = self._known.get(cluster_id)
        if member is not None and _checked_just_now(member):
            return member
        async with self._locks.setdefault(cluster_id, asyncio.Lock()):
            member = self._known.get(cluster_id)
            if member is None or not _checked_just_now(member):
                member = await self._read(cluster_id, member)
                self._known[cluster_id] = member
            return member

    def keep_only(self, cluster_ids: Collection[UUID]) -> None:
        """Forgets clusters that are gone."""
        for cluster_id in [known for known in self._locks if known not in cluster_ids]:
            del self._locks[cluster_id]
            member = self._known.pop(cluster_id, None)
            if member is not None:
                member.pool.close()

    def close(self) -> None:
        self.keep_only(())
        self._thread.close()

    async def _read(self, cluster_id: UUID, known: Member | None) -> Member:
        try:
            member = await self._thread.run(_read_member, cluster_id, known)
        except HubError as error:
            reason = error.params.get("reason", error.title)
            raise Refusal("cluster.unavailable", f"The cluster cannot be used now: {reason}.") from error
        except KubeError as error:
            raise Refusal("cluster.unavailable", f"The cluster cannot be used now: {error.message}.") from error
        except DatabaseFailure as error:
            raise Refusal("hub.unavailable", "The hub cannot reach its database now.", retry_after=2) from error
        if member is None:
            raise Refusal("object.not_found", "There is no such cluster, or you may not reach it.")
        if known is not None and member.pool is not known.pool:
            known.pool.close()
        return member


def _checked_just_now(member: Member) -> bool:
    return time.monotonic() - member.checked_at < RECHECK_INTERVAL


def _read_member(cluster_id: UUID, known: Member | None) -> Member | None:
    """The member as its row is now, with the known pool while that still leads there; None: there is no such row."""
    now = time.monotonic()
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is None:
        return None
    check_not_fenced(cluster)
    if known is not None and cluster.version == known.version:
        return replace(known, checked_at=now)
    credentials = credentials_of(cluster)
    if known is not None and _way(credentials) == _way(known.credentials):
        return Member(credentials, cluster.version, known.pool, now)
    dialer = TlsDialer(credentials.servers, client_context(credentials), address_guard(), credentials.tls_server_name)
    return Member(credentials, cluster.version, UpstreamPool(dialer), now)


def _way(credentials: Credentials) -> Credentials:
    return replace(credentials, token=None)
