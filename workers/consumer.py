"""Celery's consumer, with one thing less to do when the broker goes away.

Celery gives unfinished messages back to the broker when it closes a connection, and the connection it closes here is the one
that just broke: the attempt fails and leaves a dump file behind. A message is a hint, so nothing needs giving back.
"""

from typing import Any

from celery.worker.consumer.consumer import Consumer


class HintConsumer(Consumer):
    """Named by the setting ``worker_consumer``."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        connection: Any = self.connection  # of Redis, whose transport knows its channels
        channels: list[Any] = connection.transport.channels
        for channel in channels:
            channel.do_restore = False
        super().on_connection_error_after_connected(exc)
