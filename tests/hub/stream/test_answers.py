"""The hub's own answers, in the two forms that clients read."""

import json

import pytest

from hub.core.errors import ERROR_CODES
from hub.stream.answers import Refusal, malformed, render_refusal


def parts(rendered: tuple[bytes, bytes]) -> tuple[str, list[str], dict[str, object]]:
    head, body = rendered
    assert head.endswith(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert f"Content-Length: {len(body)}" in lines
    return first, lines, json.loads(body)


def test_kubectl_reads_a_status() -> None:
    refusal = Refusal("hub.unavailable", "Try again.", retry_after=2)
    first, lines, body = parts(render_refusal(refusal, kubernetes=True, request_id="r", keep_alive=True))
    assert first == "HTTP/1.1 503 Service Unavailable"
    assert {"Content-Type: application/json", "Retry-After: 2", "X-Request-Id: r", "Connection: keep-alive"} <= set(
        lines
    )
    assert body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Try again.",
        "reason": "ServiceUnavailable",
        "details": {"causes": [{"reason": "hub.unavailable", "message": "Try again."}], "retryAfterSeconds": 2},
        "code": 503,
    }


def test_everybody_else_reads_a_problem_document_of_the_registry() -> None:
    refusal = Refusal("upstream.failed", "It gave no answer in time.")
    first, lines, body = parts(render_refusal(refusal, kubernetes=False, request_id="r", keep_alive=False))
    assert first == "HTTP/1.1 502 Bad Gateway"
    assert {"Content-Type: application/problem+json", "Connection: close"} <= set(lines)
    assert (body["type"], body["code"], body["status"]) == ("urn:paddock:error:upstream.failed", "upstream.failed", 502)
    assert (body["title"], body["detail"]) == (ERROR_CODES["upstream.failed"].title, "It gave no answer in time.")


def test_who_must_say_who_he_is_is_told_how() -> None:
    rendered = render_refusal(Refusal("request.unauthenticated", "x"), kubernetes=True, request_id="r", keep_alive=True)
    assert 'WWW-Authenticate: Bearer realm="paddock"' in parts(rendered)[1]


@pytest.mark.parametrize("status", [400, 417, 431, 501, 505])
def test_a_refused_head_keeps_its_status(status: int) -> None:
    assert malformed(status, "x").status == status


def test_a_code_that_is_not_in_the_registry_is_a_defect() -> None:
    with pytest.raises(KeyError):
        Refusal("no.such_code", "x")
