"""Join tokens: strength, and the pinned form."""

import pytest

from hub.provisioning.bootstrap.checks import BootstrapInvalid, check_token
from hub.provisioning.bootstrap.tokens import agent_token, generate_token, server_token


def test_sec10_three_tokens_are_three_different_ones() -> None:
    assert len({generate_token() for _ in range(3)}) == 3


def test_sec09_a_generated_token_has_256_bits_and_passes_the_check() -> None:
    token = generate_token()
    assert len(bytes.fromhex(token)) == 32
    check_token(token, "/server_token")


@pytest.mark.parametrize(
    "weak", ["", "short", "a" * 64, "ab" * 32, "K10" + "0123456789abcdef" * 4, "abcdef.0123456789abcdef"]
)
def test_sec09_an_empty_weak_or_ambiguous_token_is_refused_without_being_repeated(weak: str) -> None:
    with pytest.raises(BootstrapInvalid) as refused:
        check_token(weak, "/server_token")
    assert refused.value.pointer == "/server_token"
    assert not weak or weak not in str(refused.value)


def test_the_pinned_form_names_user_and_ca() -> None:
    assert server_token("ab" * 32, "secret") == "K10" + "ab" * 32 + "::server:secret"
    assert agent_token("ab" * 32, "secret") == "K10" + "ab" * 32 + "::node:secret"
