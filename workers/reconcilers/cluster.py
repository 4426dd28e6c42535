"""One member cluster: the visible handshake of its import, the hub's account in it, its probe, what people may do in it,
and its end.

Enrolment: with the credential that somebody pasted (or a guest's client certificate) the hub looks whether the cluster
is what it should be, writes its own account, roles and bindings, and takes tokens for it. Only when that account has
shown all of its rights is the enrolment credential dropped. From then on the account renews its own tokens at half of
their life, and each probe says whether the cluster answers and still is the one that was imported (FLT-25, FLT-40).

What is looked at is ``hub.federation.observation``'s, what is written there ``hub.federation.registration``'s and
``member_access``'s, the shared namespace ``shared_namespace``'s, and how it shows on the row ``cluster_visit``'s.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from hub.access.services import cluster_roles_in_use, groups_wanted, member_roles_in_use
from hub.audit.services import record
from hub.core.access import SYSTEM
from hub.core.address_guard import address_guard
from hub.core.changes import record_delete
from hub.core.conditions import condition, is_true
from hub.core.environment import environment
from hub.core.models import hub_identity
from hub.core.work import Claim
from hub.federation import conditions as c
from hub.federation.checks import Check, CheckFailed
from hub.federation.clients import (
    enrolment_credentials,
    forget_clients,
    probing_client,
    renewal_credentials,
)
from hub.federation.member_access import MemberAccess, keep_access
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.observation import Observation, examine_way, judge, observe
from hub.federation.registration import (
    IssuedToken,
    check_enrolment_rights,
    missing_rights,
    raise_epoch,
    register,
    request_access_token,
    request_renewal_token,
    unregister,
)
from hub.federation.rights import HubMark, required_reviews
from hub.operations import services as operations
from hub.operations.models import State
from kube.client import KubeClient
from kube.errors import Forbidden, InvalidKubeconfig, KubeError, Unauthorized
from workers.failpoints import failpoint
from workers.reconcilers.cluster_visit import (
    LOOK_SOON,
    RETRY,
    RETRY_SLOWLY,
    Visit,
    tell_failure,
    tell_step,
    write_status,
)
from workers.reconcilers.contract import Outcome, Reconciler, growing_pause, jittered
from workers.reconcilers.shared_namespace import keep_shared_namespace

PROBE_INTERVAL = 30.0
# A group is not sent any more for this long before the member is told to refuse it: the stream server's snapshot may
# be five seconds old, and one group too many makes a member refuse the whole request.
GROUP_GRACE = 6.0
RIGHTS_INTERVAL = timedelta(minutes=10)

log = structlog.get_logger(__name__)

_GONE = "The cluster refuses the hub's credentials: they ended, or it was installed anew. Import it again"
_IMPORT_AGAIN = "Import the cluster again with an administrator's kubeconfig"


class ClusterReconciler(Reconciler[Cluster]):
    model = Cluster

    def reconcile(self, claim: Claim[Cluster]) -> Outcome:
        identity = hub_identity()
        visit = Visit(claim, HubMark(identity.hub_id, identity.epoch))
        if claim.row.deletion_requested_at is not None:
            return remove(visit)
        was_ready = is_true(claim.row, c.READY)
        seconds = _bring_up(visit)
        write_status(visit, was_ready=was_ready)
        return Outcome(jittered(PROBE_INTERVAL) if seconds is None else seconds)


def enrol(visit: Visit) -> float | None:
    """The hub's account there, by the credential that somebody else made. Done once the hub has a token of its own."""
    cluster = visit.cluster
    if cluster.access_token:
        return None
    if not cluster.has_enrolment_secret:
        visit.tell(c.REGISTERED, False, c.CREDENTIALS_REFUSED, _GONE)
        return RETRY_SLOWLY
    credentials = enrolment_credentials(cluster)
    for check in examine_way(credentials, address_guard()):
        visit.results.append(check)
    visit.tell(c.REACHABLE, True, c.PROBED)
    with KubeClient(credentials, guard=address_guard()) as client:
        observation = observe(client)
        _judge(visit, observation)
        _pin(visit, observation.uid)
        check_enrolment_rights(client)
        groups = groups_wanted(cluster)
        failpoint("cluster.register.before_call")
        register(client, visit.mark, cluster.kind, cluster.pk, groups)
        access, renewal = request_access_token(client), request_renewal_token(client)
        failpoint("cluster.register.after_call")
    visit.set(groups=[], rights_checked_at=None)  # sent from when their roles are there: follow_access
    _keep_access_token(visit, access)
    _keep_renewal_token(visit, renewal)
    visit.keep_results()
    visit.write()
    failpoint("cluster.register.after_commit")
    return None


