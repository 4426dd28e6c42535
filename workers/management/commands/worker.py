"""``manage.py worker``: a Celery worker with the options this project needs."""

from typing import Any

from django.core.management.base import BaseCommand

from workers.celery import app

OPTIONS = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair", "--loglevel", "INFO")


class Command(BaseCommand):
    help = "Runs reconcilers for rows that are due. SIGTERM lets running steps end."

    def handle(self, *args: Any, **options: Any) -> None:
        app.worker_main(["--quiet", "worker", *OPTIONS])
