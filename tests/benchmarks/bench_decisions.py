"""B8, first half: what it costs to decide, in a hub of 1,000 users, 2,000 projects and 500 clusters over 1 to 1,000 tenants.

``make bench`` runs it. Peers of the same run: for a decision what Kubernetes itself offers for the question, a
SelfSubjectAccessReview at a kube-apiserver on this machine; for a list the same query without the wall.
"""

from __future__ import annotations

import itertools
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from hub.access.snapshot import Snapshot, load_snapshot
from hub.core.access import Actor, visible_to
from hub.federation.models import Cluster
from hub.identity.actors import actor_of
from hub.stream.decisions import Call, decide, read_ask
from hub.tenancy.models import Project
from kube.relay.heads import parse_request_head
from tests.bed.kubernetes import ApiServer
from tests.benchmarks.access_world import AccessWorld, Resident, Size, build_world
from tests.benchmarks.measure import ROUNDS, Figure, Round, compare, report, table, times

pytestmark = pytest.mark.django_db
TENANTS = (1, 10, 100, 1000)
ASKS = 2000
PAGE = 100
MICROSECONDS_ALLOWED = 50.0


@contextmanager
def world_of(tenants: int) -> Iterator[AccessWorld]:
    """Its rows are gone afterwards."""
    with transaction.atomic():
        yield build_world(Size(tenants))
        transaction.set_rollback(True)


def heads_of(people: tuple[Resident, ...]) -> list[bytes]:
    """Requests as kubectl sends them, of random people to random clusters that are theirs."""
    chance = random.Random(17)
    heads = []
    for _ in range(ASKS):
        person = chance.choice(people)
        lines = [
            f"GET /k8s/clusters/{chance.choice(person.clusters)}/api/v1/namespaces/x/pods?limit=500 HTTP/1.1",
            "Host: hub.example.org",
            "User-Agent: kubectl/v1.36.3 (linux/amd64) kubernetes/0000000",
            f"Authorization: Bearer {person.token}",
            "Accept: application/json",
            "Accept-Encoding: gzip",
        ]
        heads.append("\r\n".join([*lines, "", ""]).encode())
    return heads


def deciding(snapshot: Snapshot, heads: list[bytes]) -> Callable[[], Call]:
    """Decides about one request after the other, the heads being parsed already."""
    asks = itertools.cycle([read_ask(parse_request_head(head)) for head in heads])
    return lambda: decide(snapshot, next(asks), timezone.now())


def reading_and_deciding(snapshot: Snapshot, heads: list[bytes]) -> Callable[[], Call]:
    following = itertools.cycle(heads)
    return lambda: decide(snapshot, read_ask(parse_request_head(next(following))), timezone.now())


def test_b8_decision(kube_apiserver: ApiServer) -> None:
    subjects: dict[str, Callable[[], object]] = {}
    for tenants in TENANTS:
        with world_of(tenants) as world:
            snapshot, heads = load_snapshot(), heads_of(world.residents)
        subjects[f"decision, {tenants} tenants"] = deciding(snapshot, heads)
    subjects[f"head read and decision, {tenants} tenants"] = reading_and_deciding(snapshot, heads)
    review = {"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    subjects["SelfSubjectAccessReview"] = lambda: kube_apiserver.client.create(path, review)
    found = compare(subjects)
    report("decision", times(found))
    for tenants in TENANTS:
        slowest = Figure.of([one.p99 for one in found[f"decision, {tenants} tenants"]])
        assert slowest.middle <= MICROSECONDS_ALLOWED, f"{tenants} tenants: {slowest} us"


def page(queryset: QuerySet[Model]) -> Callable[[], object]:
    return lambda: list(queryset.order_by("pk")[:PAGE])


def seen_page(model: type[Model], actor: Actor) -> Callable[[], object]:
    """With the query for the actor's bindings, as each request makes it."""
    return lambda: list(visible_to(model._base_manager.all(), actor).order_by("pk")[:PAGE])


def test_b8_list_filter() -> None:
    found: dict[str, list[Round]] = {}
    for tenants in TENANTS:
        with world_of(tenants) as world:
            owner, member = actor_of(world.owners[-1].user), actor_of(world.residents[-1].user)
            found |= compare(
                {
                    f"{tenants} tenants: projects, no wall": page(Project.objects.all()),
                    f"{tenants} tenants: projects of an owner": seen_page(Project, owner),
                    f"{tenants} tenants: projects of a member": seen_page(Project, member),
                    f"{tenants} tenants: clusters of a member": seen_page(Cluster, member),
                },
                seconds=0.5,
            )
    report("list-filter", times(found))


def test_b8_snapshot() -> None:
    rows = []
    for tenants in TENANTS:
        with world_of(tenants):
            took = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                load_snapshot()
                took.append((time.perf_counter() - began) * 1e3)
            tracemalloc.start()
            kept = load_snapshot()
            size = tracemalloc.get_traced_memory()[0] / 2**20
            tracemalloc.stop()
            rows.append((tenants, len(kept.tokens), Figure.of(took), f"{size:.1f}"))
    report("snapshot", table(["tenants", "tokens", "load ms", "memory MiB"], rows))
