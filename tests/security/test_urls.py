"""SEC-11: no credential in a URL: it is refused, whatever its parameter is called, and the log does not keep it."""

import pytest

from hub.identity.token_format import API_TOKEN, SESSION, generate_token
from tests.hub.api.callers import Caller

TOKENS = (API_TOKEN, SESSION)


@pytest.mark.parametrize("prefix", TOKENS)
@pytest.mark.parametrize("name", ["token", "access_token", "q", "limit", "continue", "return_to"])
@pytest.mark.parametrize("path", ["/api/v1/tenants", "/livez", "/login", "/api/v1/openapi.json", "/nowhere"])
def test_sec11_a_token_in_the_query_is_refused_before_anything_reads_it(prefix: str, name: str, path: str) -> None:
    text = generate_token(prefix).render()
    answer = Caller().get(f"{path}?{name}={text}")
    assert (answer.status, answer.code) == (400, "request.token_in_query")
    assert text not in answer.response.content.decode()


@pytest.mark.parametrize("name", ["token", "ACCESS_TOKEN", "authorization", "bearer", "api_key"])
def test_sec11_a_parameter_that_is_called_so_is_refused_with_any_value(name: str) -> None:
    assert Caller().get(f"/api/v1/tenants?{name}=anything").code == "request.token_in_query"
