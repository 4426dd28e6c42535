"""Sending hints: what reaches the broker, and how little a broker that is away costs."""

import base64
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from hub.core import broker as broker_module
from hub.core.broker import QUEUE, RECONCILE_TASK, broker_url, forget_broker, reconcile_payload, send_hint
from hub.core.environment import environment
from hub.core.ids import uuid7

PAYLOAD = reconcile_payload("pump", uuid7(), "req-1")


@pytest.fixture(autouse=True)
def fresh_sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has sent nothing yet."""
    forget_broker()
    environment.cache_clear()
    yield
    monkeypatch.undo()
    forget_broker()
    environment.cache_clear()


@pytest.fixture
def deaf_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Accepts connections and never says a word."""
    path = str(tmp_path / "deaf.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        monkeypatch.setenv("REDIS_URL", f"unix://{path}")
        yield


def timed_send() -> tuple[bool, float]:
    start = time.monotonic()
    return send_hint(PAYLOAD), time.monotonic() - start


def test_a_hint_is_one_message_of_ids_for_the_reconcile_task(broker: str) -> None:
    assert send_hint(PAYLOAD) is True
    with redis.Redis.from_url(broker, socket_timeout=5) as client:
        raw = client.lpop(QUEUE)
    assert isinstance(raw, bytes)
    message = json.loads(raw)
    assert message["headers"]["task"] == RECONCILE_TASK
    assert message["headers"]["eta"] is None
    args, _, _ = json.loads(base64.b64decode(message["body"]))
    assert args == [{"v": 1, "kind": "pump", "id": PAYLOAD["id"], "request_id": "req-1"}]


def test_flt06_a_broker_that_is_not_there_costs_little_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    sent, seconds = timed_send()
    assert sent is False
    assert seconds < 1


def test_flt06_a_port_nobody_listens_on_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}/0")
    sent, seconds = timed_send()
    assert sent is False
    assert seconds < 1


@pytest.mark.usefixtures("deaf_broker")
def test_flt06_a_broker_that_never_answers_blocks_less_than_a_second_and_only_once() -> None:
    sent, seconds = timed_send()
    assert sent is False
    assert seconds < 1
    again = [timed_send() for _ in range(100)]
    assert not any(sent for sent, _ in again)
    assert sum(seconds for _, seconds in again) < 0.2


def test_flt07_after_the_quiet_time_a_broker_that_came_back_is_used(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setenv("REDIS_URL", "unix:///nonexistent/broker.sock")
        environment.cache_clear()
        assert send_hint(PAYLOAD) is False
    environment.cache_clear()
    broker_module._sender.cache_clear()
    assert send_hint(PAYLOAD) is False  # still quiet
    broker_module._quiet.end()
    assert send_hint(PAYLOAD) is True


def test_a_connection_that_broke_while_idle_is_replaced(broker: str) -> None:
    assert send_hint(PAYLOAD)
    with redis.Redis.from_url(broker, socket_timeout=5) as client:
        client.client_kill_filter(_type="normal", skipme=True)
        results = [send_hint(PAYLOAD)]
        if not results[0]:  # noticed on use: the next one, after the quiet time, goes through
            broker_module._quiet.end()
            results.append(send_hint(PAYLOAD))
        assert results[-1] is True


def test_many_threads_send_at_once(broker: str) -> None:
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(send_hint(PAYLOAD))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == [True] * 8
    with redis.Redis.from_url(broker, socket_timeout=5) as client:
        assert client.llen(QUEUE) == 8


def test_a_child_process_sends_on_its_own_connection(broker: str) -> None:
    assert send_hint(PAYLOAD)
    child = os.fork()
    if child == 0:
        os._exit(0 if send_hint(PAYLOAD) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert send_hint(PAYLOAD)


@pytest.mark.parametrize(
    ("given", "celery"),
    [
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
        ("redis://h:6379/1", "redis://h:6379/1"),
        ("rediss://:p@h:6379/1", "rediss://:p@h:6379/1"),
    ],
)
def test_the_url_is_spelt_as_celery_wants_it(given: str, celery: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", given)
    environment.cache_clear()
    assert broker_url() == celery
