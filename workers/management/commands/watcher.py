"""``manage.py watcher``: the poller, housekeeping, and what else runs all the time (``workers.watcher.jobs``)."""

import asyncio
import logging
import os
from typing import Any

from django.core.management.base import BaseCommand

from hub.core.startup import check_start
from workers.watcher import run_until_signalled


class Command(BaseCommand):
    help = "Polls for due rows and watches what active rows depend on, until SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        check_start()
        asyncio.run(run_until_signalled())
        logging.shutdown()
        os._exit(0)  # a thread in the middle of a slow call is not waited for: what it does bears being cut off
