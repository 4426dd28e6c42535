"""The entrance: request ids, source addresses, and what is refused unread."""

import io
from typing import Any

import pytest

from hub.api.middleware import BODY_LIMIT
from hub.audit.models import AuditEvent
from tests.hub.api.callers import SOCKET, Caller


class Untouched(io.RawIOBase):
    """A body that tells when somebody reads it."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")


def test_every_answer_has_a_request_id_of_the_hubs_own(admin: Caller) -> None:
    answers = [admin.get(path) for path in ("/livez", "tenants", "tenants/x", "/nowhere")]
    ids = {answer.response["X-Request-Id"] for answer in answers}
    assert len(ids) == 4
    assert all(len(id) == 32 for id in ids)


@pytest.mark.parametrize("header", ["X-Request-Id", "X-Forwarded-For"])
def test_sec27_a_client_from_the_network_cannot_say_who_it_is(admin: Caller, header: str) -> None:
    answer = admin.call("POST", "tenants", {"name": "a"}, headers={header: "198.51.100.7"}, REMOTE_ADDR="203.0.113.9")
    event = AuditEvent.objects.get(object_id=answer.body["id"])
    assert event.source_ip == "203.0.113.9"
    assert event.request_id == answer.response["X-Request-Id"] != "198.51.100.7"


def test_the_stream_server_tells_request_id_and_client_over_the_socket(admin: Caller) -> None:
    headers = {"X-Request-Id": "abc.1", "X-Forwarded-For": "2001:db8::7"}
    answer = admin.call("POST", "tenants", {"name": "a"}, headers=headers, **SOCKET)
    event = AuditEvent.objects.get(object_id=answer.body["id"])
    assert (event.request_id, event.source_ip) == ("abc.1", "2001:db8::7")
    assert answer.response["X-Request-Id"] == "abc.1"


@pytest.mark.parametrize("id", ["", "a b", "x" * 65, "a\tb", "ü"])
def test_an_odd_request_id_is_replaced(stranger: Caller, id: str) -> None:
    answer = stranger.call("GET", "/livez", headers={"X-Request-Id": id}, **SOCKET)
    assert len(answer.response["X-Request-Id"]) == 32


def test_an_odd_source_address_is_dropped(admin: Caller) -> None:
    answer = admin.call("POST", "tenants", {"name": "a"}, headers={"X-Forwarded-For": "1.2.3.4, 5.6.7.8"}, **SOCKET)
    assert AuditEvent.objects.get(object_id=answer.body["id"]).source_ip == ""


@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 10 * 1024 * 1024, 10**9, 10**30])
def test_sec72_a_body_of_10_mb_is_refused_without_reading_it(stranger: Caller, length: int) -> None:
    environ: dict[str, Any] = {"CONTENT_LENGTH": str(length), "wsgi.input": Untouched()}
    answer = stranger.call("POST", "guest-clusters", **environ)
    assert (answer.status, answer.code) == (413, "body.too_large")
    assert answer.body["params"] == {"limit": BODY_LIMIT}


def test_a_body_of_exactly_the_limit_is_read(admin: Caller) -> None:
    raw = b'{"name": "a"}'.ljust(BODY_LIMIT)
    assert admin.call("POST", "tenants", raw=raw).status == 201


def test_a_body_without_length_is_refused(stranger: Caller) -> None:
    environ: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Untouched()}
    answer = stranger.call("POST", "tenants", **environ)
    assert (answer.status, answer.code) == (411, "body.length_missing")


@pytest.mark.parametrize("length", ["-1", "ten", "1 ", "0x10", "٣"])
def test_a_length_that_is_no_number_is_refused(stranger: Caller, length: str) -> None:
    answer = stranger.call("POST", "tenants", CONTENT_LENGTH=length)
    assert (answer.status, answer.code) == (411, "body.length_missing")


@pytest.mark.parametrize("name", ["token", "access_token", "Authorization", "x"])
@pytest.mark.parametrize("path", ["tenants", "/livez", "/metrics", "/nowhere", "tokens"])
def test_sec11_a_token_in_the_query_is_refused_even_beside_a_good_header(admin: Caller, name: str, path: str) -> None:
    answer = admin.get(f"{path}?{name}={admin.token}")
    assert (answer.status, answer.code) == (400, "request.token_in_query")
    assert admin.token is not None
    assert admin.token not in answer.response.content.decode()


def test_answers_are_kept_by_no_cache(admin: Caller) -> None:
    answer = admin.get("tenants")
    assert answer.response["Cache-Control"] == "no-store"
    assert answer.response["X-Content-Type-Options"] == "nosniff"


def test_an_unknown_path_is_a_problem_document(stranger: Caller) -> None:
    for path in ("/nowhere", "/api/v1/", "/api/v2/tenants", "/api/v1/tenants/", "/admin", "/api/v1/tenants/a/b"):
        answer = stranger.get(path)
        assert (answer.status, answer.code) == (404, "request.path_unknown"), path
