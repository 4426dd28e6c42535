"""Retention: deletes what is older than the settings say, in small batches beside other work."""

from collections.abc import Callable
from datetime import timedelta

from hub.api.idempotency import delete_expired_answers
from hub.audit.services import delete_events_older_than
from hub.core.changes import delete_hints_older_than
from hub.core.environment import environment
from hub.identity.cli_logins import delete_old_cli_logins
from hub.identity.oidc.logout import delete_expired_logout_tokens
from hub.identity.oidc.sign_on import delete_expired_sign_ons
from hub.identity.provider_drafts import delete_expired_drafts
from hub.identity.sessions import KEPT_AFTER_END, delete_ended_sessions
from hub.operations.services import delete_finished_older_than

BATCHES = 20
"""Batches of one table in one round; a long backlog takes several rounds."""


def clean_once() -> int:
    """One round over all tables; how many rows went."""
    settings = environment()
    jobs: tuple[tuple[Callable[[timedelta], int], timedelta], ...] = (
        (delete_hints_older_than, timedelta(hours=settings.change_retention_hours)),
        (delete_finished_older_than, timedelta(days=settings.operation_retention_days)),
        (delete_events_older_than, timedelta(days=settings.audit_retention_days)),
        (delete_expired_answers, timedelta(0)),
        (delete_ended_sessions, KEPT_AFTER_END),
        (delete_old_cli_logins, timedelta(days=1)),
        (delete_expired_sign_ons, timedelta(0)),
        (delete_expired_logout_tokens, timedelta(0)),
        (delete_expired_drafts, timedelta(0)),
    )
    return sum(_in_batches(job, age) for job, age in jobs)


def _in_batches(job: Callable[[timedelta], int], age: timedelta) -> int:
    total = 0
    for _ in range(BATCHES):
        deleted = job(age)
        total += deleted
        if not deleted:
            break
    return total
