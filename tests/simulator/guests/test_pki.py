"""Ready-made authorities are checked as a server would need them."""

import pytest

from simulator.guests.pki import AuthorityRefused, GuestAuthorities, make_authority, read_or_make_authorities
from simulator.guests.tokens import ca_bundle_hash
from tests.simulator.guests.certificates import issue_leaf

FOLDER = "/var/lib/rancher/k3s/server/tls"


def test_files_that_are_there_are_used_and_the_rest_is_made() -> None:
    server = make_authority("mine")
    files = {f"{FOLDER}/server-ca.crt": server.cert_pem.encode(), f"{FOLDER}/server-ca.key": server.key_pem.encode()}

    authorities, found = read_or_make_authorities(files, FOLDER)

    assert found == ["server-ca"]
    assert ca_bundle_hash(authorities.server.cert_pem.encode()) == ca_bundle_hash(server.cert_pem.encode())
    assert authorities.client.cert_pem != server.cert_pem
    assert GuestAuthorities.from_json(authorities.to_json()) == authorities


def test_a_certificate_without_its_key_is_refused() -> None:
    files = {f"{FOLDER}/client-ca.crt": make_authority("a").cert_pem.encode()}

    with pytest.raises(AuthorityRefused, match="client-ca: key file is missing"):
        read_or_make_authorities(files, FOLDER)


def test_a_key_of_another_certificate_is_refused() -> None:
    one, other = make_authority("one"), make_authority("other")
    files = {f"{FOLDER}/server-ca.crt": one.cert_pem.encode(), f"{FOLDER}/server-ca.key": other.key_pem.encode()}

    with pytest.raises(AuthorityRefused, match="does not match"):
        read_or_make_authorities(files, FOLDER)


def test_a_certificate_that_may_not_sign_is_refused() -> None:
    leaf = issue_leaf(make_authority("ca"), "leaf")
    files = {f"{FOLDER}/server-ca.crt": leaf.cert_pem.encode(), f"{FOLDER}/server-ca.key": leaf.key_pem.encode()}

    with pytest.raises(AuthorityRefused, match="not a CA"):
        read_or_make_authorities(files, FOLDER)


def test_a_broken_chain_is_refused() -> None:
    one, stranger = make_authority("one"), make_authority("stranger")
    chain = one.cert_pem + stranger.cert_pem
    files = {f"{FOLDER}/server-ca.crt": chain.encode(), f"{FOLDER}/server-ca.key": one.key_pem.encode()}

    with pytest.raises(AuthorityRefused, match="chain is broken"):
        read_or_make_authorities(files, FOLDER)


@pytest.mark.parametrize("name", ["server-ca.crt", "service.key"])
def test_what_is_not_pem_is_refused(name: str) -> None:
    files = {f"{FOLDER}/{name}": b"nonsense", f"{FOLDER}/server-ca.key": b"nonsense"}

    with pytest.raises(AuthorityRefused):
        read_or_make_authorities(files, FOLDER)
