"""A project's namespace in a member cluster: made, labelled, bound to the roles in use, and deleted without remains.

Its name was stored before it is made here. A namespace of that name that is not ours is reported and never touched;
one that we made in an attempt that was cut off is recognised by its labels. An adopted one is never made and never deleted:
it is the one with the stored UID or none, and in the end it gets back the state without us.

What is kept in it is ``hub.federation.namespace_access``'s and, for the quota, ``namespace_quota``'s. On a Harvester the
machines' account there has a token that lives an hour; it is renewed at half of its life.
"""

from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from hub.access.services import project_roles_in_use
from hub.allowances.namespace_quotas import namespace_quota
from hub.audit.services import record
from hub.core.access import SYSTEM
from hub.core.changes import record_delete, record_update
from hub.core.conditions import condition, is_true, set_condition, set_phase
from hub.core.models import hub_identity
from hub.core.work import Claim, wake
from hub.federation import conditions as c
from hub.federation.clients import ClusterUnavailable, client_for
from hub.federation.member_objects import build_project_namespace
from hub.federation.models import ClusterKind, ProjectNamespace
from hub.federation.namespace_access import keep_bindings, keep_machine_account, release
from hub.federation.registration import apply_object, request_machine_token
from hub.federation.rights import HUB_ID_LABEL, OWNER_ID_LABEL, HubMark, project_group
from kube.client import KubeClient
from kube.errors import AlreadyExists, Forbidden, KubeError
from kube.resources import NAMESPACES, Object
from workers.failpoints import failpoint
from workers.reconcilers.contract import Outcome, Reconciler, growing_pause, jittered
from workers.reconcilers.namespace_quota import NameTaken, keep_quota

SETTLED = 300.0
LOOK_SOON = 1.0
RETRY = 10.0
RETRY_SLOWLY = 60.0  # somebody has to act first
MESSAGE_LIMIT = 500


class NotUsable(Exception):
    """The namespace of this name cannot be the project's; ``reason`` and ``message`` are the condition's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass
class Visit:
    """What one reconcile knows of its namespace, and what it has to write."""

    claim: Claim[ProjectNamespace]
    mark: HubMark
    changed: set[str] = field(default_factory=set)

    @property
    def row(self) -> ProjectNamespace:
        return self.claim.row

    def set(self, **values: object) -> None:
        """Puts values onto the row, to be written by the next ``write``."""
        for name, value in values.items():
            setattr(self.row, name, value)
        self.changed |= values.keys()

    def tell_ready(self, ready: bool, reason: str, message: str = "") -> None:
        if set_condition(self.row, c.READY, ready, reason, message):
            self.changed.add("conditions")

    def write(self, phase: str) -> None:
        """Writes what has changed, under the claim. Raises LostClaim."""
        row = self.row
        if set_phase(row, phase):
            self.changed |= {"phase", "phase_since"}
        if row.observed_generation != row.generation:
            row.observed_generation = row.generation
            self.changed.add("observed_generation")
        if self.changed:
            with transaction.atomic():
                record_update(row, sorted(self.changed), claim=self.claim)
            self.changed.clear()


class ProjectNamespaceReconciler(Reconciler[ProjectNamespace]):
    model = ProjectNamespace

    def reconcile(self, claim: Claim[ProjectNamespace]) -> Outcome:
        identity = hub_identity()
        visit = Visit(claim, HubMark(identity.hub_id, identity.epoch))
        deleting = claim.row.deletion_requested_at is not None
        try:
            client = _client(visit)
            if deleting:
                return remove(visit, client)
            bring_up(visit, client)
            seconds = jittered(SETTLED)
        except NotUsable as error:
            visit.tell_ready(False, error.reason, error.message)
            seconds = RETRY if error.reason == c.DELETED_THERE else RETRY_SLOWLY
        except ClusterUnavailable as error:
            visit.tell_ready(False, c.CLUSTER_UNAVAILABLE, f"Cluster {claim.row.cluster.name}: {error.reason}")
            seconds = RETRY
        except Forbidden as error:
            visit.tell_ready(False, type(error).__name__, error.message)
            # The member's authorizer may lag behind a binding that was made just now; else somebody has to act.
            seconds = growing_pause(_told_since(claim.row), least=LOOK_SOON, most=RETRY_SLOWLY)
        except KubeError as error:
            visit.tell_ready(False, type(error).__name__, error.message)
            seconds = error.retry_after or (RETRY if error.retryable else RETRY_SLOWLY)
        ready = is_true(claim.row, c.READY)
        visit.write("Deleting" if deleting else "Ready" if ready else "Creating")
        return Outcome(seconds)


def bring_up(visit: Visit, client: KubeClient) -> None:
    """The namespace with its labels, exactly the bindings that are wanted, the machines' account and the quota.

    Raises KubeError, NotUsable.
    """
    row = visit.row
    namespace = _ensure_namespace(visit, client)
    uid = namespace["metadata"]["uid"]
    if row.uid != uid:
        visit.set(uid=uid)
    with_machines = row.cluster.kind == ClusterKind.HARVESTER
    keep_bindings(client, visit.mark, row.name, row.project_id, _roles_to_bind(row), with_machines=with_machines)
    if with_machines:
        _keep_machine_token(visit, client)
    try:
        keep_quota(client, visit.mark, row.name, namespace_quota(row), with_machines=with_machines)
    except NameTaken as error:
        raise NotUsable(c.QUOTA_TAKEN, f"{row.name} has a {error.what} that is not the hub's: rename it") from error
    visit.tell_ready(True, c.APPLIED)


def remove(visit: Visit, client: KubeClient) -> Outcome:
    """Deletes the namespace that this row made, and the row when the member says that it is gone. Of an adopted one only
    what the hub has in it is taken back. Raises KubeError.
    """
    row = visit.row
    found = client.find(NAMESPACES, row.name)
    if found is not None and _is_ours(visit, found):
        if row.adopted:
            failpoint("project_namespace.release.before_call")
            release(client, visit.mark, row.name)
            return _forget(visit)
        if "deletionTimestamp" not in found["metadata"]:
            failpoint("project_namespace.delete.before_call")
            client.delete(NAMESPACES, row.name, uid=found["metadata"]["uid"])
            failpoint("project_namespace.delete.after_call")
        visit.tell_ready(False, c.DELETING, _what_holds_it(found))
        visit.write("Deleting")
        return Outcome(LOOK_SOON)
    return _forget(visit)


def _forget(visit: Visit) -> Outcome:
    row = visit.row
    with transaction.atomic():
        record(SYSTEM, "remove", "project-namespaces", row)
        wake(row.cluster)  # its groups may go
        record_delete(row, claim=visit.claim)
    return Outcome(None)


def _roles_to_bind(row: ProjectNamespace) -> set[str]:
    """The project's roles in use whose group can be sent by now: their ClusterRoles are there, and may be bound.

    For the rest the cluster's reconciler wakes this one.
    """
    ready = set(row.cluster.groups)
    return {
        key
        for key in project_roles_in_use(row.project_id, row.tenant_id)
        if project_group(row.project_id, key) in ready
    }


def _keep_machine_token(visit: Visit, client: KubeClient) -> None:
    row = visit.row
    made_anew = keep_machine_account(client, visit.mark, row.name)
    due = row.machine_token_renew_at is None or row.machine_token_renew_at <= timezone.now()
    if made_anew or due or not row.machine_token:
        token = request_machine_token(client, row.name)
        visit.set(
            machine_token=token.text,
            machine_token_expires_at=token.expires_at,
            machine_token_renew_at=token.renew_at,
        )


def _told_since(row: ProjectNamespace) -> datetime:
    told = condition(row, c.READY)
    return datetime.fromisoformat(told.last_transition) if told else timezone.now()


def _client(visit: Visit) -> KubeClient:
    """The cluster's client. Raises ClusterUnavailable also while its registration is not verified yet."""
    cluster = visit.row.cluster
    registered = condition(cluster, c.REGISTERED)
    if registered is None or registered.status != "True":
        raise ClusterUnavailable(cluster, registered.reason if registered else c.NOT_REGISTERED)
    return client_for(cluster)


