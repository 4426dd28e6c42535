"""The contract of node drivers as tests: one or more for each rule of node_driver/README.md.

A driver's test class derives from DriverBattery and supplies the fixture `bench`: the driver on an infrastructure of
its own, and hands to look behind the driver's back. The name of a test begins with the rule it holds.
"""

from __future__ import annotations

import time
import traceback
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

import pytest
from jsonschema import Draft202012Validator

from node_driver.base import NodeDriver
from node_driver.capabilities import PowerControl, capabilities_of
from node_driver.errors import (
    DriverError,
    ImageMissing,
    InfrastructureUnavailable,
    InvalidSettings,
    MachineNotFound,
    NetworkMissing,
    OwnershipConflict,
)
from node_driver.types import MachineOrder, MachinePhase, MachineRef, MachineView, Owner

T = TypeVar("T")

CANARY = "canary-3f9c1f0e-join-token"
USER_DATA = f"""#cloud-config
packages: [qemu-guest-agent]
write_files:
- {{path: /etc/token, content: "{CANARY}"}}
"""
NETWORK_DATA = "version: 2\nethernets: {nic0: {match: {name: 'en*'}, dhcp4: true}}\n"
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKm8hT0mTn4pU6Q6iDq8Qy8C2pWlHk7sG5y6zYk3c1aB someone@example"
PATIENCE_SECONDS = 20.0

HOSTILE_TEXTS = (
    "",
    "\n",
    "a\r\nb",
    "'; $(reboot) `id` #",
    '"}, "x": {"y": "z',
    "#cloud-config\nruncmd: [reboot]",
    "key: value: other",
    "{{ jinja }} {% x %}",
    "../../etc/passwd",
    "nul\x00byte",
    "雪 \N{GRINNING FACE} \u202e",
    "\ud800",
    "x" * 300,
)


class DriverBench(ABC):
    """A driver on an infrastructure whose `location` is empty at the start, with what a look behind it needs.

    settings: validated settings of a machine that comes up. missing_image, missing_network: the same with an image, a
    network that does not exist; `missing_*_field` points to the setting.
    """

    driver: NodeDriver[Any]
    location: str
    settings: Mapping[str, Any]
    missing_image: Mapping[str, Any]
    missing_network: Mapping[str, Any]
    hostile_texts: Sequence[str] = HOSTILE_TEXTS
    image_field = "/image"
    network_field = "/network"

    @abstractmethod
    def parts(self) -> list[str]:
        """Every object in the location, of anybody."""

    @abstractmethod
    def open_text(self) -> str:
        """All that the infrastructure holds in the location, except the values it keeps as secrets."""

    @abstractmethod
    def documents(self, ref: MachineRef) -> tuple[str, str | None]:
        """User data and network data of a machine, as the infrastructure keeps them."""

    @abstractmethod
    def labels(self, ref: MachineRef) -> Mapping[str, str]:
        """The labels of the machine itself."""

    @abstractmethod
    def occupy(self, name: str) -> None:
        """Makes a machine of that name as a person would: without an owner."""

    @abstractmethod
    def die_before_machine(self) -> AbstractContextManager[None]:
        """While entered, create() fails retryably after it made parts and before it makes the machine itself."""

    @abstractmethod
    def lose_answers(self) -> AbstractContextManager[None]:
        """While entered, the making of the machine itself takes effect and its answer is lost."""

    @abstractmethod
    def unreachable(self) -> AbstractContextManager[None]:
        """While entered, the infrastructure does not answer."""

    @abstractmethod
    def advance(self) -> None:
        """Lets the infrastructure do its next step, or waits a moment for it."""

    def ref(self, name: str = "c1-pool1-abcde", **owner: Any) -> MachineRef:
        """A ref whose owner depends on the name alone, unless told."""
        machine_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        known = {"hub_id": "hub-1", "epoch": 3, "machine_id": machine_id, "tenant_id": "tenant-1"}
        return MachineRef(self.location, name, Owner(**{**known, **owner}))

    def order(self, ref: MachineRef | None = None, **changes: Any) -> MachineOrder:
        fields = {
            "ref": ref or self.ref(),
            "cluster_name": "c1",
            "pool_name": "pool1",
            "settings": self.settings,
            "user_data": USER_DATA,
            "network_data": NETWORK_DATA,
            "ssh_public_key": SSH_KEY,
        }
        return MachineOrder(**{**fields, **changes})

    def refs(self) -> set[MachineRef]:
        """All machines of the bench's hub, half-made ones too."""
        return {view.ref for view in self.driver.list_owned(self.location, "hub-1")}

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for a condition that is true when it answers something true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            seen = self.driver.list_owned(self.location, "hub-1")
            assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}; there is {seen}"
            self.advance()

    def bring_up(self, order: MachineOrder) -> MachineView:
        """Creates and waits until the machine runs with an address."""
        self.driver.create(order)
        self.until(lambda: self.driver.get(order.ref).addresses, f"an address of {order.ref.name}")
        return self.driver.get(order.ref)

    def remove(self, ref: MachineRef) -> None:
        self.until(lambda: self.driver.delete(ref).gone, f"{ref.name} to be gone")


