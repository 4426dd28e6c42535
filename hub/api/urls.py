"""Every route of the web process."""

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from . import probes
from .resources.access import ExplainViewSet, ReviewViewSet
from .resources.audit_events import AuditEventViewSet
from .resources.audit_export import AuditExportViewSet
from .resources.audit_forwarders import AuditForwarderViewSet
from .resources.catalogues import NodeDriverViewSet, ReleaseViewSet
from .resources.cli_logins import CliLoginViewSet
from .resources.clusters import ClusterViewSet
from .resources.credentials import CredentialViewSet
from .resources.grants import GrantViewSet
from .resources.groups import GroupViewSet
from .resources.guest_clusters import GuestClusterViewSet
from .resources.identity_providers import IdentityProviderViewSet, ProviderTestViewSet
from .resources.invitations import InvitationViewSet
from .resources.kubeconfigs import KubeconfigViewSet
from .resources.machine_log import MachineLogViewSet
from .resources.machines import MachineViewSet
from .resources.node_pools import NodePoolViewSet
from .resources.offers import OfferViewSet
from .resources.operations import OperationViewSet
from .resources.own_password import OwnPasswordViewSet
from .resources.project_namespaces import ProjectNamespaceViewSet
from .resources.projects import ProjectViewSet
from .resources.quotas import QuotaViewSet
from .resources.role_bindings import RoleBindingViewSet
from .resources.roles import BuiltInRoleViewSet, RoleViewSet
from .resources.service_accounts import ServiceAccountViewSet
from .resources.session import CurrentSessionViewSet
from .resources.sessions import SessionViewSet
from .resources.tenants import TenantViewSet
from .resources.tokens import TokenViewSet
from .resources.usage import ProjectUsageViewSet, UsageViewSet
from .resources.users import UserViewSet
from .resources.whoami import WhoamiViewSet
from .viewsets import ApiViewSet

VIEWSETS: tuple[type[ApiViewSet], ...] = (
    AuditEventViewSet,
    AuditForwarderViewSet,
    BuiltInRoleViewSet,
    ClusterViewSet,
    CredentialViewSet,
    GrantViewSet,
    GroupViewSet,
    GuestClusterViewSet,
    IdentityProviderViewSet,
    InvitationViewSet,
    KubeconfigViewSet,
    MachineViewSet,
    NodeDriverViewSet,
    NodePoolViewSet,
    OperationViewSet,
    ProjectNamespaceViewSet,
    ProjectViewSet,
    ProviderTestViewSet,
    QuotaViewSet,
    ReleaseViewSet,
    RoleBindingViewSet,
    RoleViewSet,
    ServiceAccountViewSet,
    SessionViewSet,
    TenantViewSet,
    TokenViewSet,
    UserViewSet,
)

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
for viewset in VIEWSETS:
    router.register(viewset.title_of_resource(), viewset, basename=viewset.title_of_resource())

api_patterns: list[URLPattern | URLResolver] = [
    path(
        "api/v1/",
        include(
            [
                path("access/explain", ExplainViewSet.as_view({"get": "retrieve"}), name="access-explain"),
                path("access/review", ReviewViewSet.as_view({"get": "list"}), name="access-review"),
                path("audit-events/export", AuditExportViewSet.as_view({"get": "list"}), name="audit-export"),  # no id
                *router.urls,
                path("cli-logins", CliLoginViewSet.as_view({"post": "create"}), name="cli-logins"),
                path("cli-logins/token", CliLoginViewSet.as_view({"post": "token"}), name="cli-login-token"),
                path("cli-logins/logout", CliLoginViewSet.as_view({"post": "logout"}), name="cli-logout"),
                path("clusters/<str:pk>/offers", OfferViewSet.as_view({"get": "list"}), name="cluster-offers"),
                path("machines/<str:pk>/log", MachineLogViewSet.as_view({"get": "list"}), name="machine-log"),
                path("projects/<str:pk>/usage", ProjectUsageViewSet.as_view({"get": "retrieve"}), name="project-usage"),
                path("session", CurrentSessionViewSet.as_view({"get": "retrieve"}), name="session"),
                path("tenants/<str:pk>/usage", UsageViewSet.as_view({"get": "retrieve"}), name="tenant-usage"),
                path("whoami", WhoamiViewSet.as_view({"get": "retrieve"}), name="whoami"),
                path("whoami/password", OwnPasswordViewSet.as_view({"post": "password"}), name="own-password"),
            ]
        ),
    )
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
    path("api/v1/openapi.json", probes.openapi, name="openapi"),
    *api_patterns,
]
