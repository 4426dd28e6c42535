"""Who may join with which token, and which authority a token pins."""

import hashlib

import pytest

from simulator.guests.distribution import Role
from simulator.guests.pki import make_authority
from simulator.guests.tokens import TokenRefused, ca_bundle_hash, check_ca_hash, check_password, parse_token

CA = make_authority("server-ca").cert_pem.encode()
HASH = hashlib.sha256(CA).hexdigest()


def test_the_secure_form_names_authority_user_and_password() -> None:
    token = parse_token(f"K10{HASH}::server:pass:word")

    assert (token.ca_hash, token.user, token.password) == (HASH, "server", "pass:word")
    assert "pass" not in repr(token)


def test_a_bare_password_and_a_bootstrap_token_pin_nothing() -> None:
    assert parse_token("secret").ca_hash == ""
    assert parse_token(f"K10{HASH}::abcdef.0123456789abcdef").password == "abcdef.0123456789abcdef"


@pytest.mark.parametrize("text", ["", "K10", "K10<hash>", "K10<hash>::", "K10<hash>::server:", "K10abc::server:p"])
def test_a_malformed_token_is_refused_without_being_repeated(text: str) -> None:
    text = text.replace("<hash>", HASH)
    with pytest.raises(TokenRefused) as refusal:
        parse_token(text)

    assert not text or text not in str(refusal.value)


def test_the_hash_is_over_the_file_of_one_certificate_and_over_the_root_of_a_chain() -> None:
    other = make_authority("root").cert_pem.encode()

    assert ca_bundle_hash(CA) == HASH
    assert ca_bundle_hash(CA + other) not in (HASH, hashlib.sha256(CA + other).hexdigest())


def test_a_token_of_another_authority_is_refused() -> None:
    check_ca_hash(parse_token(f"K10{HASH}::server:p"), CA)
    with pytest.raises(TokenRefused, match="does not match the Cluster CA certificate hash"):
        check_ca_hash(parse_token(f"K10{'0' * 64}::server:p"), CA)


@pytest.mark.parametrize(
    ("token", "role", "agent_password", "fits"),
    [
        ("server-pw", "server", "agent-pw", True),
        ("K10<hash>::server:server-pw", "server", "agent-pw", True),
        ("agent-pw", "server", "agent-pw", False),
        ("K10<hash>::node:agent-pw", "server", "agent-pw", False),
        ("agent-pw", "agent", "agent-pw", True),
        ("K10<hash>::node:agent-pw", "agent", "agent-pw", True),
        ("K10<hash>::server:server-pw", "agent", "agent-pw", True),
        ("server-pw", "agent", "agent-pw", False),
        ("server-pw", "agent", "", True),
        ("wrong", "agent", "agent-pw", False),
        ("K10<hash>::root:server-pw", "agent", "agent-pw", False),
    ],
)
def test_the_agent_token_opens_for_agents_only(token: str, role: Role, agent_password: str, fits: bool) -> None:
    parsed = parse_token(token.replace("<hash>", HASH))

    if fits:
        check_password(parsed, role, server_password="server-pw", agent_password=agent_password)
    else:
        with pytest.raises(TokenRefused, match="401"):
            check_password(parsed, role, server_password="server-pw", agent_password=agent_password)
