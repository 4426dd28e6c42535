"""``Idempotency-Key``: a POST that is sent again gets the first one's answer instead of a second effect.

Only success is kept, for a day: what failed has changed nothing and may be tried again. A process that dies between its
effect and keeping the answer is the one gap; unique names close it for all that has a name.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.expressions import Combinable
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from hub.core.access import Actor
from hub.core.errors import HubError, define
from hub.core.keys import key_ring

from .models import KeptAnswer

KEPT = timedelta(hours=24)
LOCKED = timedelta(minutes=2)  # longer than any request takes
KEPT_HEADERS = ("ETag", "Location")
KEY_LIMIT = 255

define("idempotency.key_invalid", 400, "The header Idempotency-Key takes 1 to 255 printable ASCII characters")
define("idempotency.in_flight", 409, "The first request with this Idempotency-Key is still under way")
define("idempotency.key_reused", 422, "This Idempotency-Key was used for another request")


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A POST as it is recognised again: whose, under which key, and what it asks for."""

    actor: Actor
    key: str
    digest: str

    @classmethod
    def of(cls, actor: Actor, key: str, method: str, path: str, document: object) -> "KeyedRequest":
        """Raises HubError ``idempotency.key_invalid``."""
        if not 1 <= len(key) <= KEY_LIMIT or not (key.isascii() and key.isprintable()):
            raise HubError("idempotency.key_invalid", limit=KEY_LIMIT)
        content = json.dumps([method, path, document], sort_keys=True, separators=(",", ":"))
        # Keyed, because a body may hold a password that could be found by trying.
        digest = hmac.digest(key_ring().signing, b"idempotency\0" + content.encode(), hashlib.sha256)
        return cls(actor, key, digest.hex())

    @property
    def identity(self) -> dict[str, object]:
        return {"actor_id": self.actor.id, "token_id": self.actor.token_id, "key": self.key}


def answer_once(request: KeyedRequest, effect: Callable[[], Response]) -> Response:
    """The kept answer, or that of ``effect``, which is kept when it succeeds.

    Raises HubError ``idempotency.in_flight`` or ``idempotency.key_reused``, and whatever ``effect`` raises.
    """
    place = _take_place(request)
    if place.status is not None:
        return _replay(place)
    try:
        response = effect()
    except BaseException:
        place.delete()
        raise
    _keep(place, response)
    return response


def delete_expired_answers(age: timedelta = timedelta(0), *, batch: int = 5000) -> int:
    """Retention: deletes one batch of answers that expired ``age`` ago; how many."""
    old = KeptAnswer.objects.filter(expires_at__lt=timezone.now() - age).order_by("expires_at").values("pk")[:batch]
    deleted, _ = KeptAnswer.objects.filter(pk__in=old).delete()
    return deleted


def _take_place(request: KeyedRequest) -> KeptAnswer:
    """A new place for the answer, or the one with the answer in it."""
    KeptAnswer.objects.filter(**request.identity, expires_at__lte=Now()).delete()
    now = timezone.now()
    place = KeptAnswer(**request.identity, digest=request.digest, locked_until=now + LOCKED, expires_at=now + KEPT)
    try:
        with transaction.atomic():
            place.save(force_insert=True)
        return place
    except IntegrityError:
        pass
    earlier = KeptAnswer.objects.filter(**request.identity).first()
    if earlier is not None and earlier.digest != request.digest:
        raise HubError("idempotency.key_reused")
    if earlier is None or (earlier.status is None and not _take_over(earlier)):
        raise HubError("idempotency.in_flight", retry_after=1)
    return earlier


def _take_over(earlier: KeptAnswer) -> bool:
    """Whether the earlier request has died and this one now has its place."""
    dead = KeptAnswer.objects.filter(pk=earlier.pk, status__isnull=True, locked_until__lte=Now())
    return bool(dead.update(locked_until=_from_now(LOCKED)))


def _keep(place: KeptAnswer, response: Response) -> None:
    place.status = response.status_code
    place.headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    place.body = JSONRenderer().render(response.data).decode()
    place.save(update_fields=["status", "headers", "body"])


def _replay(place: KeptAnswer) -> Response:
    return Response(
        json.loads(place.body.reveal()), status=place.status, headers={**place.headers, "Idempotent-Replayed": "true"}
    )


def _from_now(delay: timedelta) -> Combinable:
    return ExpressionWrapper(Now() + delay, output_field=DateTimeField())
