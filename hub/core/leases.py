"""Database leases: a job that one process at a time may do, by the database's clock.

A holder renews by acquiring again. Work done under a lease must bear being done twice: a holder that sleeps longer
than its lease does not notice.
"""

from django.db import connection
from django.db.models.functions import Now

from .models import Lease

# One statement, so two contenders cannot both see it free.
_ACQUIRE = """
INSERT INTO core_lease (name, holder, expires_at, fence)
VALUES (%(name)s, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s), 1)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    expires_at = excluded.expires_at,
    fence = core_lease.fence + CASE WHEN core_lease.holder = excluded.holder THEN 0 ELSE 1 END
WHERE core_lease.holder = excluded.holder OR core_lease.expires_at <= clock_timestamp()
RETURNING fence
"""


def acquire_lease(name: str, holder: str, seconds: float) -> int | None:
    """Takes or renews the lease; its fence (raised at each change of holder), or None when another holds it."""
    with connection.cursor() as cursor:
        cursor.execute(_ACQUIRE, {"name": name, "holder": holder, "seconds": seconds})
        row = cursor.fetchone()
    return row[0] if row else None


def release_lease(name: str, holder: str) -> None:
    """Gives the lease back so that another may take it at once; nothing happens when it is not held."""
    Lease.objects.filter(name=name, holder=holder).update(expires_at=Now())
