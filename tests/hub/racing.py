"""Two who do the same at the same moment, each with a connection of his own; needs the fixture ``transactional_db``."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

from hub.core.errors import HubError

JOIN_SECONDS = 30


def race(act: Callable[[], Any], runners: int = 2) -> tuple[list[Any], list[str]]:
    """What each of the runners got, and the codes of those who were refused."""
    start = threading.Barrier(runners)
    got: list[Any] = []
    refused: list[str] = []

    def run() -> None:
        try:
            start.wait(10)
            got.append(act())
        except HubError as error:
            refused.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(runners)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    return got, refused
