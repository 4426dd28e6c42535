"""Connection pools to member clusters, one for each, made from the hub's own account there.

Read from the database when a cluster is first asked for and again when its row has changed; a request itself runs no query.
"""

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from hub.core.errors import HubError
from hub.federation.clients import check_not_fenced, credentials_of, guard
from hub.federation.models import Cluster
from kube.relay.upstream import TlsDialer, UpstreamPool
from kube.tls import client_context

from .answers import Refusal

RECHECK_INTERVAL = 2.0  # tokens are renewed at half of their life and endpoints are tried in order: no hurry


@dataclass(slots=True)
class Member:
    """How one cluster is reached: ``token`` is the hub's account, ``version`` the row it was read from."""

    name: str
    version: int
    token: str
    pool: UpstreamPool
    checked_at: float


class Members:
    """The members that were asked for, by cluster id."""

    def __init__(self) -> None:
        self._known: dict[UUID, Member] = {}
        self._locks: dict[UUID, asyncio.Lock] = {}

    async def get(self, cluster_id: UUID) -> Member:
        """Raises Refusal when the cluster cannot be used now; who may ask was decided before."""
        member = self._known.get(cluster_id)
        if member is not None and time.monotonic() - member.checked_at < RECHECK_INTERVAL:
            return member
        async with self._locks.setdefault(cluster_id, asyncio.Lock()):
            member = self._known.get(cluster_id)
            if member is not None and time.monotonic() - member.checked_at < RECHECK_INTERVAL:
                return member
            return await self._read(cluster_id, member)

    async def _read(self, cluster_id: UUID, member: Member | None) -> Member:
        try:
            fresh = await sync_to_async(_read_member)(cluster_id, member.version if member else None)
        except HubError as error:
            reason = error.params.get("reason", error.title)
            raise Refusal(503, error.code, f"The cluster cannot be used now: {reason}.", 5) from error
        except DatabaseError as error:
            raise Refusal(503, "hub.unavailable", "The hub cannot reach its database now.", 5) from error
        if fresh is None and member is not None:
            member.checked_at = time.monotonic()
            return member
        if member is not None:
            member.pool.close()
        if fresh is None:
            raise Refusal(404, "object.not_found", "There is no such cluster.")
        self._known[cluster_id] = fresh
        return fresh

    def close(self) -> None:
        for member in self._known.values():
            member.pool.close()


def _read_member(cluster_id: UUID, known_version: int | None) -> Member | None:
    """None: the row is as known, or there is none and none was known."""
    close_old_connections()
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is None or cluster.version == known_version:
        return None
    check_not_fenced(cluster)
    credentials = credentials_of(cluster)
    dialer = TlsDialer(credentials.servers, client_context(credentials), guard(), credentials.tls_server_name)
    return Member(cluster.name, cluster.version, credentials.token or "", UpstreamPool(dialer), time.monotonic())
