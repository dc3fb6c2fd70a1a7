"""Prometheus metrics. With several workers the counts are kept in files that all of them share,
which prometheus-client does when `PROMETHEUS_MULTIPROC_DIR` names a directory (`run.py` does)."""

from __future__ import annotations

import collections
import os
from typing import TYPE_CHECKING, Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from audit_stream.server.verifying import Finished

if TYPE_CHECKING:
    from audit_stream.server.group_commit import Observation

VERDICTS = ("intact", "empty", "broken", "truncated", "rewritten", "torn")
MOST_LABELS = 1000
"""Sources are the producers' to choose; past so many pairs of kind and source a sum is kept."""

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SYNC = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)


class Metrics:
    """All metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: Any = {"registry": self.registry}
        self._appended = Counter(
            "audit_stream_appended_events",
            "Events made durable through this server.",
            ["kind", "source"],
            **own,
        )
        self.append_seconds = Histogram(
            "audit_stream_append_seconds",
            "From an append's arrival in the queue to its durability.",
            buckets=_LATENCY,
            **own,
        )
        self._batch_events = Histogram(
            "audit_stream_batch_events", "Events in one commit.", buckets=_SIZES, **own
        )
        self._batch_requests = Histogram(
            "audit_stream_batch_requests", "Requests in one commit.", buckets=_SIZES, **own
        )
        self._commit_seconds = Histogram(
            "audit_stream_commit_seconds",
            "One commit: lock, look, write, sync.",
            buckets=_SYNC,
            **own,
        )
        self._sync_seconds = Histogram(
            "audit_stream_fsync_seconds", "One fdatasync.", buckets=_SYNC, **own
        )
        summed = {"multiprocess_mode": "livesum", **own}
        newest = {"multiprocess_mode": "mostrecent", **own}
        self.queue_depth = Gauge(
            "audit_stream_queue_depth", "Appends that wait for a commit.", **summed
        )
        self.subscribers = Gauge("audit_stream_subscribers", "Open event streams.", **summed)
        self.ledger_bytes = Gauge("audit_stream_ledger_bytes", "The ledger's size.", **newest)
        self.head_event_id = Gauge("audit_stream_head_event_id", "The last event's id.", **newest)
        self._verified_at = Gauge(
            "audit_stream_last_verification_timestamp_seconds",
            "When the last verification ended (POSIX time).",
            **newest,
        )
        self._verification_seconds = Gauge(
            "audit_stream_last_verification_seconds", "How long it took.", **newest
        )
        self._verdict = Gauge(
            "audit_stream_last_verification_verdict",
            "1 for the verdict that it reached.",
            ["verdict"],
            **newest,
        )
        self.latched = Gauge(
            "audit_stream_latched",
            "1 while no append is taken after a failed fsync.",
            multiprocess_mode="livemax",
            **own,
        )
        self._pairs: dict[tuple[str, str], Any] = {}
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            ProcessCollector(registry=self.registry)

    def _counter(self, pair: tuple[str, str]) -> Any:
        if len(self._pairs) >= MOST_LABELS:
            return self._appended.labels(kind=pair[0], source="")
        return self._pairs.setdefault(pair, self._appended.labels(kind=pair[0], source=pair[1]))

    def committed(self, observation: Observation) -> None:
        """Count the events of a commit, and record what it was like."""
        pairs = collections.Counter(
            [(draft.kind, draft.source) for drafts in observation.drafts for draft in drafts]
        )
        for pair, number in pairs.items():
            (self._pairs.get(pair) or self._counter(pair)).inc(number)
        self._batch_requests.observe(len(observation.drafts))
        self._batch_events.observe(observation.events)
        self._commit_seconds.observe(observation.seconds)
        self._sync_seconds.observe(observation.sync_seconds)

    def verified(self, finished: Finished) -> None:
        """Record a verdict."""
        self._verified_at.set_to_current_time()
        self._verification_seconds.set(finished.seconds)
        for verdict in VERDICTS:
            self._verdict.labels(verdict).set(verdict == finished.result["verdict"])

    def render(self) -> bytes:
        """Return the Prometheus text format, of all workers together."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            everyone = CollectorRegistry()
            MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
            return generate_latest(everyone)
        return generate_latest(self.registry)
