"""``manage.py keycloak_setup``: makes in a Keycloak what the hub needs there, and the provider here. Again does no harm."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.audit.console import console
from hub.core.errors import HubError
from hub.core.outbound import OutboundError
from hub.identity.keycloak import GROUPS_CLAIM, ClientAddresses, Credentials, KeycloakRealm, KeycloakUnavailable
from hub.identity.models import IdentityProvider, ProviderKind
from hub.identity.oidc.flow import redirect_uri
from hub.identity.oidc.logout import back_channel_uri, post_logout_redirect_uri
from hub.identity.providers import ProviderSettings, build_provider, check_settings, create_provider, update_provider

SETUP_TIMEOUT = 60.0  # making a realm takes Keycloak a while


class Command(BaseCommand):
    """Asks for an administrator of that Keycloak once; nothing of him is kept."""

    help = (
        "Makes the hub's clients in a Keycloak realm (and the realm, with --create-realm) and saves the realm as an identity "
        "provider that people can log in by."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", required=True, help="Keycloak's address, https://HOST[:PORT][/PATH]")
        parser.add_argument("--realm", required=True, help="the realm whose users may log in to the hub")
        parser.add_argument("--create-realm", action="store_true", help="make the realm if it is not there")
        parser.add_argument("--admin", required=True, help="an administrator of that Keycloak")
        parser.add_argument("--admin-realm", default="master", help="the realm that knows the administrator")
        parser.add_argument("--password-stdin", action="store_true", help="read his password from standard input")
        parser.add_argument("--ca-file", type=Path, help="certificate authority of Keycloak's certificate (PEM)")
        parser.add_argument("--name", default="keycloak", help="the provider's name on the hub, part of its addresses")
        parser.add_argument("--title", default="Keycloak", help="what the button on the login page says")
        parser.add_argument("--client-id", default="paddock", help="the client that is made; the second is CLIENT-sync")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = _settings(options)
        try:
            check_settings(build_provider(settings))
            with _administration(settings, options) as realm:
                secret, sync_secret = _set_up(realm, settings, create_realm=options["create_realm"])
        except (KeycloakUnavailable, OutboundError) as error:
            raise CommandError(f"Keycloak: {error}") from error
        except HubError as error:
            raise CommandError(str(error)) from error
        provider = _save(settings, secret, sync_secret)
        self.stdout.write(
            f"Realm {options['realm']}: client {settings.client_id} for logins, {settings.admin_client_id} for search"
        )
        self.stdout.write(
            f"Provider {provider.name}: people log in at {redirect_uri(provider.name).rpartition('/')[0]}"
        )


def _settings(options: dict[str, Any]) -> ProviderSettings:
    return ProviderSettings(
        name=options["name"],
        kind=ProviderKind.KEYCLOAK.value,
        display_name=options["title"],
        issuer=f"{options['url'].rstrip('/')}/realms/{options['realm']}",
        client_id=options["client_id"],
        ca_pem=_read(options["ca_file"]) if options["ca_file"] else "",
        groups_claim=GROUPS_CLAIM,
        admin_client_id=f"{options['client_id']}-sync",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise CommandError(f"cannot read {path} ({error.strerror})") from error


def _administration(settings: ProviderSettings, options: dict[str, Any]) -> KeycloakRealm:
    if not options["password_stdin"]:
        raise CommandError("give the administrator's password on standard input, with --password-stdin")
    password = sys.stdin.readline().rstrip("\n")
    who = Credentials("admin-cli", username=options["admin"], password=password, realm=options["admin_realm"])
    return KeycloakRealm(settings.issuer, who, ca_pem=settings.ca_pem, timeout=SETUP_TIMEOUT)


def _set_up(realm: KeycloakRealm, settings: ProviderSettings, *, create_realm: bool) -> tuple[str, str]:
    if create_realm:
        realm.ensure_realm()
    addresses = ClientAddresses(
        redirect_uri(settings.name), post_logout_redirect_uri(), back_channel_uri(settings.name)
    )
    secret = realm.ensure_login_client(settings.client_id, addresses)
    return secret, realm.ensure_sync_client(settings.admin_client_id)


def _save(settings: ProviderSettings, secret: str, sync_secret: str) -> IdentityProvider:
    whole = ProviderSettings.from_plain(settings.plain(), client_secret=secret, admin_client_secret=sync_secret)
    known = IdentityProvider.objects.filter(name=settings.name).first()
    try:
        if known is None:
            return create_provider(console(), whole, is_enabled=True)
        update_provider(console(), known, whole, is_enabled=True)
    except HubError as error:
        raise CommandError(str(error)) from error
    return known
