"""Grants and reservations of the guest clusters that are there: whatever runs keeps running, and can be scaled.

Each tenant is granted what its pools use, and nothing else. What is read from a pool's settings, and how it is counted, is
today's: the ledger has to agree with whoever lowers it later.
"""

from django.db import migrations

from hub.allowances.amounts import add, times
from hub.provisioning.quotas import OBJECT_KIND, machine_amounts, names_used


def allow_what_runs(apps, schema_editor):
    guests = apps.get_model("provisioning", "GuestCluster")
    grants = apps.get_model("allowances", "Grant")
    uses = apps.get_model("allowances", "QuotaUse")
    for guest in guests.objects.iterator():
        pools = list(guest.pools.all())
        for named in {(one.kind.value, one.name) for pool in pools for one in names_used(pool.settings, "")}:
            place = {"tenant_id": guest.tenant_id, "cluster_id": guest.infrastructure_id}
            grants.objects.get_or_create(**place, kind=named[0], name=named[1])
        uses.objects.get_or_create(
            object_kind=OBJECT_KIND,
            object_id=guest.pk,
            defaults={
                "tenant_id": guest.tenant_id,
                "project_id": guest.project_id,
                "cluster_id": guest.infrastructure_id,
                "amounts": add(times(_machines(pool), machine_amounts(pool.settings)) for pool in pools),
            },
        )


def _machines(pool):
    leaving = pool.machines.filter(deletion_requested_at__isnull=False).count()
    return leaving + max(pool.count, pool.machines.filter(deletion_requested_at=None).count())


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0001_initial"),
        ("allowances", "0001_initial"),
    ]

    # Grants that people have come to use are not taken back.
    operations = [migrations.RunPython(allow_what_runs, migrations.RunPython.noop)]
