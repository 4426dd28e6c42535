"""``manage.py stream``: the public port."""

from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandError

from hub.core.environment import InvalidEnvironment, environment
from hub.core.startup import check_start
from hub.stream.server import StreamServer


class Command(BaseCommand):
    help = "Runs the one public port: TLS, the Kubernetes proxy, everything else relayed to the web process."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_start()
            uvloop.run(StreamServer(environment()).run())
        except (InvalidEnvironment, OSError) as error:
            raise CommandError(str(error)) from error
