"""``/metrics``: the agent's state in Prometheus's text. What is not known has no sample."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from audit.entry import Audit
from tailrace.agent.api import Lane, State, Store

STATES = ("equal", "behind", "different", "unknown")
_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)

Sample = tuple[dict[str, str], float | int | None]


class Metrics:
    """``state`` gives what is shown; counters are told what happens."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        self._labels = {"version": version}
        self._current: State | None = None
        self._registry.register(_Current(self))
        ProcessCollector(namespace="tailrace_agent", registry=self._registry)
        self._audits = Counter(
            "tailrace_audits", "Audits that were done", ["version", "depth", "verdict"], registry=self._registry
        )
        self._seconds = Histogram(
            "tailrace_audit_seconds",
            "How long audits took",
            ["version", "depth"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._alerts = Counter(
            "tailrace_alerts", "Alerts, by whether the webhook took them", ["version", "taken"], registry=self._registry
        )

    def audited(self, audit: Audit) -> None:
        self._audits.labels(depth=audit.depth, verdict=audit.verdict or "undecided", **self._labels).inc()
        self._seconds.labels(depth=audit.depth, **self._labels).observe(audit.seconds or 0)

    def alerted(self, *, taken: bool) -> None:
        self._alerts.labels(taken=str(taken).lower(), **self._labels).inc()

    def text(self, state: State) -> bytes:
        self._current = state
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        state = self._current
        if state is None:
            return
        yield self._gauge("capture_lag_seconds", "Capture behind MySQL", [({}, state.capture.lag_s)])
        running = 1 if state.capture.state == "running" else 0
        yield self._gauge("capture_running", "Whether capture runs", [({}, running)])
        yield from self._lanes(state.lanes)
        yield from self._stores(state.stores)
        yield self._gauge(
            "incident_rows",
            "Rows of an open incident",
            [({"sink": one.sink, "table": one.table, "class": one.class_}, one.rows) for one in state.incidents],
        )
        yield self._gauge(
            "conservation_remainder",
            "Records that nobody accounts for",
            [
                ({"sink": one.sink, "table": one.table, "target": one.target}, one.remainder)
                for one in state.conservation
            ],
        )
        counted = max((one.at_ms for one in state.conservation), default=None)
        yield self._gauge(
            "conservation_timestamp_seconds",
            "When records were counted last",
            [({}, None if counted is None else counted / 1000)],
        )

    def _lanes(self, lanes: list[Lane]) -> Iterator[Metric]:
        def of(name: str) -> list[Sample]:
            return [({"sink": lane.sink, "tier": lane.tier}, getattr(lane, name)) for lane in lanes]

        yield self._gauge("lane_lag_seconds", "A lane behind what was captured", of("lag_s"))
        yield self._gauge("lane_waiting", "Records that a lane has yet to pass", of("waiting"))
        yield self._gauge("lane_objective_attained", "Share of changes applied within the objective", of("attained"))
        yield self._family("lane_applied", "Records applied", of("applied"), CounterMetricFamily)
        yield self._family("lane_parked", "Records refused", of("parked"), CounterMetricFamily)
        objectives: list[Sample] = [
            ({"sink": lane.sink, "tier": lane.tier}, lane.objective_ms / 1000) for lane in lanes
        ]
        yield self._gauge("lane_objective_seconds", "From commit to visible, as declared", objectives)
        running: list[Sample] = [
            ({"sink": lane.sink, "tier": lane.tier}, 1 if lane.state == "running" else 0) for lane in lanes
        ]
        yield self._gauge("lane_running", "Whether a lane runs", running)

    def _stores(self, stores: list[Store]) -> Iterator[Metric]:
        yield self._gauge(
            "store_state",
            "1 for the state that a store is in",
            [
                ({"sink": store.sink, "state": state}, 1 if store.state == state else 0)
                for store in stores
                for state in STATES
            ],
        )
        checked: list[Sample] = [
            ({"sink": store.sink}, None if store.checked_at_ms is None else store.checked_at_ms / 1000)
            for store in stores
        ]
        yield self._gauge("store_checked_timestamp_seconds", "When a store was audited last", checked)
        for name, text in (
            ("different", "Rows that the last audit found different"),
            ("undecided", "Rows that the last audit could not decide"),
            ("letters", "Open dead letters"),
            ("unaccounted", "Records that nobody accounts for, or that are accounted for twice"),
        ):
            yield self._gauge(f"store_{name}", text, [({"sink": one.sink}, getattr(one, name)) for one in stores])

    def _gauge(self, name: str, text: str, samples: Iterable[Sample]) -> Metric:
        return self._family(name, text, samples, GaugeMetricFamily)

    def _family(
        self,
        name: str,
        text: str,
        samples: Iterable[Sample],
        kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    ) -> Metric:
        known = [({**self._labels, **labels}, value) for labels, value in samples if value is not None]
        names = list(known[0][0]) if known else list(self._labels)
        family = kind(f"tailrace_{name}", text, labels=names)
        for labels, value in known:
            family.add_metric([labels[one] for one in names], float(value))
        return family


class _Current(Collector):
    """The state as the registry asks for it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()
