"""Second factors: set up, asked for, replaced, removed."""

import time

import pyotp
import pytest

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.errors import HubError
from hub.identity import login_limits, second_factor
from hub.identity.actors import actor_of
from hub.identity.models import RecoveryCode, User
from hub.identity.second_factor import (
    RECOVERY_CODES,
    begin_enrolment,
    check_second_factor,
    confirm_enrolment,
    count_recovery_codes,
    find_user_of_ticket,
    issue_ticket,
    pending_enrolment,
    remove_second_factor,
    replace_recovery_codes,
)
from hub.identity.services import create_user, set_password
from hub.identity.sessions import authenticate_session, start_session
from tests.hub.builders import unique

PEER = "192.0.2.7"
GOOD = "correct horse battery staple"


class Clock:
    """Which half minute it is, and the code that a device shows then."""

    def __init__(self) -> None:
        self.step = 60_000_000

    def __call__(self) -> int:
        return self.step

    def code(self, user: User, steps: int = 0) -> str:
        return str(pyotp.TOTP(user.totp_secret.reveal()).generate_otp(self.step + steps))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(second_factor, "current_step", clock)
    return clock


@pytest.fixture
def maria(db: None) -> User:
    return create_user(SYSTEM, unique("maria"), password=GOOD)


@pytest.fixture
def codes(maria: User, clock: Clock) -> list[str]:
    """Maria's recovery codes, after she has set up a second factor; its half minute is over."""
    begin_enrolment(actor_of(maria), maria)
    made = confirm_enrolment(actor_of(maria), maria, clock.code(maria), peer=PEER)
    clock.step += 1
    return made


def refused(user: User, code: str, peer: str = PEER) -> str:
    """The code of the error that keeps this one out."""
    with pytest.raises(HubError) as caught:
        check_second_factor(user, code, peer=peer)
    return caught.value.code


def test_a_secret_counts_once_a_code_has_confirmed_it(maria: User, clock: Clock) -> None:
    enrolment = begin_enrolment(actor_of(maria), maria)
    assert pending_enrolment(maria) == enrolment
    assert enrolment.uri.startswith(f"otpauth://totp/Paddock:{maria.username}?secret={enrolment.secret}&issuer=Paddock")
    assert not maria.has_second_factor
    assert refused(maria, clock.code(maria)) == "second_factor.none"
    assert len(confirm_enrolment(actor_of(maria), maria, clock.code(maria), peer=PEER)) == RECOVERY_CODES
    assert User.objects.get(pk=maria.pk).has_second_factor
    assert pending_enrolment(maria) is None


def test_sec10_each_secret_and_code_is_another(maria: User) -> None:
    secrets = {begin_enrolment(actor_of(maria), maria).secret for _ in range(3)}
    assert len(secrets) == 3
    assert {len(secret) for secret in secrets} == {32}


def test_a_wrong_first_code_changes_nothing(maria: User, clock: Clock) -> None:
    begin_enrolment(actor_of(maria), maria)
    with pytest.raises(HubError, match=r"second_factor\.wrong"):
        confirm_enrolment(actor_of(maria), maria, "000000", peer=PEER)
    assert not User.objects.get(pk=maria.pk).has_second_factor


def test_setting_one_up_ends_the_logins_begun_without_it(maria: User, clock: Clock) -> None:
    (own, own_text), (_, other_text) = (start_session(maria, peer=PEER, user_agent="") for _ in range(2))
    actor = actor_of(maria, session=own)
    begin_enrolment(actor, maria)
    confirm_enrolment(actor, maria, clock.code(maria), peer=PEER)
    assert authenticate_session(own_text) is not None
    assert authenticate_session(other_text) is None


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_clock_may_be_wrong_by_half_a_minute(maria: User, codes: list[str], clock: Clock, steps: int) -> None:
    clock.step += 1  # so that the one before is not the one that confirmed
    check_second_factor(maria, clock.code(maria, steps), peer=PEER)


@pytest.mark.parametrize("steps", [-2, 2])
def test_and_not_by_more(maria: User, codes: list[str], clock: Clock, steps: int) -> None:
    clock.step += 2
    assert refused(maria, clock.code(maria, steps)) == "second_factor.wrong"


def test_sec54_a_code_is_taken_once(maria: User, codes: list[str], clock: Clock) -> None:
    code = clock.code(maria)
    check_second_factor(maria, f" {code[:3]} {code[3:]} ", peer=PEER)
    assert refused(maria, code) == "second_factor.wrong"


def test_sec54_no_code_is_taken_after_a_later_one(maria: User, codes: list[str], clock: Clock) -> None:
    later, now = clock.code(maria, 1), clock.code(maria)
    check_second_factor(maria, later, peer=PEER)
    assert refused(maria, now) == "second_factor.wrong"


def test_the_code_that_confirmed_is_not_taken_again(maria: User, clock: Clock) -> None:
    begin_enrolment(actor_of(maria), maria)
    code = clock.code(maria)
    confirm_enrolment(actor_of(maria), maria, code, peer=PEER)
    assert refused(maria, code) == "second_factor.wrong"


