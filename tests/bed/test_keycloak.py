"""The bed's Keycloak does what the tests of the product lean on."""

from tests.bed.keycloak import Keycloak


def test_it_has_realms_users_and_groups_with_parents(keycloak: Keycloak) -> None:
    keycloak.create_realm("bed-check")
    user = keycloak.create_user("bed-check", "jane", "pw")
    group = keycloak.create_group("bed-check", "/teams/blue")
    assert keycloak.create_group("bed-check", "/teams/blue") == group
    keycloak.join("bed-check", user, group)
    assert keycloak.groups_of("bed-check", user) == ["/teams/blue"]
    keycloak.leave("bed-check", user, group)
    assert keycloak.groups_of("bed-check", user) == []
    keycloak.delete_realm("bed-check")
