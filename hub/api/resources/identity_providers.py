"""Identity providers, and the tests that come before them. Their secrets go in and never come out."""

import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field
from rest_framework.request import Request
from rest_framework.response import Response

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, References, Updates, location, posted
from hub.api.documents import Body, Name, RecordShown, Shown, Text, read_body
from hub.api.listing import ChoiceFilter, Listing, TextFilter
from hub.core.errors import HubError, define
from hub.core.sealed import Sealed
from hub.identity.groups import KEY_LIMIT, ensure_group, is_group_key
from hub.identity.keycloak import KeycloakUnavailable
from hub.identity.models import Group, IdentityProvider, ProviderDraft, ProviderKind
from hub.identity.oidc.flow import SCOPES, redirect_uri
from hub.identity.oidc.logout import back_channel_uri, post_logout_redirect_uri
from hub.identity.provider_drafts import create_draft, create_draft_of, save_draft
from hub.identity.provider_sync import realm_of
from hub.identity.providers import ProviderSettings, create_provider, delete_provider, update_provider
from hub.operations.models import Operation

from .groups import GroupShown

define("group.key_invalid", 400, "The group is not written as this provider tells its groups")
define("provider.no_search", 409, "Only a Keycloak can be searched")
define("provider.unavailable", 503, "The provider does not answer, or not to the account that the hub has there")

Secret = Annotated[
    str | None,
    Field(max_length=1000, repr=False),
    BeforeValidator(lambda value: None if isinstance(value, Sealed) else value),
]
Pem = Annotated[str, Field(max_length=64 * 1024)]
Key = Annotated[str, Field(min_length=1, max_length=KEY_LIMIT)]


class ProviderShown(RecordShown):
    """``has_client_secret`` says whether there is one. The three addresses are to be registered at the provider, exactly.

    ``sync_error`` is "" after a good round; ``synced_at`` is when that was.
    """

    name: str
    kind: ProviderKind
    display_name: str
    issuer: str
    client_id: str
    has_client_secret: bool
    scopes: list[str]
    ca_pem: str
    username_claim: str
    name_claim: str
    email_claim: str
    groups_claim: str
    group_key: Literal["id", "path"]
    access_mode: Literal["open", "restricted"]
    allowed_groups: list[str]
    admin_client_id: str
    has_admin_client_secret: bool
    is_enabled: bool
    tested_at: datetime.datetime | None
    synced_at: datetime.datetime | None
    sync_error: str
    redirect_uri: str
    post_logout_redirect_uri: str
    back_channel_uri: str

    @classmethod
    def of(cls, source: IdentityProvider) -> Self:
        made: dict[str, Any] = {
            "has_client_secret": bool(source.client_secret),
            "has_admin_client_secret": bool(source.admin_client_secret),
            "redirect_uri": redirect_uri(source.name),
            "post_logout_redirect_uri": post_logout_redirect_uri(),
            "back_channel_uri": back_channel_uri(source.name),
        }
        values: dict[str, Any] = {name: getattr(source, name) for name in cls.model_fields if name not in made}
        return cls(**values, **made)


class ProviderBody(Body):
    """A secret that is left out or null stays as it is; "" takes it away."""

    name: Name
    kind: Literal["oidc", "keycloak"]
    display_name: Text = ""
    issuer: Annotated[str, Field(min_length=1, max_length=500)]
    client_id: Name
    client_secret: Secret = None
    scopes: Annotated[list[Text], Field(max_length=20)] = list(SCOPES)
    ca_pem: Pem = ""
    username_claim: Text = "preferred_username"
    name_claim: Text = "name"
    email_claim: Text = "email"
    groups_claim: Text = "groups"
    group_key: Literal["id", "path"] = "path"
    access_mode: Literal["open", "restricted"] = "open"
    allowed_groups: Annotated[list[Key], Field(max_length=200)] = []
    admin_client_id: Text = ""
    admin_client_secret: Secret = None

    @property
    def settings(self) -> ProviderSettings:
        secrets = {"client_secret", "admin_client_secret"}
        plain = {name: getattr(self, name) for name in ProviderBody.model_fields if name not in secrets}
        return ProviderSettings.from_plain(
            plain, client_secret=self.client_secret, admin_client_secret=self.admin_client_secret
        )


class ProviderChange(ProviderBody):
    """Name, kind and issuer stay. Disabling it logs out everybody who came by it, and ends their tokens."""

    is_enabled: bool


class SearchBody(Body):
    search: Annotated[str, Field(min_length=1, max_length=100)]


class FoundGroupShown(Shown):
    """``id`` is null while the hub has no row for it."""

    id: UUID | None
    key: str
    name: str


class FoundUserShown(Shown):
    """``user`` is his user here, null before his first login."""

    subject: str
    username: str
    name: str
    is_enabled: bool
    user: UUID | None


class FoundShown(Shown):
    groups: list[FoundGroupShown]
    users: list[FoundUserShown]


class GroupBody(Body):
    key: Key


class ProviderStepShown(Shown):
    """One step of the test, with what to do when it has not passed."""

    name: Literal["discovery", "keys", "login", "groups"]
    state: Literal["pending", "passed", "warning", "failed"]
    code: str
    message: str
    fix: str
    at: datetime.datetime


