"""The error-code registry."""

import pytest

from hub.core.errors import ERROR_CODES, HubError, define


def test_an_error_carries_code_status_parameters_and_pointer() -> None:
    cause = HubError("object.in_use")
    error = HubError("request.invalid", pointer="/name", causes=[cause], name="x")
    assert (error.code, error.status, error.pointer, error.params) == ("request.invalid", 400, "/name", {"name": "x"})
    assert error.causes == (cause,)
    assert "request.invalid" in str(error)
    assert "name=x" in str(error)


def test_a_code_that_nobody_defined_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        HubError("no.such_code")


def test_a_code_is_defined_once_with_one_meaning() -> None:
    known = ERROR_CODES["object.not_found"]
    assert define("object.not_found", known.status, known.title) == "object.not_found"
    with pytest.raises(ValueError, match="twice"):
        define("object.not_found", 410, "Gone")
    assert ERROR_CODES["object.not_found"] == known


def test_every_code_has_the_form_subject_dot_problem_an_error_status_and_a_title() -> None:
    for code, definition in ERROR_CODES.items():
        subject, _, problem = code.partition(".")
        assert subject.replace("_", "").isalnum(), code
        assert problem.replace("_", "").isalnum(), code
        assert 400 <= definition.status < 600, code
        assert definition.title, code
