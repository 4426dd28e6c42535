"""What the harvester driver does beyond the battery: power in every state, and join material."""

from __future__ import annotations

import pytest

from kube.errors import Conflict, Forbidden, TooManyRequests
from kube.resources import SECRETS, VIRTUAL_MACHINE_INSTANCES, VIRTUAL_MACHINES
from node_driver.errors import AccessDenied, InfrastructureUnavailable, OwnershipConflict, Throttled
from node_driver.types import MachinePhase
from tests.node_driver.harvester.bench import HarvesterBench, seed
from tests.node_driver.harvester.recording_api import RecordingApi

NAME = "c1-pool1-abcde"
LOCATION = "tenant-1-web"
POWER = f"/apis/subresources.kubevirt.io/v1/namespaces/{LOCATION}/virtualmachines/{NAME}"


@pytest.fixture
def api() -> RecordingApi:
    api = RecordingApi()
    seed(api)
    return api


@pytest.fixture
def bench(api: RecordingApi) -> HarvesterBench:
    return HarvesterBench(api, LOCATION, api.play)


def power_requests(api: RecordingApi) -> list[str]:
    return [path.removeprefix(POWER) for method, path in api.requests if method == "PUT"]


def strategy(api: RecordingApi) -> str:
    found: str = api.peek(VIRTUAL_MACHINES, NAME, LOCATION)["spec"]["runStrategy"]
    return found


def test_stop_and_start_set_the_run_strategy(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.bring_up(bench.order())
    bench.driver.stop(bench.ref())
    assert strategy(api) == "Halted"
    bench.driver.start(bench.ref())
    assert strategy(api) == "RerunOnFailure"
    assert power_requests(api) == []


def test_a_guest_that_powered_itself_down_is_started_by_request(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.bring_up(bench.order())
    api.peek(VIRTUAL_MACHINE_INSTANCES, NAME, LOCATION)["status"] = {"phase": "Succeeded"}
    assert bench.driver.get(bench.ref()).phase is MachinePhase.STOPPED
    bench.driver.start(bench.ref())
    assert power_requests(api) == ["/start"]
    bench.until(lambda: bool(bench.driver.get(bench.ref()).addresses), "the machine to run again")


def test_a_start_that_kubevirt_has_under_way_already_is_success(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.driver.create(bench.order())
    refusal = Conflict("VM is already being started", code=409, reason="Conflict")
    with api.disturb("PUT", f"{POWER}/start", error=refusal):
        bench.driver.start(bench.ref())
    assert power_requests(api) == ["/start"]


def test_start_of_a_running_machine_writes_nothing(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.bring_up(bench.order())
    api.requests.clear()
    bench.driver.start(bench.ref())
    assert all(method == "GET" for method, _ in api.requests)


@pytest.mark.parametrize("halted", [False, True])
def test_restart_restarts_what_runs_and_starts_what_does_not(
    api: RecordingApi, bench: HarvesterBench, halted: bool
) -> None:
    bench.bring_up(bench.order())
    if halted:
        bench.driver.stop(bench.ref())
        api.play()
    bench.driver.restart(bench.ref())
    assert power_requests(api) == ([] if halted else ["/restart"])
    assert strategy(api) == "RerunOnFailure"


def test_a_restart_that_kubevirt_cannot_do_now_is_retryable(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.bring_up(bench.order())
    with api.disturb("PUT", error=Conflict("VM is not running", code=409)), pytest.raises(InfrastructureUnavailable):
        bench.driver.restart(bench.ref())


def test_sec09_forgetting_keeps_the_network_data_and_is_done_once(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.bring_up(bench.order())
    bench.driver.forget_bootstrap(bench.ref())
    assert bench.documents(bench.ref()) == ("#cloud-config\n{}\n", bench.order().network_data)
    api.requests.clear()
    bench.driver.forget_bootstrap(bench.ref())
    assert all(method == "GET" for method, _ in api.requests)


def test_forgetting_a_secret_of_somebody_else_is_refused(api: RecordingApi, bench: HarvesterBench) -> None:
    api.put(SECRETS, {"metadata": {"name": f"{NAME}-cloudinit", "namespace": LOCATION}, "data": {"userdata": "eA=="}})
    with pytest.raises(OwnershipConflict):
        bench.driver.forget_bootstrap(bench.ref())
    assert api.peek(SECRETS, f"{NAME}-cloudinit", LOCATION)["data"] == {"userdata": "eA=="}


def test_static_addresses_of_the_order_are_seen_when_the_guest_reports_none(
    api: RecordingApi, bench: HarvesterBench
) -> None:
    bench.driver.create(bench.order(static_addresses=("10.9.8.7",)))
    api.play(addresses=())
    assert bench.driver.get(bench.ref()).addresses == ("10.9.8.7",)


def test_check_tells_contradictions_and_a_bad_location_beside_what_is_missing(bench: HarvesterBench) -> None:
    settings = {**bench.missing_image, "isolate_emulator_thread": True}
    fields = [problem.field for problem in bench.driver.check("no/namespace", settings)]
    assert sorted(fields) == ["", "/image", "/isolate_emulator_thread"]


def test_a_server_that_sheds_load_says_when_to_come_back(api: RecordingApi, bench: HarvesterBench) -> None:
    with api.disturb(error=TooManyRequests("slow down", code=429, retry_after=3.0)), pytest.raises(Throttled) as told:
        bench.driver.get(bench.ref())
    assert told.value.retry_after == 3.0


def test_a_missing_right_is_told_and_not_retried(api: RecordingApi, bench: HarvesterBench) -> None:
    refusal = Forbidden('secrets is forbidden: User "hub" cannot create resource "secrets"', code=403)
    with api.disturb("POST", "/secrets", error=refusal), pytest.raises(AccessDenied, match="cannot create") as told:
        bench.driver.create(bench.order())
    assert not told.value.retryable


def test_list_owned_of_a_namespace_with_labels_gone_wrong_skips_them(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.driver.create(bench.order())
    labels = {**bench.labels_of_parts(), "paddock.io/hub-epoch": "many"}
    api.put(SECRETS, {"metadata": {"name": f"{NAME}2-cloudinit", "namespace": LOCATION, "labels": labels}})
    assert [view.ref for view in bench.driver.list_owned(LOCATION, "hub-1")] == [bench.ref()]
