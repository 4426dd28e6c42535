"""The Celery application: JSON only, no message taken ahead of time, no results, no ETA beyond a minute.

Messages are hints (``hub.core.work``), so nothing here tries to make delivery exact: what is lost or doubled does no
harm.
"""

import os

from celery import Celery
from celery.signals import setup_logging, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.config.settings")

from hub.core.broker import QUEUE, broker_transport_options, broker_url
from hub.core.environment import environment

GRACE_SECONDS = 5


def build_app() -> Celery:
    """Celery configured from the environment. Its Django fixup closes database connections around each task."""
    settings = environment()
    hard_limit = (settings.step_deadline + settings.lease_seconds) / 2  # a killed step's lease is still its own
    app = Celery("paddock", broker=broker_url(), include=["workers.tasks"])
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=True,  # with the prefetch below: no worker hoards hints that another one could follow now
        task_reject_on_worker_lost=False,  # True would hand a poisonous row from worker to worker for ever
        task_soft_time_limit=settings.step_deadline,
        task_time_limit=hard_limit,
        worker_consumer="workers.consumer:HintConsumer",
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.worker_concurrency,
        worker_max_tasks_per_child=2000,
        worker_soft_shutdown_timeout=settings.step_deadline + GRACE_SECONDS,
        worker_enable_soft_shutdown_on_idle=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the row's claim outlives the broker
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            **broker_transport_options(),
            "socket_connect_timeout": 5,
            "socket_timeout": 30,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        timezone="UTC",
    )
    return app


app = build_app()


@setup_logging.connect
def _keep_logging(**_: object) -> None:
    """Django has configured logging already; a receiver here keeps Celery from doing it again."""


@worker_init.connect
def _check_start(**_: object) -> None:
    from hub.core.startup import check_start

    check_start()
