"""What guest clusters take: counted from their pools, and equal to what is there through all that happens to them."""

import contextlib
import importlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from hub.allowances.amounts import add, times
from hub.allowances.ledger import QuotaExceeded, usage
from hub.allowances.models import Grant, GrantKind, QuotaUse
from hub.allowances.quotas import create_quota
from hub.core.access import SYSTEM
from hub.federation.models import ClusterKind
from hub.provisioning import services
from hub.provisioning.models import GuestCluster, Machine, NodePool
from hub.provisioning.quotas import machine_amounts, names_used
from node_driver.registry import driver_class
from tests.hub.builders import make_cluster, make_project, make_tenant
from tests.workers.stage import Stage, build_order, pool

LIMIT = 9


def settings_of(**changes: Any) -> dict[str, Any]:
    return driver_class("harvester").settings.validate(
        {"image": "default/ubuntu", "network": "default/vlan1", **changes}
    )


def test_a_machine_takes_its_cores_memory_disks_and_one_vm() -> None:
    assert machine_amounts(settings_of(cpu_count=4, memory_gib=8, disk_gib=60)) == {
        "cpu": 4,
        "memory": 8192 + 462,  # 1.5 times 260, 8 for each core and 16 of page tables
        "storage": 60,
        "claims": 1,
        "vms": 1,
    }


