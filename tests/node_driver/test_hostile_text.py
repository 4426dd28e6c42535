"""SEC-66 as a property: whatever text an order brings arrives as it is, or is refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node_driver.types import MachineOrder, MachineView
from tests.node_driver.battery import HOSTILE_TEXTS, DriverBench, outcome
from tests.node_driver.fake.test_battery import FakeBench
from tests.node_driver.harvester.bench import HarvesterBench, seed
from tests.node_driver.harvester.recording_api import RecordingApi

_seasoning = st.sampled_from(
    ["\n", "'", '"', "$(reboot)", "`", ": ", "#cloud-config", "{{", "\x00", "%", "\\", "é", "雪"]
)
_text = st.one_of(
    st.text(max_size=80),
    st.sampled_from(HOSTILE_TEXTS),
    st.builds("".join, st.lists(_seasoning | st.text(max_size=8), max_size=8)),
    st.from_regex(r"[a-z0-9]([-a-z0-9]{0,70}[a-z0-9])?", fullmatch=True),
)
_usual_name = "c1-pool1-abcde"
_strategies: dict[str, st.SearchStrategy[Any]] = {
    "name": _text,
    "user_data": _text,
    "network_data": st.none() | _text,
    "ssh_public_key": st.none() | _text,
    "cluster_name": _text,
    "pool_name": _text,
    "labels": st.dictionaries(_text, _text, max_size=3),
    "static_addresses": st.lists(_text | st.ip_addresses().map(str), max_size=2).map(tuple),
}
# Mostly one hostile field in an order that would do: in an order of many the first one refused hides the others.
_fields = st.one_of(
    *(st.fixed_dictionaries({field: strategy}) for field, strategy in _strategies.items()),
    st.fixed_dictionaries({}, optional=_strategies),
)


def harvester_bench() -> HarvesterBench:
    api = RecordingApi()
    seed(api)
    return HarvesterBench(api, "tenant-1-web", api.play)


@pytest.mark.parametrize("make_bench", [FakeBench, harvester_bench])
def test_sec66_any_text_round_trips_or_is_refused(make_bench: type[DriverBench]) -> None:
    accepted: list[MachineOrder] = []

    @settings(deadline=None, max_examples=300)
    @given(_fields)
    @example({"labels": {"example.org/a": "b", "paddock.io/hub-id": "x"}})
    @example({"ssh_public_key": "ssh-ed25519 AAAA\nssh-rsa AAAA"})
    def check(fields: dict[str, Any]) -> None:
        bench = make_bench()
        changes = {**fields}
        name = changes.pop("name", _usual_name)
        order = outcome(lambda: bench.order(bench.ref(name), **changes))
        answer = outcome(lambda: bench.driver.create(order)) if isinstance(order, MachineOrder) else order
        if not isinstance(order, MachineOrder) or not isinstance(answer, MachineView):
            assert not getattr(answer, "retryable", False)
            assert bench.parts() == []
            return
        accepted.append(order)
        assert bench.documents(order.ref) == (order.user_data, order.network_data)
        labels = bench.labels(order.ref)
        assert {key: labels[key] for key in order.labels} == dict(order.labels)
        bench.bring_up(order)
        bench.remove(order.ref)
        assert bench.parts() == []

    check()
    assert len(accepted) > 30, "too few orders got as far as the driver"
    assert any(set(order.user_data) & set("'\"\n\x00") for order in accepted)
