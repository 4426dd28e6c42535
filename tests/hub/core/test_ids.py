"""UUIDv7 ids: their form, and that they sort by creation."""

import time
import uuid
from itertools import pairwise

from hub.core.ids import uuid7


def test_an_id_is_a_version_7_uuid_of_the_rfc_variant() -> None:
    made = uuid7()
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


def test_an_id_carries_the_time_of_its_making_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    carried = uuid7().int >> 80
    assert before <= carried <= time.time_ns() // 1_000_000


def test_ids_made_a_millisecond_apart_sort_by_creation() -> None:
    made = []
    for _ in range(5):
        made.append(uuid7())
        time.sleep(0.001)
    assert all(earlier < later for earlier, later in pairwise(made))


def test_ten_thousand_ids_differ() -> None:
    assert len({uuid7() for _ in range(10_000)}) == 10_000
