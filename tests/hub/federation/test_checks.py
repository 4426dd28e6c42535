"""The handshake as data: results are kept, what comes after a failure is open again, and times tell of changes."""

from hub.federation.checks import CHECKS, Check, find_check, first_failed, merge_checks, pending_checks
from hub.federation.models import Cluster


def states(cluster: Cluster) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in cluster.checks}


def fresh() -> Cluster:
    return Cluster(name="c", checks=pending_checks())


def test_a_new_cluster_shows_all_checks_as_pending_in_their_order() -> None:
    assert list(states(fresh())) == list(CHECKS)
    assert set(states(fresh()).values()) == {"pending"}
    assert first_failed(fresh()) is None


def test_results_are_kept_and_the_same_result_keeps_its_time() -> None:
    cluster = fresh()
    assert merge_checks(cluster, [Check("dns", "passed", "ok")])
    told = dict(find_check(cluster, "dns") or {})
    assert not merge_checks(cluster, [Check("dns", "passed", "ok")])
    assert find_check(cluster, "dns") == told
    assert merge_checks(cluster, [Check("dns", "passed", "otherwise")])


def test_a_failure_makes_everything_after_it_pending_again() -> None:
    cluster = fresh()
    merge_checks(cluster, [Check(name, "passed") for name in CHECKS])
    merge_checks(cluster, [Check("tls", "failed", "no", "do")])
    assert states(cluster) == {
        name: "passed" if CHECKS.index(name) < 2 else "failed" if name == "tls" else "pending" for name in CHECKS
    }
    failed = first_failed(cluster)
    assert failed is not None
    assert (failed["name"], failed["message"], failed["fix"]) == ("tls", "no", "do")


def test_a_warning_stops_nothing() -> None:
    cluster = fresh()
    merge_checks(cluster, [Check("clock", "warning", "late", "run NTP"), Check("version", "passed", "v1")])
    assert (states(cluster)["clock"], states(cluster)["version"]) == ("warning", "passed")
    assert first_failed(cluster) is None


def test_a_row_of_an_older_version_gets_the_checks_it_does_not_have() -> None:
    cluster = Cluster(name="c", checks=[])
    assert merge_checks(cluster, [Check("dns", "passed")])
    assert list(states(cluster)) == list(CHECKS)