class ProviderTestShown(RecordShown):
    """``page`` is where the administrator logs in by these settings, in his own browser; ``provider`` is what they change."""

    provider: UUID | None
    settings: dict[str, Any]
    steps: list[ProviderStepShown]
    page: str
    expires_at: datetime.datetime

    @classmethod
    def of(cls, source: ProviderDraft) -> Self:
        names = set(cls.model_fields) - {"provider", "page"}
        values = {name: getattr(source, name) for name in names}
        return cls(**values, provider=source.provider_id, page=f"/providers/test/{source.pk}")


class IdentityProviderViewSet(
    Lists[IdentityProvider],
    Gets[IdentityProvider],
    Creates[IdentityProvider],
    Updates[IdentityProvider],
    Deletes[IdentityProvider],
):
    resource = "identity-providers"
    verbs = {"test": "test", "search": "update", "groups": "update"}
    rows = IdentityProvider.objects.all()
    shown = ProviderShown
    listing = Listing(
        (TextFilter("name"), ChoiceFilter("kind", choices=tuple(ProviderKind.values))), ("-created_at", "name")
    )
    create_body = ProviderBody
    update_body = ProviderChange

    def perform_create(self, body: ProviderBody, references: References) -> Made:
        """Nobody can log in by it until it is enabled, or has passed a test (``provider-tests``)."""
        return Made(create_provider(self.actor, body.settings))

    def perform_update(self, row: IdentityProvider, body: ProviderChange, expected_version: int | None) -> Made:
        settings = body.settings
        update_provider(self.actor, row, settings, is_enabled=body.is_enabled, expected_version=expected_version)
        return Made(row)

    def perform_delete(self, row: IdentityProvider, expected_version: int | None) -> Operation | None:
        delete_provider(self.actor, row, expected_version=expected_version)
        return None

    @posted(shown=ProviderTestShown)
    def test(self, request: Request, pk: str) -> Response:
        """Begins a test of the provider's present settings."""
        return self.once(request.data, self._test)

    def _test(self) -> Response:
        draft = create_draft_of(self.actor, self.row)
        headers = {"Location": location("provider-tests", draft.pk)}
        return Response(ProviderTestShown.of(draft).model_dump(mode="json"), status=201, headers=headers)

    @posted(SearchBody, FoundShown)
    def search(self, request: Request, pk: str) -> Response:
        """Users and groups at the provider, whose names have the text in them. Makes nothing."""
        body = read_body(SearchBody, request.data)
        return Response(self._found(body.search).model_dump(mode="json"))

    @posted(GroupBody, GroupShown)
    def groups(self, request: Request, pk: str) -> Response:
        """The row of one of the provider's groups, made when there is none, so that a role can be bound to it."""
        body = read_body(GroupBody, request.data)
        if not is_group_key(self.row, body.key):
            raise HubError("group.key_invalid", pointer="/key", group_key=self.row.group_key)
        return self.once(request.data, lambda: self._group(body.key))

    def _group(self, key: str) -> Response:
        group = ensure_group(self.row, key)
        headers = {"Location": location("groups", group.pk)}
        return Response(GroupShown.of(group).model_dump(mode="json"), status=201, headers=headers)

    def _found(self, text: str) -> FoundShown:
        provider = self.row
        if provider.kind != ProviderKind.KEYCLOAK:
            raise HubError("provider.no_search")
        try:
            with realm_of(provider) as realm:
                groups, users = realm.search_groups(text), realm.search_users(text)
        except KeycloakUnavailable as error:
            raise HubError("provider.unavailable", reason=error.reason) from error
        keys = {(group.id if provider.group_key == "id" else group.path): group.path for group in groups}
        rows = dict(Group.objects.filter(provider=provider, key__in=keys).values_list("key", "pk"))
        known = dict(
            provider.identities.filter(subject__in=[user.id for user in users]).values_list("subject", "user_id")
        )
        return FoundShown(
            groups=[FoundGroupShown(id=rows.get(key), key=key, name=name) for key, name in sorted(keys.items())],
            users=[
                FoundUserShown(
                    subject=user.id,
                    username=user.username,
                    name=user.name,
                    is_enabled=user.is_enabled,
                    user=known.get(user.id),
                )
                for user in users
            ],
        )


class ProviderTestViewSet(Lists[ProviderDraft], Gets[ProviderDraft], Creates[ProviderDraft]):
    """Settings of a provider, tried before they are saved. A test lives for an hour."""

    resource = "provider-tests"
    verbs = {"save": "update"}
    rows = ProviderDraft.objects.all()
    shown = ProviderTestShown
    create_body = ProviderBody

    def perform_create(self, body: ProviderBody, references: References) -> Made:
        return Made(create_draft(self.actor, body.settings))

    @posted(shown=ProviderShown)
    def save(self, request: Request, pk: str) -> Response:
        """Makes it a provider that people can log in by, or the new settings of the one that was tested."""
        return self.once(request.data, self._save)

    def _save(self) -> Response:
        provider = save_draft(self.actor, self.row)
        headers = {"Location": location("identity-providers", provider.pk)}
        return Response(ProviderShown.of(provider).model_dump(mode="json"), status=201, headers=headers)
