"""Judging what was seen: the clock, the identity, the owner, the capabilities. No server."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.core.ids import uuid7
from hub.federation.checks import Check, CheckFailed
from hub.federation.observation import (
    CLOCK_FAILURE,
    CLOCK_WARNING,
    REQUIRED_GROUPS,
    Observation,
    Owner,
    _judge_clock,
    check_owner,
    examine_way,
    judge,
)
from hub.federation.rights import HubMark
from kube.credentials import Credentials
from kube.guard import AddressGuard

MARK = HubMark(uuid7(), 3)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PLAIN = {"": ["v1"], "rbac.authorization.k8s.io": ["v1"]}


def seen(**changes: object) -> Observation:
    values: dict[str, object] = {"uid": "u1", "version": "v1.34.4", "node_count": 3, "groups": PLAIN, **changes}
    return Observation(**values)  # type: ignore[arg-type]


def judged(
    observation: Observation, kind: str = "kubernetes", pinned: str = "u1", known: str | None = None
) -> list[Check]:
    return list(judge(observation, kind, MARK, pinned_uid=pinned, known_as=known))


def failure(
    observation: Observation, kind: str = "kubernetes", pinned: str = "u1", known: str | None = None
) -> CheckFailed:
    with pytest.raises(CheckFailed) as failed:
        judged(observation, kind, pinned, known)
    return failed.value


class TestJudging:
    def test_what_is_as_it_should_be_passes(self) -> None:
        assert [(c.name, c.state) for c in judged(seen())] == [
            ("version", "passed"),
            ("identity", "passed"),
            ("owner", "passed"),
            ("capabilities", "passed"),
        ]

    def test_the_first_time_any_cluster_will_do(self) -> None:
        assert judged(seen(uid="new"), pinned="")

    def test_flt25_another_uid_than_the_pinned_one_fails_for_good(self) -> None:
        failed = failure(seen(uid="u2"))
        assert (failed.check.name, failed.retryable) == ("identity", False)

    def test_a_cluster_that_another_row_is_for_fails_and_is_named(self) -> None:
        failed = failure(seen(), pinned="", known="site-a")
        assert failed.check.name == "identity"
        assert "site-a" in failed.check.message

    @pytest.mark.parametrize("group", REQUIRED_GROUPS["harvester"])
    def test_each_group_that_a_harvester_needs_is_needed(self, group: str) -> None:
        served = {name: ["v1"] for name in REQUIRED_GROUPS["harvester"] if name != group}
        failed = failure(seen(groups=served), kind="harvester")
        assert failed.check.name == "capabilities"
        assert group in failed.check.message


class TestOwner:
    def test_flt40_nobody_and_ourselves_are_fine(self) -> None:
        for owner in (None, Owner(str(MARK.hub_id), 3), Owner(str(MARK.hub_id), 1)):
            check_owner(owner, MARK)

    @pytest.mark.parametrize("owner", [Owner("another", 1), Owner("", 0), Owner(str(MARK.hub_id), 4)])
    def test_flt40_another_hub_and_a_later_life_of_this_one_are_not(self, owner: Owner) -> None:
        with pytest.raises(CheckFailed) as failed:
            check_owner(owner, MARK)
        assert (failed.value.check.name, failed.value.retryable) == ("owner", False)


class TestClock:
    @pytest.mark.parametrize(
        ("skew", "state"),
        [(0, "passed"), (CLOCK_WARNING - 1, "passed"), (CLOCK_WARNING + 1, "warning"), (-CLOCK_WARNING - 1, "warning")],
    )
    def test_a_small_difference_is_told(self, skew: float, state: str) -> None:
        assert _judge_clock(NOW + timedelta(seconds=skew), NOW).state == state

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_great_one_fails(self, sign: int) -> None:
        with pytest.raises(CheckFailed, match="301 s"):
            _judge_clock(NOW + timedelta(seconds=sign * (CLOCK_FAILURE + 1)), NOW)

    def test_a_server_without_a_clock_is_no_failure(self) -> None:
        assert _judge_clock(None, NOW).state == "warning"


class TestWay:
    def failed(self, *servers: str, guard: AddressGuard | None = None) -> CheckFailed:
        with pytest.raises(CheckFailed) as failed:
            list(examine_way(Credentials(servers, None, "token"), guard or AddressGuard()))
        return failed.value

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "169.254.169.254", "[::1]", "0.0.0.0", "[64:ff9b::7f00:1]", "[::ffff:127.0.0.1]", "localhost"],
    )
    def test_sec57_addresses_of_the_hubs_own_inside_are_refused_before_any_connection(self, address: str) -> None:
        failed = self.failed(f"https://{address}:6443")
        assert failed.check.name == "dns"
        assert "PADDOCK_ADDRESS_ALLOW" in failed.check.fix

    def test_an_unknown_name_says_so(self) -> None:
        def nobody(host: str, port: int) -> list[str]:
            raise OSError

        failed = self.failed("https://harvester.example:6443", guard=AddressGuard(resolver=nobody))
        assert failed.check.name == "dns"
        assert "harvester.example" in failed.check.message

    def test_sec60_a_name_that_points_inside_is_refused_and_its_address_not_told(self) -> None:
        guard = AddressGuard(resolver=lambda host, port: ["127.0.0.53"])
        failed = self.failed("https://harvester.example:6443", guard=guard)
        assert failed.check.name == "dns"
        assert "127.0.0.53" not in failed.check.message + failed.check.fix
