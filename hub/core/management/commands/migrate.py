"""``manage.py migrate`` with care for a database in use: each statement waits only briefly for locks, but may run long.

A migration that cannot have its lock fails as a whole (its DDL is transactional) and is run again later, rather than
queueing behind a long query while everybody queues behind it.
"""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from hub.core.environment import environment


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> Any:
        connection = connections[options["database"]]
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{environment().sql_lock_timeout}s'")
            cursor.execute("SET statement_timeout = 0")
        try:
            return super().handle(*args, **options)
        finally:
            connection.close()  # the next user of this thread's connection has the usual limits
