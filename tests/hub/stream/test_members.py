"""Members are read when they are asked for, again when their rows change, and left alone when they are fenced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from django.db import OperationalError, transaction

from hub.core.changes import record_update
from hub.core.conditions import set_condition
from hub.core.errors import HubError
from hub.core.ids import uuid7
from hub.federation.conditions import FENCED
from hub.federation.models import Cluster
from hub.stream import members as module
from hub.stream.answers import Refusal
from hub.stream.members import Member, Members, _read_member
from kube.credentials import Credentials
from kube.errors import TlsRefused
from kube.relay.upstream import UpstreamPool
from tests.bed.pki import Authority
from tests.hub.builders import make_cluster


@pytest.mark.usefixtures("db")
class TestReading:
    def make(self, authority: Authority, **changes: object) -> Cluster:
        cluster = make_cluster()
        return self.change(cluster, ca_pem=authority.certificate_pem, access_token="secret-account", **changes)

    def change(self, cluster: Cluster, **changes: object) -> Cluster:
        for name, value in changes.items():
            setattr(cluster, name, value)
        with transaction.atomic():
            record_update(cluster, list(changes))
        return cluster

    def read(self, cluster: Cluster, known: Member | None = None) -> Member:
        member = _read_member(cluster.pk, known)
        assert member is not None
        return member

    def test_a_member_is_the_hub_s_account_and_the_way_there(self, authority: Authority) -> None:
        cluster = self.make(authority)
        member = self.read(cluster)
        assert member.token == "secret-account"
        assert member.credentials.servers == cluster.servers
        assert "secret-account" not in repr(member)

    def test_while_the_row_is_the_same_the_member_is_the_same(self, authority: Authority) -> None:
        cluster = self.make(authority)
        member = self.read(cluster)
        again = self.read(cluster, member)
        assert again == replace(member, checked_at=again.checked_at)
        assert again.pool is member.pool

    def test_a_new_token_is_used_over_the_same_connections(self, authority: Authority) -> None:
        cluster = self.make(authority)
        member = self.read(cluster)
        renewed = self.read(self.change(cluster, access_token="renewed"), member)
        assert renewed.token == "renewed"
        assert renewed.pool is member.pool

    def test_a_row_that_was_only_observed_costs_no_connections(self, authority: Authority) -> None:
        cluster = self.make(authority)
        member = self.read(cluster)
        assert self.read(self.change(cluster, node_count=3), member).pool is member.pool

    @pytest.mark.parametrize("field", ["endpoints", "ca_pem", "tls_server_name"])
    def test_sec28_another_way_means_other_connections(self, authority: Authority, field: str) -> None:
        cluster = self.make(authority)
        member = self.read(cluster)
        values: dict[str, object] = {
            "endpoints": [{"url": "https://192.0.2.2:6443", "kind": "direct"}],
            "ca_pem": Authority("another").certificate_pem,
            "tls_server_name": "kube.example",
        }
        assert self.read(self.change(cluster, **{field: values[field]}), member).pool is not member.pool

    def test_a_cluster_that_is_gone_is_none(self, authority: Authority) -> None:
        assert _read_member(uuid7(), None) is None
        cluster = self.make(authority)
        member = self.read(cluster)
        cluster_id = cluster.pk
        cluster.delete()
        assert _read_member(cluster_id, member) is None

    def test_flt25_a_fenced_cluster_gives_no_member_also_when_it_was_known(self, authority: Authority) -> None:
        cluster = self.make(authority)
        member = self.read(cluster)
        set_condition(cluster, FENCED, True, "OtherCluster")
        self.change(cluster, conditions=cluster.conditions)
        for known in (None, member):
            with pytest.raises(HubError):
                _read_member(cluster.pk, known)

    def test_a_cluster_that_is_not_registered_gives_no_member(self, authority: Authority) -> None:
        with pytest.raises(HubError):
            _read_member(make_cluster().pk, None)


class Source:
    """Stands in for the table of clusters."""

    def __init__(self) -> None:
        self.reads = 0
        self.failure: Exception | None = None
        self.answer: Member | None = self.member()

    def member(self) -> Member:
        credentials = Credentials(("https://192.0.2.1",), None, token="t")
        return Member(credentials, 1, UpstreamPool(None), time.monotonic())  # type: ignore[arg-type]

    def read(self, cluster_id: UUID, known: Member | None) -> Member | None:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return self.answer


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    made = Source()
    monkeypatch.setattr(module, "_read_member", made.read)
    return made


@pytest.fixture
def members(source: Source) -> Iterator[Members]:
    made = Members()
    yield made
    made.close()


async def test_however_many_ask_at_once_the_row_is_read_once(source: Source, members: Members) -> None:
    cluster = uuid7()
    found = await asyncio.gather(*(members.get(cluster) for _ in range(50)))
    assert source.reads == 1
    assert all(one is found[0] for one in found)


async def test_a_member_is_looked_at_again_after_a_while(source: Source, members: Members) -> None:
    cluster = uuid7()
    first = await members.get(cluster)
    first.checked_at -= module.RECHECK_INTERVAL
    source.answer = source.member()
    assert await members.get(cluster) is source.answer
    assert first.pool._closed


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (OperationalError("away"), "hub.unavailable"),
        (HubError("hub.unavailable"), "cluster.unavailable"),
        (TlsRefused("The CA is not a PEM certificate"), "cluster.unavailable"),
    ],
)
async def test_sec26_what_goes_wrong_on_the_way_to_a_member_is_a_refusal(
    source: Source, members: Members, failure: Exception, code: str
) -> None:
    source.failure = failure
    with pytest.raises(Refusal) as raised:
        await members.get(uuid7())
    assert (raised.value.status, raised.value.code) == (503, code)


async def test_a_cluster_that_went_in_between_is_told_as_any_missing_one(source: Source, members: Members) -> None:
    source.answer = None
    with pytest.raises(Refusal) as raised:
        await members.get(uuid7())
    assert (raised.value.status, raised.value.code) == (404, "object.not_found")


async def test_clusters_that_are_gone_are_forgotten(source: Source, members: Members) -> None:
    kept, gone = uuid7(), uuid7()
    await members.get(kept)
    source.answer = source.member()
    lost = await members.get(gone)
    members.keep_only({kept})
    assert lost.pool._closed
    assert (set(members._known), set(members._locks)) == ({kept}, {kept})
