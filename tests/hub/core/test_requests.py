"""The request context: bound at an entrance, seen below it, gone after it."""

import asyncio

import pytest

from hub.core.requests import bind_request, request_context


def test_nothing_is_bound_outside() -> None:
    assert request_context().request_id == ""


def test_a_bound_request_is_seen_inside_and_gone_after() -> None:
    with bind_request("outer", "192.0.2.1"):
        with bind_request("inner"):
            assert (request_context().request_id, request_context().source_ip) == ("inner", "")
        assert (request_context().request_id, request_context().source_ip) == ("outer", "192.0.2.1")
    assert request_context().request_id == ""


@pytest.mark.parametrize("offered", [None, "", "a b", "x\ny", "x" * 65, "<script>", "é"])
def test_an_odd_request_id_is_replaced(offered: str | None) -> None:
    with bind_request(offered) as context:
        assert context.request_id != offered
        assert len(context.request_id) == 32


async def test_requests_handled_at_once_do_not_see_each_other() -> None:
    async def handle(name: str) -> str:
        with bind_request(name):
            await asyncio.sleep(0)
            return request_context().request_id

    assert list(await asyncio.gather(handle("a"), handle("b"))) == ["a", "b"]