def test_a_recovery_code_is_taken_once_however_it_is_typed(maria: User, codes: list[str]) -> None:
    check_second_factor(maria, codes[0], peer=PEER)
    check_second_factor(maria, codes[1].upper().replace("-", " "), peer=PEER)
    assert count_recovery_codes(maria) == RECOVERY_CODES - 2
    assert refused(maria, codes[0]) == "second_factor.wrong"


def test_recovery_codes_are_each_users_own_and_kept_as_hashes(maria: User, codes: list[str], clock: Clock) -> None:
    other = create_user(SYSTEM, unique("otto"), password=GOOD)
    begin_enrolment(actor_of(other), other)
    confirm_enrolment(actor_of(other), other, clock.code(other), peer="192.0.2.8")
    assert refused(other, codes[0]) == "second_factor.wrong"
    kept = b"".join(bytes(row.code_hash) for row in RecoveryCode.objects.all())
    assert not any(code.replace("-", "").encode() in kept for code in codes)
    assert len(set(codes)) == RECOVERY_CODES


def test_new_recovery_codes_end_the_old_ones(maria: User, codes: list[str]) -> None:
    new = replace_recovery_codes(actor_of(maria), maria)
    assert not set(new) & set(codes)
    assert refused(maria, codes[0]) == "second_factor.wrong"
    check_second_factor(maria, new[0], peer=PEER)


def test_without_a_second_factor_there_are_no_recovery_codes(maria: User) -> None:
    with pytest.raises(HubError, match=r"second_factor\.none"):
        replace_recovery_codes(actor_of(maria), maria)


def test_a_second_factor_is_not_replaced_by_who_finds_an_open_browser(maria: User, codes: list[str]) -> None:
    before = maria.totp_secret.reveal()
    with pytest.raises(HubError, match=r"second_factor\.exists"):
        begin_enrolment(actor_of(maria), maria)
    assert User.objects.get(pk=maria.pk).totp_secret.reveal() == before


def test_removed_nothing_of_it_is_left(maria: User, codes: list[str]) -> None:
    remove_second_factor(actor_of(maria), maria)
    user = User.objects.get(pk=maria.pk)
    assert (user.has_second_factor, bool(user.totp_secret), count_recovery_codes(user)) == (False, False, 0)


def test_sec56_guessing_codes_is_braked_for_the_peer_and_for_the_account(
    maria: User, codes: list[str], clock: Clock
) -> None:
    for _ in range(login_limits.PAIR_LIMIT):
        assert refused(maria, "000000") == "second_factor.wrong"
    assert refused(maria, clock.code(maria)) == "login.throttled"
    for number in range(login_limits.SECOND_FACTOR_LIMIT - login_limits.PAIR_LIMIT):
        refused(maria, "000000", f"198.51.100.{number}")
    assert refused(maria, codes[0], "203.0.113.9") == "login.throttled"


def test_sec56_guessing_codes_does_not_lock_the_password(maria: User, codes: list[str]) -> None:
    for _ in range(login_limits.PAIR_LIMIT):
        refused(maria, "000000")
    login_limits.count_attempt(maria.username, PEER)


def test_sec03_the_trail_tells_of_setting_up_and_failing_and_holds_no_code(
    maria: User, codes: list[str], clock: Clock
) -> None:
    refused(maria, "123456")
    remove_second_factor(SYSTEM, maria)
    told = [vars(event) for event in AuditEvent.objects.filter(object_id=maria.pk)]
    changes = [event.changes for event in AuditEvent.objects.filter(object_id=maria.pk, verb="update").order_by("at")]
    assert changes[-2:] == [{"second_factor": [False, True]}, {"second_factor": [True, False]}]
    denied = AuditEvent.objects.get(object_id=maria.pk, verb="login", outcome="denied")
    assert denied.detail["reason"] == "second_factor"
    assert not any(code in str(told) for code in ("123456", *codes))


class TestTickets:
    def test_a_ticket_names_who_has_shown_his_password(self, maria: User) -> None:
        assert find_user_of_ticket(issue_ticket(maria)) == maria

    @pytest.mark.parametrize("change", [lambda text: "", lambda text: text[:-1] + "!", lambda text: "x" + text])
    def test_anything_else_names_nobody(self, maria: User, change: object) -> None:
        assert callable(change)
        assert find_user_of_ticket(change(issue_ticket(maria))) is None

    def test_it_ends_with_the_password_and_with_the_user(self, maria: User) -> None:
        ticket = issue_ticket(maria)
        set_password(SYSTEM, maria, GOOD + "!")
        assert find_user_of_ticket(ticket) is None
        ticket = issue_ticket(maria)
        User.objects.filter(pk=maria.pk).update(is_active=False)
        assert find_user_of_ticket(ticket) is None

    def test_it_is_good_for_five_minutes(self, maria: User, monkeypatch: pytest.MonkeyPatch) -> None:
        ticket = issue_ticket(maria)
        later = time.time() + second_factor.TICKET_SECONDS + 2
        monkeypatch.setattr("django.core.signing.time.time", lambda: later)
        assert find_user_of_ticket(ticket) is None
