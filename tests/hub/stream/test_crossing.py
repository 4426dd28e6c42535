"""Two users on shared upstream connections, one of whom keeps going away: nobody ever gets another's answer."""

from __future__ import annotations

import random
import socket
import threading
import time
from uuid import UUID

import pytest

from tests.hub.stream.conftest import RunningHub, at, bearer
from tests.hub.stream.raw_client import RawClient, render
from tests.hub.stream.recording_api import RecordingApi, Seen

ROUNDS = 200


def who_and_what(sock: socket.socket, seen: Seen) -> bool:
    """Answers with the caller's name and the path, in pieces and a little late."""
    body = f"{seen.all('impersonate-user')[0]} {seen.target}".encode()
    time.sleep(random.Random(seen.target).choice([0, 0, 0.002]))
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body[:5]), body[:5]))
    time.sleep(random.Random(seen.target).choice([0, 0, 0.001]))
    sock.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body[5:]), body[5:]))
    return True


@pytest.fixture
def cluster(hub: RunningHub, api: RecordingApi) -> UUID:
    api.default = who_and_what
    return hub.rights.cluster(api.url)


def leave_in_the_middle(client: RawClient, chance: random.Random) -> None:
    match chance.randrange(4):
        case 0:
            client.reset()
        case 1:
            client.close()
        case 2:
            time.sleep(0.002)
            client.reset()
        case _:
            client.sock.recv(chance.randint(1, 80))
            client.reset()


def test_sec25_of_200_requests_given_up_in_the_middle_none_is_answered_to_another(
    hub: RunningHub, api: RecordingApi, cluster: UUID
) -> None:
    chance = random.Random(25)
    mallory, maria = hub.rights.user("mallory"), hub.rights.user("maria")
    with hub.client() as client:
        for number in range(ROUNDS):
            leaver = hub.client()
            leaver.send(render("GET", at(cluster, f"/api/v1/nodes/mallory-{number}"), *bearer(mallory)))
            path = f"/api/v1/nodes/maria-{number}"
            client.send(render("GET", at(cluster, path), *bearer(maria)))
            leave_in_the_middle(leaver, chance)
            answer = client.answer()
            assert (answer.status, answer.body.decode()) == (200, f"paddock:user:maria {path}")
    assert len([seen for seen in api.requests if "mallory" in seen.target]) > ROUNDS / 2
    assert {seen.connection for seen in api.requests if "maria" in seen.target} & {
        seen.connection for seen in api.requests if "mallory" in seen.target
    }, "they shared no connection: nothing was tried"


def test_sec25_an_answer_too_many_is_told_to_nobody(hub: RunningHub, api: RecordingApi, cluster: UUID) -> None:
    def twice(sock: socket.socket, seen: Seen) -> bool:
        one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
        sock.sendall(one + b"1" + one + b"2")
        return True

    api.will(twice)
    maria, olga = hub.rights.user("maria"), hub.rights.user("olga")
    assert hub.ask("GET", at(cluster), token=maria).body == b"1"
    assert hub.ask("GET", at(cluster), token=olga).body.startswith(b"paddock:user:olga ")
    assert [seen.connection for seen in api.requests] == [0, 1]


def test_sec25_many_at_once_each_get_their_own(hub: RunningHub, api: RecordingApi, cluster: UUID) -> None:
    tokens = {name: hub.rights.user(name) for name in ("maria", "olga", "pia")}
    wrong: list[str] = []

    def ask_often(name: str) -> None:
        with hub.client() as client:
            for number in range(30):
                path = f"/api/v1/nodes/{name}-{number}"
                answer = client.request("GET", at(cluster, path), *bearer(tokens[name]))
                if answer.body.decode() != f"paddock:user:{name} {path}":
                    wrong.append(answer.body.decode())

    threads = [threading.Thread(target=ask_often, args=(name,)) for name in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(api.requests) == 90
