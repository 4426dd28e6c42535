"""The error tree: which class an answer becomes, and what of its text is taken over."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube import errors
from kube.errors import FieldCause, KubeError, error_from_response, error_from_status, parse_retry_after, summary_error
from tests.kube.stage import status_object


def answer_of(code: int, reason: str, **details: Any) -> KubeError:
    return error_from_response(code, {}, orjson.dumps(status_object(code, reason, "", **details)))


@pytest.mark.parametrize(
    ("code", "reason", "kind", "retryable"),
    [
        (301, "", errors.Redirected, False),
        (307, "", errors.Redirected, False),
        (400, "BadRequest", errors.BadRequest, False),
        (401, "Unauthorized", errors.Unauthorized, False),
        (403, "Forbidden", errors.Forbidden, False),
        (404, "NotFound", errors.NotServed, False),
        (405, "MethodNotAllowed", errors.MethodNotAllowed, False),
        (406, "NotAcceptable", errors.BadRequest, False),
        (408, "Timeout", errors.RequestTimeout, True),
        (409, "AlreadyExists", errors.AlreadyExists, False),
        (409, "Conflict", errors.Conflict, True),
        (410, "Expired", errors.Expired, True),
        (410, "Gone", errors.Expired, True),
        (413, "RequestEntityTooLarge", errors.BadRequest, False),
        (415, "UnsupportedMediaType", errors.BadRequest, False),
        (422, "Invalid", errors.Invalid, False),
        (429, "TooManyRequests", errors.TooManyRequests, True),
        (500, "InternalError", errors.ServerError, True),
        (501, "NotImplemented", errors.NotServed, False),
        (502, "BadGateway", errors.ServerError, True),
        (503, "ServiceUnavailable", errors.Unavailable, True),
        (504, "Timeout", errors.RequestTimeout, True),
    ],
)
def test_each_status_has_its_class(code: int, reason: str, kind: type[KubeError], retryable: bool) -> None:
    error = answer_of(code, reason)
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.code == code


def test_retryable_is_a_property_of_the_class() -> None:
    assert errors.Conflict.retryable
    assert errors.Garbled.retryable
    assert not errors.AddressRefused.retryable
    assert not errors.TlsRefused.retryable
    assert not errors.InvalidKubeconfig.retryable


def test_the_causes_of_an_invalid_object_name_its_fields() -> None:
    causes = [{"reason": "FieldValueRequired", "field": "spec.template", "message": "Required value"}]
    error = answer_of(422, "Invalid", causes=causes)
    assert error.causes == (FieldCause("FieldValueRequired", "spec.template", "Required value"),)


def test_a_message_of_a_status_is_taken_over_without_control_characters() -> None:
    status = status_object(403, "Forbidden", "quota \x1b[31mexceeded\x1b[0m\r\nSet-Cookie: x")
    error = error_from_response(403, {}, orjson.dumps(status))
    assert error.message == "quota  [31mexceeded [0m  Set-Cookie: x"


def test_a_message_is_cut_when_it_is_a_flood() -> None:
    flood = error_from_response(500, {}, orjson.dumps(status_object(500, "InternalError", "x" * 100_000)))
    assert 1000 < len(flood.message) < 2100


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>secret of the inner network</html>",
        b"{broken",
        b'"secret"',
        b'{"kind":"Secret","apiVersion":"v1","message":"secret"}',
        b'{"message":"secret"}',
        b"\xff\xfe",
    ],
)
def test_sec57_text_that_is_no_status_stays_out_of_the_message(body: bytes) -> None:
    error = error_from_response(502, {}, body)
    assert "secret" not in str(error)
    assert error.message == "HTTP 502 without a Kubernetes Status"


def test_a_404_that_names_the_object_is_proof_that_it_is_absent() -> None:
    assert type(answer_of(404, "NotFound", name="web", kind="pods")) is errors.NotFound


@pytest.mark.parametrize(
    "body",
    [
        b"404 page not found\n",
        b"",
        orjson.dumps(status_object(404, "NotFound", "the server could not find the requested resource")),
    ],
)
def test_any_other_404_is_no_proof_that_an_object_is_absent(body: bytes) -> None:
    error = error_from_response(404, {}, body)
    assert isinstance(error, errors.NotServed)
    assert not isinstance(error, errors.NotFound)


def test_retry_after_is_read_from_the_header_and_from_the_details() -> None:
    by_header = error_from_response(429, {"Retry-After": "7"}, b"")
    by_details = answer_of(429, "TooManyRequests", retryAfterSeconds=3)
    assert (by_header.retry_after, by_details.retry_after) == (7.0, 3.0)


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    seconds = parse_retry_after(soon)
    assert seconds is not None
    assert 50 < seconds <= 60


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("-5", 0.0), ("1e9", 3600.0), ("soon", None), ("", None), ("nan", None), ("inf", None), (None, None), ([], None)],
)
def test_a_strange_retry_after_does_no_harm(value: object, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_an_error_event_of_a_watch_has_its_code_inside() -> None:
    assert isinstance(error_from_status(status_object(410, "Expired")), errors.Expired)
    assert isinstance(error_from_status({"kind": "Status"}), errors.ServerError)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(
    code=st.integers(300, 599),
    fields=st.dictionaries(st.sampled_from(["message", "reason", "details", "code", "causes"]), json_values),
    details=st.dictionaries(st.sampled_from(["causes", "retryAfterSeconds"]), json_values),
)
def test_any_status_becomes_an_error_of_the_tree(
    code: int, fields: dict[str, object], details: dict[str, object]
) -> None:
    status = {"kind": "Status", "apiVersion": "v1", "details": details, **fields}
    error = error_from_response(code, {}, orjson.dumps(status))
    assert error.code == code
    assert error.message.isprintable()


@given(st.binary(max_size=200), st.integers(300, 599))
def test_any_bytes_become_an_error_of_the_tree(body: bytes, code: int) -> None:
    assert error_from_response(code, {}, body).code == code


def test_an_error_survives_pickling() -> None:
    error = answer_of(422, "Invalid", causes=[{"reason": "r", "field": "f", "message": "m"}])
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.message, copy.code, copy.causes) == (error.message, error.code, error.causes)
    refused = pickle.loads(pickle.dumps(errors.InvalidKubeconfig("kubeconfig.exec", "It runs", "Do not")))
    assert (refused.code, refused.fix) == ("kubeconfig.exec", "Do not")


def test_several_failures_are_told_as_one_that_may_pass() -> None:
    told = summary_error([errors.TlsRefused("expired"), errors.Unavailable("refused")])
    assert isinstance(told, errors.Unavailable)
    assert told.message == "expired; refused"
    assert isinstance(summary_error([errors.TlsRefused("expired")]), errors.TlsRefused)
