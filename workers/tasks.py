"""The one task: a doorway from a message to ``workers.runtime``."""

import logging
from typing import Any

from celery import Task

from hub.core.broker import RECONCILE_TASK

from .celery import app
from .runtime import UnknownWork, run

log = logging.getLogger(__name__)

REQUEUE_SECONDS = 20


@app.task(name=RECONCILE_TASK, bind=True, max_retries=None)
def reconcile(self: "Task[Any, Any]", payload: Any) -> None:
    """Does the next step of one row. A message from a newer version goes back to the queue for a worker that knows
    it."""
    try:
        run(payload)
    except UnknownWork as error:
        log.warning("message put back: %s", error)
        raise self.retry(countdown=REQUEUE_SECONDS) from error