def _ensure_namespace(visit: Visit, client: KubeClient) -> Object:
    row = visit.row
    wanted = build_project_namespace(
        visit.mark, row.name, row_id=row.pk, project_id=row.project_id, tenant_id=row.tenant_id
    )
    found = client.find(NAMESPACES, row.name)
    if row.adopted and (found is None or found["metadata"]["uid"] != row.uid):
        raise NotUsable(c.NAMESPACE_GONE, f"The namespace {row.name} that was adopted is gone from the cluster")
    if found is None:
        failpoint("project_namespace.create.before_call")
        found = _create(client, wanted)
        failpoint("project_namespace.create.after_call")
    if not _is_ours(visit, found):
        raise NotUsable(c.NAMESPACE_TAKEN, f"The cluster has a namespace {row.name} that is not this project's")
    if "deletionTimestamp" in found["metadata"]:
        raise NotUsable(c.DELETED_THERE, f"Somebody deletes {row.name} in the cluster; it is made anew afterwards")
    return apply_object(client, wanted)


def _create(client: KubeClient, wanted: Object) -> Object:
    try:
        return client.create(NAMESPACES, wanted)
    except AlreadyExists:  # made by an attempt whose answer was lost, or by somebody else: its labels tell
        return client.get(NAMESPACES, wanted["metadata"]["name"])


def _is_ours(visit: Visit, namespace: Object) -> bool:
    """Whether this row's marks are on it; or no hub's any more, and it is the very one that we made or adopted."""
    labels = namespace["metadata"].get("labels") or {}
    marks = (labels.get(HUB_ID_LABEL), labels.get(OWNER_ID_LABEL))
    if marks == (str(visit.mark.hub_id), str(visit.row.pk)):
        return True
    return None in marks and labels.get(HUB_ID_LABEL) in (None, str(visit.mark.hub_id)) and _is_known(visit, namespace)


def _is_known(visit: Visit, namespace: Object) -> bool:
    return bool(visit.row.uid) and namespace["metadata"]["uid"] == visit.row.uid


def _what_holds_it(namespace: Object) -> str:
    """Why a namespace is not gone yet, in the member's own words."""
    told = namespace.get("status", {}).get("conditions") or []
    reasons = [str(entry.get("message", "")) for entry in told if entry.get("status") == "True"]
    return "; ".join(filter(None, reasons))[:MESSAGE_LIMIT] or "The cluster is deleting what is in it"
