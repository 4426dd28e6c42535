"""Errors as HTTP: what a client is told, and what it is not."""

import json
import logging
from uuid import UUID

import pytest
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions

from hub.api.problems import error_of, problem_response
from hub.core.errors import HubError, define
from hub.core.requests import bind_request
from hub.provisioning.bootstrap.checks import BootstrapInvalid

define("test.teapot", 418, "A teapot")
define("test.broken", 500, "Broken")


def test_a_problem_has_code_parameters_and_the_request_id() -> None:
    with bind_request("abc"):
        response = problem_response(HubError("test.teapot", size=2, id=UUID(int=1)))
    assert (response.status_code, response["Content-Type"]) == (418, "application/problem+json")
    assert json.loads(response.content) == {
        "type": "urn:paddock:error:test.teapot",
        "title": "A teapot",
        "status": 418,
        "detail": "A teapot (size: 2, id: 00000000-0000-0000-0000-000000000001)",
        "code": "test.teapot",
        "params": {"size": 2, "id": "00000000-0000-0000-0000-000000000001"},
        "errors": [],
        "request_id": "abc",
    }


def test_an_error_with_a_place_and_all_its_causes_are_listed_by_pointer() -> None:
    inner = HubError("test.teapot", pointer="/c")
    causes = [HubError("test.teapot", pointer="/a", n=1), HubError("request.invalid", causes=[inner])]
    document = json.loads(problem_response(HubError("request.invalid", pointer="", causes=causes)).content)
    assert [(error["pointer"], error["code"]) for error in document["errors"]] == [
        ("", "request.invalid"),
        ("/a", "test.teapot"),
        ("/c", "test.teapot"),
    ]
    assert document["errors"][1]["params"] == {"n": 1}


def test_a_message_and_its_fix_are_the_detail() -> None:
    document = json.loads(problem_response(HubError("test.teapot", message="too small", fix="Take a pot")).content)
    assert document["detail"] == "A teapot: too small. Take a pot"


def test_when_to_try_again_is_a_header() -> None:
    assert problem_response(HubError("test.teapot", retry_after=30))["Retry-After"] == "30"
    assert problem_response(HubError("hub.unavailable"))["Retry-After"] == "5"
    assert "Retry-After" not in problem_response(HubError("test.teapot"))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (exceptions.NotAuthenticated(), "request.unauthenticated"),
        (exceptions.AuthenticationFailed(), "request.unauthenticated"),
        (exceptions.MethodNotAllowed("PUT"), "request.method_unknown"),
        (exceptions.UnsupportedMediaType("text/plain"), "request.media_type_unknown"),
        (exceptions.ParseError(), "request.invalid"),
        (SuspiciousOperation(), "request.invalid"),
        (Http404(), "request.path_unknown"),
        (OperationalError(), "hub.unavailable"),
        (InterfaceError(), "hub.unavailable"),
    ],
)
def test_what_the_frameworks_raise_has_codes_of_ours(failure: Exception, code: str) -> None:
    assert error_of(failure).code == code


@pytest.mark.parametrize(
    "failure", [ValueError("pdk_secret"), BootstrapInvalid("/x", "y", "pdk_secret"), KeyError("x")]
)
def test_sec04_a_defect_is_logged_and_answered_with_nothing_of_it(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        error = error_of(failure)
    assert error.code == "hub.internal_error"
    assert dict(error.params) == {}
    assert caplog.records[0].exc_info is not None
    assert b"secret" not in problem_response(error).content


def test_an_error_of_the_hub_itself_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    error_of(HubError("test.teapot"))
    assert not caplog.records
    error_of(HubError("test.broken"))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
