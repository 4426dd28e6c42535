"""The hub's figures in Prometheus' text form, read from the database for each scrape.

Any replica gives the same answer, so one is enough to scrape.
"""

from collections.abc import Iterator

from django.db.models import Count
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hub.core.conditions import is_true
from hub.core.metrics import due_rows, phase_counts
from hub.federation.conditions import REACHABLE
from hub.federation.models import Cluster
from hub.operations.models import Operation

CONTENT_TYPE = CONTENT_TYPE_LATEST


def render_metrics() -> bytes:
    """One scrape."""
    registry = CollectorRegistry()
    registry.register(HubCollector())
    return generate_latest(registry)


class HubCollector(Collector):
    """Queue age, overdue work, time in phase, clusters, operations."""

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing beforehand: registering must not ask the database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._work()
        yield from self._phases()
        yield self._clusters()
        yield self._operations()

    def _work(self) -> Iterator[GaugeMetricFamily]:
        due = _gauge("paddock_due_rows", "Rows whose time has come and that no worker holds", "kind")
        leased = _gauge("paddock_leased_rows", "Due rows that a worker holds", "kind")
        oldest = _gauge("paddock_oldest_due_seconds", "How long the longest due row waits", "kind")
        for rows in due_rows():
            due.add_metric([rows.kind], rows.due)
            leased.add_metric([rows.kind], rows.leased)
            oldest.add_metric([rows.kind], rows.oldest_seconds)
        yield from (due, leased, oldest)

    def _phases(self) -> Iterator[GaugeMetricFamily]:
        number = _gauge("paddock_phase_rows", "Rows in a phase", "kind", "phase")
        longest = _gauge("paddock_phase_seconds", "How long the row longest in a phase has been there", "kind", "phase")
        for count in phase_counts():
            number.add_metric([count.kind, count.phase], count.rows)
            longest.add_metric([count.kind, count.phase], count.longest_seconds)
        yield from (number, longest)

    def _clusters(self) -> GaugeMetricFamily:
        up = _gauge("paddock_cluster_up", "Whether the cluster answered the last probe", "id", "name", "kind")
        for cluster in Cluster.objects.only("id", "name", "kind", "conditions").order_by("id"):
            up.add_metric([str(cluster.pk), cluster.name, cluster.kind], float(is_true(cluster, REACHABLE)))
        return up

    def _operations(self) -> GaugeMetricFamily:
        number = _gauge("paddock_operations", "Operations that are kept", "kind", "state")
        for row in Operation.objects.order_by("kind", "state").values("kind", "state").annotate(rows=Count("id")):
            number.add_metric([row["kind"], row["state"]], row["rows"])
        return number


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)
