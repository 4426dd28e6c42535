"""Real worker processes over a real database and broker: killed, stopped, and given odd messages."""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from hub.core import broker as hub_broker
from hub.core.broker import QUEUE, RECONCILE_TASK, reconcile_payload
from hub.core.environment import environment
from hub.core.leases import acquire_lease
from hub.core.work import wake
from hub.quickstart.embedded import EmbeddedValkey
from tests.rows import Pump, insert_pump
from workers.poller import poll_once

pytestmark = pytest.mark.usefixtures("pumps", "transactional_db")

DEADLINE = 40.0

StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start_worker(database_url: str, broker: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers on the test's database and broker; none of them outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str = "worker", **environment: str) -> "subprocess.Popen[bytes]":
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.workers.pump_worker", command],
                cwd=settings.BASE_DIR,
                env={
                    **os.environ,
                    "DATABASE_URL": database_url,
                    "REDIS_URL": broker,
                    "PADDOCK_WORKER_CONCURRENCY": "2",
                    "PADDOCK_FAILPOINTS_FOLDER": str(tmp_path),
                    **environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(20)
    for log_file in sorted(tmp_path.glob("worker-*.log")):
        print(log_file.read_text())  # pytest shows it when the test failed


def wait_for(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def is_settled() -> bool:
    return not Pump.objects.filter(next_run_at__isnull=False).exists()


def end_leases() -> None:
    """A minute passes."""
    Pump.objects.exclude(lease_holder="").update(lease_expires_at=Now() - timedelta(seconds=1), hinted_until=None)


def test_rows_woken_while_no_worker_ran_are_done_when_one_comes(start_worker: StartWorker) -> None:
    for number in range(5):
        wake(insert_pump(str(number)))
    start_worker()
    wait_for(is_settled)
    assert list(Pump.objects.values_list("speed", flat=True)) == [1] * 5


@pytest.mark.parametrize(
    ("place", "steps_done"), [("pump.before_call", 1), ("pump.before_commit", 1), ("pump.after_commit", 2)]
)
def test_flt01_a_worker_killed_in_a_step_leaves_the_row_to_the_next_one(
    place: str, steps_done: int, start_worker: StartWorker
) -> None:
    first = start_worker(PADDOCK_FAILPOINTS=f"{place}=kill")
    pump = insert_pump()
    wake(pump)
    assert first.wait(DEADLINE) == -signal.SIGKILL
    stored = Pump.objects.get()
    assert (stored.lease_holder != "", stored.attempts) == (True, 1)
    start_worker(PADDOCK_FAILPOINTS=f"{place}=kill")
    assert poll_once() == 0  # the lease of the dead is honoured
    end_leases()
    assert poll_once() == 1
    wait_for(is_settled)
    assert Pump.objects.get().speed == steps_done


def test_flt02_a_worker_told_to_stop_ends_its_step_first(start_worker: StartWorker) -> None:
    worker = start_worker()
    wake(insert_pump("slow"))
    wait_for(lambda: Pump.objects.exclude(lease_holder="").exists())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(DEADLINE) == 0
    stored = Pump.objects.get()
    assert (stored.speed, stored.lease_holder, stored.attempts) == (1, "", 0)


def test_flt07_a_broker_that_forgot_everything_costs_no_row(start_worker: StartWorker, broker: str) -> None:
    for number in range(5):
        wake(insert_pump(str(number)))
    with redis.Redis.from_url(broker, socket_timeout=5) as client:
        assert client.llen(QUEUE) == 5
        client.flushall()
    start_worker()
    Pump.objects.update(hinted_until=Now())  # fifteen seconds pass
    assert poll_once() == 5
    wait_for(is_settled)
    assert list(Pump.objects.values_list("speed", flat=True)) == [1] * 5


@pytest.mark.parametrize("name", ["quick", "slow"])
def test_flt07_a_worker_goes_on_when_the_broker_comes_back(
    name: str, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="pdk-", dir="/tmp") as folder:
        valkey = EmbeddedValkey(Path(folder))
        monkeypatch.setenv("REDIS_URL", valkey.start())
        environment.cache_clear()
        hub_broker.forget_broker()
        pump = insert_pump(name)
        try:
            worker = start_worker(REDIS_URL=valkey.url)
            wake(pump)
            wait_for(lambda: Pump.objects.get().fence == 1)
            valkey.stop()  # the slow step is still running
            wait_for(is_settled)
            wake(pump)  # said while nobody listens
            valkey.start()

            def polled_and_settled() -> bool:
                hub_broker.forget_broker()
                poll_once()
                return is_settled()

            wait_for(polled_and_settled)
            assert worker.poll() is None
        finally:
            valkey.stop()
            monkeypatch.undo()
            environment.cache_clear()
            hub_broker.forget_broker()
    assert Pump.objects.get().speed == 2


def test_flt12_a_worker_whose_database_connections_were_cut_connects_again(start_worker: StartWorker) -> None:
    start_worker()
    pump = insert_pump()
    wake(pump)
    wait_for(is_settled)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] >= 1
    wake(pump)
    wait_for(is_settled)
    assert Pump.objects.get().speed == 2


def test_flt03_messages_doubled_and_out_of_order_do_each_rows_work_once(start_worker: StartWorker) -> None:
    pumps = [insert_pump(str(number)) for number in range(6)]
    for pump in pumps:
        wake(pump)
    for pump in [*reversed(pumps), *pumps]:
        assert hub_broker.send_hint(reconcile_payload("pump", pump.pk, ""))
    last = insert_pump("last")
    wake(last)
    start_worker(PADDOCK_WORKER_CONCURRENCY="1")
    wait_for(is_settled)
    assert set(Pump.objects.values_list("speed", flat=True)) == {1}


def test_flt37_a_message_of_a_newer_version_is_put_back_and_the_worker_goes_on(
    start_worker: StartWorker, broker: str
) -> None:
    newer = {"v": 2, "kind": "pump", "id": "x"}
    with redis.Redis.from_url(broker, socket_timeout=5) as client:
        client.config_resetstat()
        hub_broker._sender().send_task(RECONCILE_TASK, args=[newer], retry=False)
        wake(insert_pump())
        start_worker()
        wait_for(is_settled)
        # Two messages were sent from here; the third is the newer one, sent again by the worker for later.
        wait_for(lambda: client.info("commandstats").get("cmdstat_lpush", {}).get("calls") == 3)


def test_a_watcher_sends_what_is_due_and_gives_its_leases_back_when_it_is_stopped(
    start_worker: StartWorker, broker: str
) -> None:
    watcher = start_worker("watcher")
    pump = insert_pump()
    Pump.objects.update(next_run_at=Now())  # planned for now: nobody has said a word
    with redis.Redis.from_url(broker, socket_timeout=5) as client:
        wait_for(lambda: client.llen(QUEUE) == 1)
        assert str(pump.pk) in base64.b64decode(json.loads(client.lindex(QUEUE, 0))["body"]).decode()
    watcher.send_signal(signal.SIGTERM)
    assert watcher.wait(DEADLINE) == 0
    assert acquire_lease("poller", "another", 10) is not None