def probe(visit: Visit) -> float | None:
    """Whether the cluster answers, is the one imported, and what it has."""
    client = probing_client(visit.cluster)
    observation = observe(client)
    visit.tell(c.REACHABLE, True, c.PROBED)
    visit.set(last_seen_at=timezone.now())
    _judge(visit, observation)
    visit.tell(c.FENCED, False, c.PROBED)
    seen = {
        "server_version": observation.version,
        "node_count": observation.node_count,
        "capabilities": dict(observation.groups),
    }
    visit.set(**{name: value for name, value in seen.items() if getattr(visit.cluster, name) != value})
    if observation.owner is None or observation.owner.epoch < visit.mark.epoch:
        raise_epoch(client, visit.mark, visit.cluster.pk)
    return None


def verify_rights(visit: Visit) -> float | None:
    """Asks the member for each right of the written list; the enrolment credential goes when all are there."""
    cluster, now = visit.cluster, timezone.now()
    fresh = cluster.rights_checked_at is not None and now - cluster.rights_checked_at < RIGHTS_INTERVAL
    if fresh and not cluster.has_enrolment_secret:
        return None
    visit.results.append(Check("registration", "passed", "The hub has an account of its own there"))
    missing = missing_rights(probing_client(cluster), required_reviews(cluster.kind))
    if missing:
        message = f"The hub's account there may not: {', '.join(map(str, missing))}"
        raise CheckFailed("rights", message, _IMPORT_AGAIN)
    visit.results.append(Check("rights", "passed", "The hub's account has every right of the written list"))
    visit.tell(c.REGISTERED, True, c.ACCOUNT_VERIFIED)
    visit.set(rights_checked_at=now, pasted_kubeconfig="", client_certificate="")
    return None


def renew(visit: Visit) -> float | None:
    """New tokens at half of the old ones' life, asked for by the account itself."""
    cluster, now = visit.cluster, timezone.now()
    client = probing_client(cluster)
    if cluster.access_token_renew_at is None or cluster.access_token_renew_at <= now:
        _keep_access_token(visit, request_access_token(client))
    if cluster.renewal_token_renew_at is None or cluster.renewal_token_renew_at <= now:
        _keep_renewal_token(visit, request_renewal_token(client))
    visit.write()
    return None


def follow_access(visit: Visit) -> float | None:
    """The roles in use there, and the groups that the hub may send; looked at in each visit, which also undoes a drift.

    A new group is first allowed there and then sent; an old one first not sent and then refused there.
    """
    cluster, wanted = visit.cluster, groups_wanted(visit.cluster)
    kept = sorted(set(cluster.groups) & set(wanted))
    if kept != cluster.groups:
        visit.set(groups=kept)
        return GROUP_GRACE
    namespaces = ProjectNamespace.objects.filter(cluster=cluster)
    access = MemberAccess(
        groups=wanted,
        roles=member_roles_in_use(cluster),
        cluster_roles=cluster_roles_in_use(cluster),
        namespaces={*namespaces.values_list("name", flat=True), cluster.shared_namespace},
    )
    strays = keep_access(probing_client(cluster), visit.mark, cluster.pk, access)
    if strays:
        log.warning("strays_removed", cluster=cluster.name, objects=strays)
        record(SYSTEM, "sweep", "clusters", cluster, cluster_id=cluster.pk, detail={"strays": strays})
    if wanted != kept:
        visit.set(groups=wanted)
        for namespace in namespaces.order_by("id"):
            visit.wake_after(namespace)  # their bindings wait for the roles
    return None


def share(visit: Visit) -> float | None:
    """The namespace that all members read, in the platform's clusters; a tenant's own cluster needs none."""
    if visit.cluster.tenant_id is None:
        keep_shared_namespace(visit, probing_client(visit.cluster))
    return None


BRING_UP: tuple[Callable[[Visit], float | None], ...] = (enrol, probe, verify_rights, renew, share, follow_access)


