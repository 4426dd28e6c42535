"""Amounts: how they are written, added and compared, and what a VM takes beside its memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.allowances.amounts import (
    LARGEST,
    RESOURCES,
    add,
    growth,
    lesser,
    overrun,
    read_amount,
    room,
    times,
    virtual_machine_memory,
)

SOME = st.dictionaries(st.sampled_from(sorted(RESOURCES)), st.integers(0, 1000))


@pytest.mark.parametrize(
    ("resource", "written", "amount"),
    [
        ("cpu", 16, 16),
        ("cpu", "16", 16),
        ("cpu", "2000m", 2),
        ("memory", 65536, 65536),
        ("memory", "64Gi", 65536),
        ("memory", "512Mi", 512),
        ("storage", "2Ti", 2048),
        ("claims", 3, 3),
        ("vms", 0, 0),
    ],
)
def test_an_amount_is_a_number_in_its_unit_or_a_quantity(resource: str, written: object, amount: int) -> None:
    assert read_amount(resource, written) == amount


@pytest.mark.parametrize(
    ("resource", "written"),
    [
        ("pods", 1),
        ("cpu", "500m"),
        ("cpu", -1),
        ("cpu", True),
        ("cpu", 1.5),
        ("cpu", None),
        ("cpu", "many"),
        ("cpu", LARGEST + 1),
        ("memory", "1k"),
        ("storage", "-1Gi"),
        ("vms", "3"),
    ],
)
def test_what_is_no_whole_sensible_amount_is_refused(resource: str, written: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_amount(resource, written)


@given(SOME, SOME)
def test_what_grows_and_the_lesser_make_up_the_new_amount(before: dict[str, int], after: dict[str, int]) -> None:
    assert add([lesser(after, before), growth(before, after)]) == add([after])


@given(SOME, SOME)
def test_room_and_overrun_never_both_say_something(used: dict[str, int], limits: dict[str, int]) -> None:
    left, over = room(used, limits), overrun(used, limits)
    assert set(left) == set(limits)
    for resource, limit in limits.items():
        assert left[resource] == 0 or resource not in over
        assert limit - used.get(resource, 0) == left[resource] - over.get(resource, 0)


@given(SOME, st.integers(0, 5))
def test_a_multiple_is_that_many_times_the_sum(amounts: dict[str, int], count: int) -> None:
    assert add([times(count, amounts)]) == add([amounts] * count)


# The estimate of KubeVirt for the whole limit, times 1.5, rounded up to a MiB.
@pytest.mark.parametrize(
    ("settings", "overhead"),
    [
        ({"cpu_count": 8, "memory_mib": 16384}, 1.5 * (260 + 64 + 32)),
        ({"cpu_count": 2, "memory_mib": 4096}, 1.5 * (260 + 16 + 8)),
        ({"cpu_count": 1, "memory_mib": 1024}, 1.5 * (260 + 8 + 2)),
        ({"cpu_count": 2, "memory_mib": 4096, "tpm": True}, 1.5 * (284 + 53) + 0.5),
        ({"cpu_count": 2, "memory_mib": 4096, "dedicated_cpus": True}, 1.5 * (284 + 100)),
        ({"cpu_count": 2, "memory_mib": 4096, "host_devices": True}, 1.5 * (284 + 1024)),
    ],
)
def test_ten10_a_vm_takes_its_memory_and_kubevirt_s_overhead(settings: dict[str, int], overhead: float) -> None:
    assert virtual_machine_memory(**settings) == settings["memory_mib"] + overhead  # type: ignore[arg-type]
