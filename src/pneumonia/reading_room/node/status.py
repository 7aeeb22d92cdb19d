"""What a node says of itself over HTTP: /health, and /metrics for Prometheus."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from pneumonia.reading_room.node.records import Debt

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)


class Metrics:
    """Numbers about images, never about people."""

    def __init__(
        self,
        counts: Callable[[], dict[str, int]],
        associations: Callable[[], int],
        refused: Callable[[], int],
        cut: Callable[[], int],
        tls_failures: Callable[[], int],
    ) -> None:
        self.registry = CollectorRegistry()
        self._stored = Counter(
            "pneumonia_received_total", "Images received, by what became of them", ["outcome"], registry=self.registry
        )
        self._read = Counter("pneumonia_read_total", "Images read, or not and why", ["outcome"], registry=self.registry)
        self._sent = Counter("pneumonia_results_total", "Results sent, by outcome", ["outcome"], registry=self.registry)
        self._reading = Histogram(
            "pneumonia_reading_seconds",
            "From the start of its batch until an image is read",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._latency = Histogram(
            "pneumonia_answer_seconds",
            "From receiving an image until all its results are sent",
            buckets=_SECONDS,
            registry=self.registry,
        )
        queue = Gauge("pneumonia_images", "Images in the queue's books, by state", ["state"], registry=self.registry)
        for state in counts():
            queue.labels(state).set_function(lambda state=state: counts()[state])  # type: ignore[misc]
        for name, words, number in (
            ("pneumonia_associations", "Associations that are open", associations),
            ("pneumonia_connections_refused", "Connections closed at once since the start, for their number", refused),
            ("pneumonia_connections_cut", "Connections closed since the start, for what was sent", cut),
            ("pneumonia_tls_failures", "Handshakes of TLS that failed since the start", tls_failures),
        ):
            Gauge(name, words, registry=self.registry).set_function(number)

    def watch(self, outcomes: Callable[[], dict[str, int]], debts: Callable[[], dict[str, Debt]]) -> None:
        """Say of the books, too, what these give."""
        self.registry.register(_Books(outcomes, debts))

    def stored(self, outcome: str) -> None:
        """An image came in."""
        self._stored.labels(outcome).inc()

    def read(self, outcome: str, seconds: float) -> None:
        """An image was read, or not."""
        self._read.labels(outcome).inc()
        if outcome == "read":
            self._reading.observe(seconds)

    def sent(self, outcome: str, seconds: float | None) -> None:
        """A result was sent, or not.

        Arguments:
            outcome: a label of the count.
            seconds: since the image came in, where this was the last of its results.
        """
        self._sent.labels(outcome).inc()
        if seconds is not None:
            self._latency.observe(seconds)


class _Books:
    """What the books say when they are asked."""

    def __init__(self, outcomes: Callable[[], dict[str, int]], debts: Callable[[], dict[str, Debt]]) -> None:
        self._outcomes, self._debts = outcomes, debts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Their numbers, in the words of Prometheus."""
        outcomes = GaugeMetricFamily(
            "pneumonia_outcomes", "Images in the queue's books, by outcome", labels=["outcome"]
        )
        for outcome, number in self._outcomes().items():
            outcomes.add_metric([outcome], number)
        yield outcomes
        debts, now = self._debts(), time.time()
        values: dict[tuple[str, str], Callable[[Debt], float]] = {
            ("pneumonia_results_waiting", "Results that wait, by peer"): lambda debt: debt.results,
            ("pneumonia_oldest_result_seconds", "Since the image of the oldest result came in, by peer"): (
                lambda debt: now - debt.oldest
            ),
            ("pneumonia_peer_failing_seconds", "Since the first vain try of those that wait, by peer"): (
                lambda debt: now - debt.failing if debt.failing is not None else 0.0
            ),
        }
        for (name, words), value in values.items():
            family = GaugeMetricFamily(name, words, labels=["peer"])
            for peer, debt in debts.items():
                family.add_metric([peer], value(debt))
            yield family


def serve(
    address: tuple[str, int], registry: CollectorRegistry, health: Callable[[], dict[str, Any]]
) -> ThreadingHTTPServer:
    """Answer on `address` from a thread of its own until the server is shut down.

    Arguments:
        health: values to show; `healthy` among them decides between status 200 and 503.

    Raises:
        OSError: it cannot listen; names the address.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds that a client may be silent

        def do_GET(self) -> None:
            if self.path == "/health":
                said = health()
                self._reply(200 if said["healthy"] else 503, "application/json", json.dumps(said).encode() + b"\n")
            elif self.path == "/metrics":
                self._reply(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            else:
                self._reply(404, "text/plain", b"/health or /metrics\n")

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Every few seconds a scrape: no line of log."""

    try:
        server = ThreadingHTTPServer(address, Handler)
    except OSError as error:
        raise OSError(f"status: cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="status", daemon=True).start()
    return server