def remove(visit: Visit) -> Outcome:
    """Takes the hub's objects out of the member, as far as it answers; then the row goes."""
    cluster = visit.cluster
    requested_at = cluster.deletion_requested_at or timezone.now()
    patient = timezone.now() - requested_at < timedelta(seconds=environment().deletion_deadline)
    left, error = _take_away(visit)
    if patient and (left if error is None else error.retryable):
        message = error.message if error is not None else f"still there: {', '.join(left)}"
        visit.tell(c.READY, False, c.DELETING, message)
        visit.set_phase("Deleting")
        visit.write()
        tell_step(cluster, "unregister", "running", message)
        return Outcome(LOOK_SOON if error is None else RETRY)
    detail = {"left_behind": left, "error": type(error).__name__ if error is not None else ""}
    with transaction.atomic():
        record(SYSTEM, "unregister", "clusters", cluster, cluster_id=cluster.pk, detail=detail)
        if cluster.operation_id is not None:
            operations.finish(cluster.operation_id, State.SUCCEEDED)
        record_delete(cluster, claim=visit.claim)
    forget_clients(cluster.pk)
    return Outcome(None)


def _bring_up(visit: Visit) -> float | None:
    """The steps in order; what stops one ends in conditions, and the answer is when to look again."""
    try:
        for step in BRING_UP:
            seconds = step(visit)
            if seconds is not None:
                return seconds
    except CheckFailed as failure:
        return tell_failure(visit, failure)
    except InvalidKubeconfig as error:  # its address was denied since it was pasted
        return tell_failure(visit, CheckFailed("dns", error.message, error.fix))
    except Unauthorized:
        return _come_back_in(visit)
    except Forbidden as error:
        return tell_failure(visit, CheckFailed("rights", error.message, _IMPORT_AGAIN))
    except KubeError as error:
        return _tell_silence(visit, error)
    return None


def _judge(visit: Visit, observation: Observation) -> None:
    cluster = visit.cluster
    others = Cluster.objects.with_uid(observation.uid).exclude(pk=cluster.pk)
    known_as = others.values_list("name", flat=True).first()
    for check in judge(observation, cluster.kind, visit.mark, pinned_uid=cluster.uid, known_as=known_as):
        visit.results.append(check)


def _pin(visit: Visit, uid: str) -> None:
    """From here on this row is that cluster, and no other row can be: before anything is written there."""
    if visit.cluster.uid:
        return
    visit.set(uid=uid)
    try:
        visit.write()
    except IntegrityError as error:
        visit.set(uid="")
        raise CheckFailed("identity", "This cluster is just being imported", "Use that one", retryable=False) from error


def _come_back_in(visit: Visit) -> float:
    """The access token is refused: it ended during an outage. The renewal token, good for a month, gets a new one."""
    cluster = visit.cluster
    visit.tell(c.REACHABLE, True, c.PROBED)
    try:
        if cluster.renewal_token:
            with KubeClient(renewal_credentials(cluster), guard=address_guard()) as client:
                _keep_access_token(visit, request_access_token(client))
            return LOOK_SOON
    except (Unauthorized, Forbidden):
        pass  # told below, like having none
    except KubeError as error:
        return _tell_silence(visit, error)
    visit.tell(c.REGISTERED, False, c.CREDENTIALS_REFUSED, _GONE)
    return RETRY_SLOWLY


def _tell_silence(visit: Visit, error: KubeError) -> float:
    """The member does not answer as it should. Looked at less often the longer that lasts: each look may take a worker
    several seconds, and many may be away at once."""
    visit.tell(c.REACHABLE, False, type(error).__name__, error.message)
    told = condition(visit.cluster, c.REACHABLE)
    since = datetime.fromisoformat(told.last_transition) if told else timezone.now()
    return error.retry_after or growing_pause(since, least=RETRY, most=RETRY_SLOWLY)


def _keep_access_token(visit: Visit, token: IssuedToken) -> None:
    visit.set(access_token=token.text, access_token_expires_at=token.expires_at, access_token_renew_at=token.renew_at)


def _keep_renewal_token(visit: Visit, token: IssuedToken) -> None:
    visit.set(renewal_token=token.text, renewal_token_renew_at=token.renew_at)


def _take_away(visit: Visit) -> tuple[list[str], KubeError | None]:
    """One try to take the hub's objects away: what is still there, and what went wrong.

    Once its namespace is gone the account is gone, and the member's refusal is the proof.
    """
    cluster = visit.cluster
    try:
        if is_true(cluster, c.FENCED):
            return ["everything: the hub must not write there"], Forbidden("The cluster is fenced")
        if cluster.access_token:
            return unregister(probing_client(cluster), visit.mark, cluster.shared_namespace), None
        if cluster.has_enrolment_secret:
            with KubeClient(enrolment_credentials(cluster), guard=address_guard()) as client:
                return unregister(client, visit.mark, cluster.shared_namespace), None
    except KubeError as error:
        return [], error
    return [], None
