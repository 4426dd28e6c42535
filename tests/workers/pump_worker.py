"""A real worker or watcher that knows the tests' own kind: ``python -m tests.workers.pump_worker worker|watcher``.

Everything but the reconciler is the product's. A pump named ``slow`` takes ``SLOW_SECONDS`` for its step.
"""

import os
import sys
import time
from typing import ClassVar

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "hub.config.settings"
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402

from hub.core.changes import record_update  # noqa: E402
from hub.core.models import Reconciled  # noqa: E402
from hub.core.work import Claim  # noqa: E402
from tests.rows import Pump  # noqa: E402
from workers import runtime  # noqa: E402
from workers.failpoints import failpoint  # noqa: E402
from workers.reconcilers.contract import Outcome, Reconciler  # noqa: E402

SLOW_SECONDS = 3.0


class PumpReconciler(Reconciler[Pump]):
    model: ClassVar[type[Reconciled]] = Pump

    def reconcile(self, claim: Claim[Pump]) -> Outcome:
        pump = claim.row
        failpoint("pump.before_call")
        if pump.name == "slow":
            time.sleep(SLOW_SECONDS)
        pump.speed += 1  # counts how often the step was done
        with transaction.atomic():
            record_update(pump, ["speed"], claim=claim)
            failpoint("pump.before_commit")
        failpoint("pump.after_commit")
        return Outcome(None)


if __name__ == "__main__":
    vars(runtime)["reconcilers"] = lambda: {"pump": PumpReconciler()}
    call_command(sys.argv[1])