def test_ten10_what_a_machine_has_beside_is_counted_too() -> None:
    plain = settings_of(cpu_count=2, memory_gib=4, disk_gib=10)
    rich = settings_of(
        cpu_count=2,
        memory_gib=4,
        disk_gib=10,
        cpu_pinning=True,
        isolate_emulator_thread=True,
        tpm=True,
        host_devices=["nvidia.com/A2"],
        extra_disks=[{"size_gib": 5}, {"size_gib": 7, "storage_class": "fast"}],
    )
    more = {name: amount - machine_amounts(plain)[name] for name, amount in machine_amounts(rich).items()}
    assert more == {"cpu": 1, "memory": (100 + 53 + 1024) * 3 // 2 + 1, "storage": 12, "claims": 2, "vms": 0}


def test_all_that_settings_name_is_found_with_its_place() -> None:
    settings = settings_of(
        extra_networks=["default/vlan2", "default/vlan3"],
        storage_class="fast",
        extra_disks=[{"size_gib": 1}, {"size_gib": 1, "storage_class": "slow"}],
    )
    assert {(one.kind, one.name, one.pointer) for one in names_used(settings, "/s")} == {
        (GrantKind.IMAGE, "default/ubuntu", "/s/image"),
        (GrantKind.NETWORK, "default/vlan1", "/s/network"),
        (GrantKind.NETWORK, "default/vlan2", "/s/extra_networks/0"),
        (GrantKind.NETWORK, "default/vlan3", "/s/extra_networks/1"),
        (GrantKind.STORAGE_CLASS, "fast", "/s/storage_class"),
        (GrantKind.STORAGE_CLASS, "slow", "/s/extra_disks/1/storage_class"),
    }


def vms(guest: GuestCluster) -> int:
    return usage(guest.tenant_id).of()["vms"]


def test_scaling_down_gives_back_when_the_machines_are_gone_and_not_before(stage: Stage) -> None:
    guest = stage.ready(stage.order(pool("servers", "server", 1), pool("workers", "worker", 3)))
    stage.infrastructure.deletion_steps = 0
    workers = guest.pools.get(name="workers")
    services.scale_pool(SYSTEM, workers, 1)
    assert vms(guest) == 4
    stage.reconcile(GuestCluster, guest.pk)
    assert Machine.objects.filter(deletion_requested_at__isnull=False).count() == 2
    assert vms(guest) == 4
    stage.until(lambda: Machine.objects.count() == 2)
    assert vms(guest) == 2


def test_scaling_down_before_machines_were_made_gives_back_what_was_never_taken(stage: Stage) -> None:
    guest = stage.order(pool("servers", "server", 1), pool("workers", "worker", 5))
    services.scale_pool(SYSTEM, guest.pools.get(name="workers"), 2)
    stage.ready(guest)
    assert vms(guest) == 3


def test_growing_again_while_machines_are_leaving_counts_both(stage: Stage) -> None:
    guest = stage.ready(stage.order(pool("servers", "server", 1), pool("workers", "worker", 3)))
    workers = guest.pools.get(name="workers")
    services.scale_pool(SYSTEM, workers, 1)
    stage.reconcile(GuestCluster, guest.pk)
    services.scale_pool(SYSTEM, workers, 3)
    assert vms(guest) == 6
    stage.until(lambda: Machine.objects.filter(ready_at__isnull=False, deletion_requested_at=None).count() == 4)
    stage.until(lambda: Machine.objects.count() == 4)
    assert vms(guest) == 4


def test_deleting_gives_back_all_and_only_when_the_last_of_it_is_gone(stage: Stage) -> None:
    guest = stage.ready(stage.order(pool("servers", "server", 1), pool("workers", "worker", 2)))
    services.delete_guest_cluster(SYSTEM, guest)
    assert vms(guest) == 3
    while GuestCluster.objects.exists():
        assert vms(guest) >= len(stage.vm_names())
        stage.round()
    assert not QuotaUse.objects.exists()


class Play:
    """One tenant at a limit, and everything that may happen to his guest clusters, by chance."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.chance = stage, random.Random(seed)
        self.project, self.infrastructure = make_project(), make_cluster(kind=ClusterKind.HARVESTER)
        create_quota(SYSTEM, self.project.tenant, limits={"vms": LIMIT})
        self.names = iter(range(1000))

    def step(self) -> None:
        acts: list[Callable[[], None]] = [self.order, self.scale, self.scale, self.delete, self.kill, *[self.work] * 4]
        self.chance.choice(acts)()
        taken = usage(self.project.tenant_id).of()["vms"]
        assert len(self.stage.vm_names()) <= taken <= LIMIT

    def order(self) -> None:
        pools = (pool("servers", "server", 1), pool("workers", "worker", self.chance.randint(1, 4)))
        order = build_order(
            *pools, name=f"g-{next(self.names)}", project=self.project, infrastructure=self.infrastructure
        )
        self.attempt(lambda: services.order_guest_cluster(SYSTEM, order))

    def scale(self) -> None:
        guests = GuestCluster.objects.filter(deletion_requested_at=None)
        workers = list(NodePool.objects.filter(guest__in=guests, role="worker"))
        if workers:
            chosen, count = self.chance.choice(workers), self.chance.randint(0, 6)
            self.attempt(lambda: services.scale_pool(SYSTEM, chosen, count))

    def delete(self) -> None:
        guests = list(GuestCluster.objects.filter(deletion_requested_at=None))
        if len(guests) > 1:
            services.delete_guest_cluster(SYSTEM, self.chance.choice(guests))

    def kill(self) -> None:
        """Somebody removes a worker's machine behind the hub's back."""
        names = sorted(
            self.stage.vm_names()
            & set(Machine.objects.filter(role="worker", joined_at__isnull=False).values_list("name", flat=True))
        )
        if names:
            victim = self.chance.choice(names)
            for key in [key for key in self.stage.infrastructure.parts if key[1] == victim]:
                del self.stage.infrastructure.parts[key]

    def work(self) -> None:
        self.stage.round()

    def attempt(self, act: Callable[[], object]) -> None:
        with contextlib.suppress(QuotaExceeded):
            act()

    def settled(self) -> bool:
        steady = GuestCluster.objects.exclude(phase="Ready").count() == 0
        return steady and Machine.objects.count() == sum(NodePool.objects.values_list("count", flat=True))


@pytest.mark.parametrize("seed", range(6))
def test_flt15_what_is_taken_is_what_is_there_after_any_course_of_events(stage: Stage, seed: int) -> None:
    play = Play(stage, seed)
    for _ in range(30):
        play.step()
    stage.until(play.settled)
    alive = add(
        times(count, machine_amounts(settings)) for count, settings in NodePool.objects.values_list("count", "settings")
    )
    assert usage(play.project.tenant_id).of() == alive
    assert alive["vms"] == len(stage.vm_names())


def test_a_hub_from_before_grants_what_runs_and_counts_it(stage: Stage) -> None:
    guest = stage.ready(stage.order(pool("servers", "server", 1), pool("workers", "worker", 2)))
    other = make_tenant()
    wanted = QuotaUse.objects.get().amounts
    Grant.objects.all().delete()
    QuotaUse.objects.all().delete()
    migration = importlib.import_module("hub.provisioning.migrations.0002_allowances_of_what_runs")
    for _ in range(2):  # again it changes nothing
        migration.allow_what_runs(apps, connection.schema_editor())
        assert set(Grant.objects.values_list("tenant_id", "cluster_id", "kind", "name")) == {
            (guest.tenant_id, guest.infrastructure_id, "image", "fake/image"),
            (guest.tenant_id, guest.infrastructure_id, "network", "fake/network"),
        }
        assert QuotaUse.objects.get().amounts == wanted
    assert not Grant.objects.filter(tenant=other).exists()
    services.scale_pool(SYSTEM, guest.pools.get(name="workers"), 3)
    assert vms(guest) == 4
