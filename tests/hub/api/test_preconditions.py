"""If-Match against an object's version."""

import pytest

from hub.api.preconditions import check_if_match, entity_tag
from hub.core.errors import HubError
from hub.tenancy.models import Tenant

ROW = Tenant(version=7)


def refusal(header: str | None) -> str:
    with pytest.raises(HubError) as caught:
        check_if_match(header, ROW)
    return f"{caught.value.status} {caught.value.code}"


@pytest.mark.parametrize("header", ['"7"', ' "7" ', '"6", "7"', '"6","7"', 'W/"7", "7"'])
def test_the_version_that_was_read_is_expected_of_the_change(header: str) -> None:
    assert check_if_match(header, ROW) == 7


def test_a_star_takes_any_version() -> None:
    assert check_if_match("*", ROW) is None


def test_without_the_header_nothing_is_changed() -> None:
    assert refusal(None) == "428 request.if_match_missing"


@pytest.mark.parametrize("header", ['"6"', '"77"', '""', '"6", "8"', 'W/"7"', '"07"'])
def test_another_version_is_stale_and_a_weak_tag_never_matches(header: str) -> None:
    assert refusal(header) == "412 object.stale"


@pytest.mark.parametrize("header", ["", "7", '"7', '7"', '"7" "8"', '"7",', "**", 'w/"7"', '"7\x00"', '"a b"'])
def test_what_is_no_entity_tag_is_refused(header: str) -> None:
    assert refusal(header) == "400 request.if_match_invalid"


def test_the_tag_of_a_version_is_read_back() -> None:
    assert check_if_match(entity_tag(ROW.version), ROW) == ROW.version
