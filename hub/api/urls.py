"""Every route of the web process."""

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from . import probes
from .resources.audit_events import AuditEventViewSet
from .resources.audit_export import AuditExportViewSet
from .resources.audit_forwarders import AuditForwarderViewSet
from .resources.catalogues import NodeDriverViewSet, ReleaseViewSet
from .resources.clusters import ClusterViewSet
from .resources.guest_clusters import GuestClusterViewSet
from .resources.machine_log import MachineLogViewSet
from .resources.machines import MachineViewSet
from .resources.node_pools import NodePoolViewSet
from .resources.operations import OperationViewSet
from .resources.own_password import OwnPasswordViewSet
from .resources.project_namespaces import ProjectNamespaceViewSet
from .resources.projects import ProjectViewSet
from .resources.role_bindings import RoleBindingViewSet
from .resources.session import CurrentSessionViewSet
from .resources.sessions import SessionViewSet
from .resources.tenants import TenantViewSet
from .resources.tokens import TokenViewSet
from .resources.users import UserViewSet
from .resources.whoami import WhoamiViewSet
from .viewsets import ApiViewSet

VIEWSETS: tuple[type[ApiViewSet], ...] = (
    AuditEventViewSet,
    AuditForwarderViewSet,
    ClusterViewSet,
    GuestClusterViewSet,
    MachineViewSet,
    NodeDriverViewSet,
    NodePoolViewSet,
    OperationViewSet,
    ProjectNamespaceViewSet,
    ProjectViewSet,
    ReleaseViewSet,
    RoleBindingViewSet,
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
                path("audit-events/export", AuditExportViewSet.as_view({"get": "list"}), name="audit-export"),  # no id
                *router.urls,
                path("machines/<str:pk>/log", MachineLogViewSet.as_view({"get": "list"}), name="machine-log"),
                path("session", CurrentSessionViewSet.as_view({"get": "retrieve"}), name="session"),
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