class DriverBattery:
    """What every driver must pass."""

    def test_nd01_probe_of_a_healthy_infrastructure_finds_nothing_missing(self, bench: DriverBench) -> None:
        probe = bench.driver.probe()
        assert probe.reachable
        assert probe.missing == ()

    def test_nd01_probe_of_an_unreachable_infrastructure_says_so_and_does_not_raise(self, bench: DriverBench) -> None:
        with bench.unreachable():
            probe = bench.driver.probe()
        assert not probe.reachable
        assert probe.message

    def test_nd02_check_finds_nothing_wrong_with_settings_that_work(self, bench: DriverBench) -> None:
        assert list(bench.driver.check(bench.location, bench.settings)) == []

    def test_nd02_check_points_to_what_does_not_exist_and_makes_nothing(self, bench: DriverBench) -> None:
        both = {**bench.settings}
        both.update({bench.image_field[1:]: bench.missing_image[bench.image_field[1:]]})
        both.update({bench.network_field[1:]: bench.missing_network[bench.network_field[1:]]})
        problems = bench.driver.check(bench.location, both)
        assert sorted(problem.field for problem in problems) == sorted([bench.image_field, bench.network_field])
        assert all(problem.code and problem.message for problem in problems)
        assert bench.parts() == []

    def test_nd03_create_answers_with_an_id_and_the_machine_powers_on_by_itself(self, bench: DriverBench) -> None:
        view = bench.driver.create(bench.order())
        assert view.external_id
        assert view.created_at is not None
        assert view.created_at.tzinfo is not None
        assert view.ref == bench.ref()
        bench.until(lambda: bench.driver.get(bench.ref()).phase is MachinePhase.RUNNING, "the machine to run")

    def test_nd04_flt22_create_again_makes_nothing_more(self, bench: DriverBench) -> None:
        first = bench.bring_up(bench.order())
        parts = bench.parts()
        second = bench.driver.create(bench.order())
        assert second.external_id == first.external_id
        assert bench.parts() == parts

    def test_nd04_flt22_racing_creates_make_one_machine(self, bench: DriverBench) -> None:
        def create(_: int) -> str:
            while True:
                try:
                    return bench.driver.create(bench.order()).external_id
                except InfrastructureUnavailable:
                    continue

        with ThreadPoolExecutor(4) as pool:
            ids = set(pool.map(create, range(8)))
        assert len(ids) == 1
        assert len(bench.driver.list_owned(bench.location, "hub-1")) == 1

    def test_nd05_flt22_create_after_a_lost_answer_finds_the_same_machine(self, bench: DriverBench) -> None:
        with bench.lose_answers(), pytest.raises(DriverError) as lost:
            bench.driver.create(bench.order())
        assert lost.value.retryable
        made = bench.driver.get(bench.ref())
        assert bench.driver.create(bench.order()).external_id == made.external_id
        assert len(bench.driver.list_owned(bench.location, "hub-1")) == 1

    def test_nd05_create_completes_what_an_earlier_one_left_half_made(self, bench: DriverBench) -> None:
        with bench.die_before_machine(), pytest.raises(DriverError) as died:
            bench.driver.create(bench.order(user_data="#cloud-config\nearlier: attempt\n", network_data="old: 1\n"))
        assert died.value.retryable
        assert bench.parts(), "the bench did not leave parts behind"
        order = bench.order(network_data=None)
        bench.bring_up(order)
        assert bench.documents(order.ref)[0] == USER_DATA
        assert not bench.documents(order.ref)[1]

    def test_nd06_flt26_create_refuses_an_unknown_image_and_makes_nothing(self, bench: DriverBench) -> None:
        with pytest.raises(ImageMissing) as refused:
            bench.driver.create(bench.order(settings=bench.missing_image))
        assert not refused.value.retryable
        assert bench.parts() == []

    def test_nd06_create_refuses_an_unknown_network_and_makes_nothing(self, bench: DriverBench) -> None:
        with pytest.raises(NetworkMissing) as refused:
            bench.driver.create(bench.order(settings=bench.missing_network))
        assert not refused.value.retryable
        assert bench.parts() == []

    def test_nd07_flt22_a_name_that_somebody_else_holds_is_a_conflict_and_is_left_alone(
        self, bench: DriverBench
    ) -> None:
        bench.occupy(bench.ref().name)
        bench.advance()
        before = bench.parts()
        with pytest.raises(OwnershipConflict) as refused:
            bench.driver.create(bench.order())
        assert not refused.value.retryable
        with pytest.raises(OwnershipConflict):
            bench.driver.get(bench.ref())
        assert bench.driver.delete(bench.ref()).gone
        assert bench.parts() == before

    def test_nd07_parts_of_ours_beside_a_machine_of_somebody_else_are_removed_without_it(
        self, bench: DriverBench
    ) -> None:
        with bench.die_before_machine(), pytest.raises(DriverError):
            bench.driver.create(bench.order())
        ours = set(bench.parts())
        bench.occupy(bench.ref().name)
        foreign = set(bench.parts()) - ours
        bench.remove(bench.ref())
        assert foreign <= set(bench.parts())
        assert not ours & set(bench.parts())

    @pytest.mark.parametrize(
        "other", [{"hub_id": "hub-2"}, {"machine_id": "m-2"}, {"epoch": 2}], ids=["hub", "machine", "older-epoch"]
    )
    def test_nd08_another_hub_machine_or_an_older_epoch_is_somebody_else(
        self, bench: DriverBench, other: dict[str, Any]
    ) -> None:
        created = bench.bring_up(bench.order())
        stranger = bench.ref(**other)
        calls: list[Callable[[], Any]] = [
            lambda: bench.driver.create(bench.order(stranger)),
            lambda: bench.driver.get(stranger),
            lambda: bench.driver.forget_bootstrap(stranger),
        ]
        if isinstance(bench.driver, PowerControl):
            calls.append(lambda: bench.driver.stop(stranger))  # type: ignore[attr-defined]
        for call in calls:
            with pytest.raises(OwnershipConflict):
                call()
        assert bench.driver.delete(stranger).gone
        assert bench.driver.get(bench.ref()).external_id == created.external_id
        assert CANARY in bench.documents(bench.ref())[0]

    def test_nd08_a_newer_epoch_of_the_same_hub_takes_its_machine_over(self, bench: DriverBench) -> None:
        created = bench.driver.create(bench.order())
        restored = bench.ref(epoch=4)
        assert bench.driver.create(bench.order(restored)).external_id == created.external_id
        bench.remove(restored)
        assert bench.parts() == []

    def test_nd09_flt28_create_does_not_bring_back_a_machine_that_is_being_deleted(self, bench: DriverBench) -> None:
        old = bench.bring_up(bench.order())
        assert not bench.driver.delete(bench.ref()).gone, "the bench deletes too fast for this test"
        answer = outcome(lambda: bench.driver.create(bench.order()))
        if isinstance(answer, MachineView):
            assert (answer.external_id, answer.phase) == (old.external_id, MachinePhase.DELETING)
        else:
            assert isinstance(answer, DriverError)
            assert answer.retryable
        bench.remove(bench.ref())
        assert bench.parts() == []

    def test_nd10_get_of_a_machine_that_does_not_exist_raises(self, bench: DriverBench) -> None:
        with pytest.raises(MachineNotFound):
            bench.driver.get(bench.ref())

    def test_nd10_parts_alone_are_no_machine(self, bench: DriverBench) -> None:
        with bench.die_before_machine(), pytest.raises(DriverError):
            bench.driver.create(bench.order())
        with pytest.raises(MachineNotFound):
            bench.driver.get(bench.ref())

    def test_nd11_a_machine_that_came_up_has_an_address_and_no_reason(self, bench: DriverBench) -> None:
        view = bench.bring_up(bench.order())
        assert view.phase is MachinePhase.RUNNING
        assert view.reason is None
        assert all("/" not in address for address in view.addresses)

    def test_nd12_sec09_user_data_is_kept_as_a_secret_and_shown_nowhere_else(self, bench: DriverBench) -> None:
        order = bench.order()
        view = bench.bring_up(order)
        assert CANARY in bench.documents(order.ref)[0]
        assert CANARY not in bench.open_text()
        assert CANARY not in repr([order, view, bench.driver.list_owned(bench.location, "hub-1")])

    def test_nd12_sec09_no_error_shows_user_data(self, bench: DriverBench) -> None:
        with pytest.raises(ImageMissing) as missing:
            bench.driver.create(bench.order(settings=bench.missing_image, user_data=CANARY))
        with pytest.raises(ValueError, match="Unicode") as garbled:
            bench.order(user_data=CANARY + "\ud800")
        for error in (missing.value, garbled.value):
            assert CANARY not in "".join(traceback.format_exception(error)) + repr(error)

    def test_nd13_sec09_forgotten_user_data_is_nowhere_and_the_machine_goes_on(self, bench: DriverBench) -> None:
        order = bench.order()
        before = bench.bring_up(order)
        for _ in range(2):
            bench.driver.forget_bootstrap(order.ref)
        user_data, network_data = bench.documents(order.ref)
        assert CANARY not in bench.open_text() + user_data + (network_data or "")
        assert network_data == NETWORK_DATA
        assert bench.driver.create(order).external_id == before.external_id
        assert CANARY not in bench.documents(order.ref)[0]
        assert bench.driver.get(order.ref).phase is MachinePhase.RUNNING

    def test_nd13_forgetting_a_machine_that_does_not_exist_is_success(self, bench: DriverBench) -> None:
        bench.driver.forget_bootstrap(bench.ref())
        assert bench.parts() == []

    def test_nd14_deleting_what_does_not_exist_is_success(self, bench: DriverBench) -> None:
        assert bench.driver.delete(bench.ref()).gone

    def test_nd15_flt26_empty_remains_mean_that_nothing_is_left(self, bench: DriverBench) -> None:
        bench.bring_up(bench.order())
        first = bench.driver.delete(bench.ref())
        assert not first.gone, "the bench deletes too fast for this test"
        bench.remove(bench.ref())
        assert bench.parts() == []
        assert bench.driver.delete(bench.ref()).gone
        with pytest.raises(MachineNotFound):
            bench.driver.get(bench.ref())

    def test_nd16_flt28_a_machine_just_created_can_be_deleted(self, bench: DriverBench) -> None:
        bench.driver.create(bench.order())
        bench.remove(bench.ref())
        assert bench.parts() == []

    def test_nd16_flt26_a_half_made_machine_can_be_deleted(self, bench: DriverBench) -> None:
        with bench.die_before_machine(), pytest.raises(DriverError):
            bench.driver.create(bench.order())
        bench.remove(bench.ref())
        assert bench.parts() == []

    def test_nd17_delete_leaves_other_machines_alone(self, bench: DriverBench) -> None:
        # The other's name begins with ours, and so do the names of its parts.
        other = bench.ref(f"{bench.ref().name}-disk-0")
        bench.driver.create(bench.order(other))
        others = set(bench.parts())
        bench.driver.create(bench.order())
        bench.remove(bench.ref())
        assert others <= set(bench.parts())
        assert bench.driver.get(other).external_id

    def test_nd18_flt28_a_name_can_be_used_again_and_gives_another_id(self, bench: DriverBench) -> None:
        first = bench.driver.create(bench.order())
        bench.remove(bench.ref())
        second = bench.bring_up(bench.order(bench.ref(machine_id="m-next")))
        assert second.external_id != first.external_id

    def test_nd19_labels_of_the_order_are_on_the_machine(self, bench: DriverBench) -> None:
        order = bench.order(labels={"example.org/team": "a.b_c"})
        bench.driver.create(order)
        assert bench.labels(order.ref)["example.org/team"] == "a.b_c"

    def test_nd19_sec43_labels_of_an_order_never_replace_the_drivers_own(self, bench: DriverBench) -> None:
        plain = bench.order(bench.ref("c1-pool1-plain"))
        bench.driver.create(plain)
        own = set(bench.labels(plain.ref))
        with pytest.raises(ValueError, match="reserved"):
            bench.order(labels={"paddock.io/hub-id": "hub-2"})
        hostile = {key: "taken-over" for key in own if not key.startswith("paddock.io/")}
        bench.driver.create(bench.order(labels=hostile))
        assert "taken-over" not in bench.labels(bench.ref()).values()

    def test_nd20_list_owned_gives_every_machine_of_the_hub_there_and_nobody_elses(self, bench: DriverBench) -> None:
        whole, half, theirs = (bench.ref(f"c1-pool1-{name}") for name in ("whole", "half", "theirs"))
        theirs = bench.ref(theirs.name, hub_id="hub-2")
        created = bench.driver.create(bench.order(whole))
        bench.driver.create(bench.order(theirs))
        bench.occupy("somebodys")
        with bench.die_before_machine(), pytest.raises(DriverError):
            bench.driver.create(bench.order(half))
        listed = bench.driver.list_owned(bench.location, "hub-1")
        assert sorted((view.ref for view in listed), key=lambda ref: ref.name) == [half, whole]
        assert {view.ref.name: view.external_id for view in listed} == {half.name: "", whole.name: created.external_id}
        for view in listed:
            bench.remove(view.ref)
        assert bench.driver.list_owned(bench.location, "hub-1") == []
        assert bench.driver.get(theirs).external_id

    def test_nd20_flt40_parts_of_two_epochs_are_listed_as_one_machine_that_can_be_deleted(
        self, bench: DriverBench
    ) -> None:
        with bench.die_before_machine(), pytest.raises(DriverError):
            bench.driver.create(bench.order())
        created = bench.driver.create(bench.order(bench.ref(epoch=4)))
        [listed] = bench.driver.list_owned(bench.location, "hub-1")
        assert listed.external_id == created.external_id
        bench.remove(listed.ref)
        assert bench.parts() == []

    def test_nd20_list_owned_of_an_empty_location_is_empty(self, bench: DriverBench) -> None:
        assert list(bench.driver.list_owned(bench.location, "hub-1")) == []

    def test_nd21_documents_arrive_byte_for_byte(self, bench: DriverBench) -> None:
        order = bench.order(user_data="#cloud-config\r\n\tx: 'é\u2028'\n\n", network_data="\n version: 2 \n")
        bench.driver.create(order)
        assert bench.documents(order.ref) == (order.user_data, order.network_data)

    @pytest.mark.parametrize("field", ["user_data", "network_data", "ssh_public_key", "cluster_name", "name", "label"])
    def test_nd22_sec66_hostile_text_arrives_as_it_is_or_is_refused(self, bench: DriverBench, field: str) -> None:
        for index, text in enumerate(bench.hostile_texts):
            before = bench.refs()
            order = outcome(partial(hostile_order, bench, f"m{index}", field, text))
            answer = outcome(partial(bench.driver.create, order)) if isinstance(order, MachineOrder) else order
            if isinstance(order, MachineOrder) and isinstance(answer, MachineView):
                assert bench.documents(order.ref) == (order.user_data, order.network_data)
                assert all(bench.labels(order.ref)[key] == value for key, value in order.labels.items())
            else:
                assert not getattr(answer, "retryable", False), text
                assert bench.refs() == before

    def test_nd23_an_unreachable_infrastructure_is_a_retryable_error_of_every_call(self, bench: DriverBench) -> None:
        ref = bench.ref()
        calls: list[Callable[[], Any]] = [
            lambda: bench.driver.check(bench.location, bench.settings),
            lambda: bench.driver.create(bench.order()),
            lambda: bench.driver.get(ref),
            lambda: bench.driver.list_owned(bench.location, "hub-1"),
            lambda: bench.driver.delete(ref),
            lambda: bench.driver.forget_bootstrap(ref),
        ]
        with bench.unreachable():
            for call in calls:
                with pytest.raises(InfrastructureUnavailable) as away:
                    call()
                assert away.value.retryable
        assert bench.parts() == []

    def test_nd24_power_control_is_idempotent(self, bench: DriverBench) -> None:
        driver = bench.driver
        if not isinstance(driver, PowerControl):
            assert "power" not in capabilities_of(type(driver))
            return
        ref = bench.ref()
        bench.bring_up(bench.order())
        driver.start(ref)
        for _ in range(2):
            driver.stop(ref)
        bench.until(lambda: bench.driver.get(ref).phase is MachinePhase.STOPPED, "the machine to stop")
        assert driver.get(ref).addresses == ()
        for _ in range(2):
            driver.start(ref)
        bench.until(lambda: bench.driver.get(ref).addresses, "the machine to run again")
        driver.restart(ref)
        bench.until(lambda: bench.driver.get(ref).addresses, "the machine to have restarted")

    def test_nd24_power_control_of_a_machine_that_does_not_exist_raises(self, bench: DriverBench) -> None:
        driver = bench.driver
        if isinstance(driver, PowerControl):
            for call in (driver.start, driver.stop, driver.restart):
                with pytest.raises(MachineNotFound):
                    call(bench.ref())

    def test_nd25_the_settings_are_a_valid_schema_that_validate_obeys(self, bench: DriverBench) -> None:
        schema = bench.driver.settings.json_schema()
        Draft202012Validator.check_schema(schema)
        assert bench.driver.name
        validated = bench.driver.settings.validate(bench.settings)
        assert Draft202012Validator(schema).is_valid(validated)
        with pytest.raises(InvalidSettings, match="/nonsense") as refused:
            bench.driver.settings.validate({**bench.settings, "nonsense": CANARY})
        assert CANARY not in str(refused.value)


def outcome(call: Callable[[], T]) -> T | ValueError | DriverError:
    """What a call answers or raises, of that which the contract allows."""
    try:
        return call()
    except (ValueError, DriverError) as error:
        return error


def hostile_order(bench: DriverBench, name: str, field: str, text: str) -> MachineOrder:
    """An order with the text in one place. Raises ValueError where the types refuse it."""
    ref = bench.ref(text, machine_id="m-1") if field == "name" else bench.ref(name)
    if field == "name":
        return bench.order(ref)
    if field == "label":
        return bench.order(ref, labels={"example.org/note": text})
    changes: dict[str, Any] = {field: text}
    return bench.order(ref, **changes)
