"""All timers between a job and the nodes, and what must hold between them.

Each is set where it belongs: in a manifest, in the code, in Terraform. Here is written, once, what
they owe each other; a contract test reads them all and says which inequality broke and why it
matters. docs/operations.md says of each what it does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: What EC2 gives a spot instance between its notice and its end.
SPOT_NOTICE_S = 120.0
#: Ray's proxy drains for so long at least (serve/_private/constants.py), and two seconds more.
PROXY_DRAIN_S = 32.0
#: SQS's counts may be that old, by its documentation.
SQS_LAG_S = 60.0
#: The longest that SQS hides a message.
SQS_HIDES_S = 12 * 3600.0
#: Kubernetes's own: the HPA takes bridges away only when it has wished so for so long.
HPA_WINDOW_S = 300.0
#: API Gateway's own limit.
GATEWAY_S = 29.0
#: The slowest cold start that is expected: no snapshot, 330 s, and once more for a zone that has
#: no capacity.
COLD_START_S = 660.0


@dataclass(frozen=True, kw_only=True)
class Timers:
    """One installation's, for one runtime. All are seconds."""

    #: The queue's visibility timeout.
    visibility: float
    #: How often the bridge prolongs it.
    heartbeat: float
    #: How long a record belongs to a bridge beyond its last tick.
    lease: float
    #: The longest pause between two ticks of a job.
    tick: float
    #: For the first sign of a job, as the bridge waits.
    start: float
    #: The same, as Serve lets it wait.
    serve_start: float
    #: For a job in a replica.
    attempt: float
    #: How long a message may be in hand altogether.
    hold: float
    #: How long a queue keeps a message.
    retention: float
    #: What SIGTERM leaves a bridge.
    bridge_grace: float
    #: What Kubernetes leaves it.
    bridge_pod_grace: float
    #: Without a job until the last replica goes.
    to_zero: float
    #: Serve's policy's look at a queue.
    depth_poll: float
    #: Over which Serve averages.
    look_back: float
    #: How often Serve is told.
    metrics: float
    #: A replica's graceful shutdown.
    shutdown: float
    #: A Ray worker's drain.
    drain: float
    #: What Kubernetes leaves a worker.
    worker_grace: float
    #: How often Ray's autoscaler decides.
    ray_tick: float
    #: An idle worker's until Ray takes it away.
    ray_idle: float
    #: Of the Ray cluster that a new one has replaced.
    old_cluster: float
    #: What Karpenter leaves a node's pods.
    node_grace: float
    #: An empty node's, until Karpenter takes it away.
    node_empty: float
    #: KEDA's look at a queue.
    keda_poll: float
    #: Without a message until KEDA takes the bridges away.
    keda_cooldown: float
    #: The API's Lambda.
    api: float
    #: The sweeper's clock.
    sweep: float
    #: The sweeper's own end.
    sweep_most: float
    #: Without a message until the Ray head may sleep.
    sleep_after: float
    #: Over which the sleeper looks before it decides.
    sleep_look: float
    #: The sleeper's own end.
    sleep_most: float


@dataclass(frozen=True)
class Inequality:
    """`left` must be less than `right`, or something breaks that `why` names."""

    name: str
    left: Callable[[Timers], float]
    right: Callable[[Timers], float]
    why: str

    def holds(self, timers: Timers) -> bool:
        """Whether it does; equal is not enough."""
        return self.left(timers) < self.right(timers)


INEQUALITIES: tuple[Inequality, ...] = (
    Inequality(
        "3 heartbeats < visibility",
        lambda t: 3 * t.heartbeat,
        lambda t: t.visibility,
        "a message whose beats fail twice would be delivered to a second bridge",
    ),
    Inequality(
        "3 ticks < lease",
        lambda t: 3 * t.tick,
        lambda t: t.lease,
        "a bridge that pauses would lose a job that it works on",
    ),
    Inequality(
        "lease < visibility",
        lambda t: t.lease,
        lambda t: t.visibility,
        "a dead bridge's message would come back before its lease is over, and circle",
    ),
    Inequality(
        "hold + visibility <= what SQS hides",
        lambda t: t.hold + t.visibility,
        lambda t: SQS_HIDES_S + 1,
        "SQS would hand out a message that is still in hand, whatever the heartbeat does",
    ),
    Inequality(
        "hold < 80 % of the retention",
        lambda t: t.hold,
        lambda t: 0.8 * t.retention,
        "a job would be published again while its first message is in hand",
    ),
    Inequality(
        "cold start < start",
        lambda t: COLD_START_S,
        lambda t: t.start,
        "jobs would be put back, and wait anew, while their node is on its way",
    ),
    Inequality(
        "Serve's start <= the bridge's",
        lambda t: t.serve_start,
        lambda t: t.start + 1,
        "the bridge would give up without hearing from Serve why nothing runs",
    ),
    Inequality(
        "attempt <= bridge's grace",
        lambda t: t.attempt,
        lambda t: t.bridge_grace + 1,
        "a rollout would throw away generations that are nearly done",
    ),
    Inequality(
        "bridge's grace + 30 s < its pod's",
        lambda t: t.bridge_grace + 30,
        lambda t: t.bridge_pod_grace,
        "SIGKILL would come before what is left has been put back: it waits for its visibility",
    ),
    Inequality(
        "metrics < look back",
        lambda t: t.metrics,
        lambda t: t.look_back,
        "Serve would average over nothing and see no load",
    ),
    Inequality(
        "look back < to zero",
        lambda t: t.look_back,
        lambda t: t.to_zero,
        "replicas would flap between none and one",
    ),
    Inequality(
        "shutdown < drain",
        lambda t: t.shutdown,
        lambda t: t.drain,
        "the worker would end under a replica that still finishes its job",
    ),
    Inequality(
        "proxy's drain < drain",
        lambda t: PROXY_DRAIN_S,
        lambda t: t.drain,
        "the worker would end while its proxy still carries answers",
    ),
    Inequality(
        "drain < worker's grace",
        lambda t: t.drain,
        lambda t: t.worker_grace,
        "Kubernetes would kill the worker in the middle of its drain",
    ),
    Inequality(
        "worker's grace < spot notice",
        lambda t: t.worker_grace,
        lambda t: SPOT_NOTICE_S,
        "EC2 would take the node before the drain is over",
    ),
    Inequality(
        "worker's grace < node's grace",
        lambda t: t.worker_grace,
        lambda t: t.node_grace,
        "Karpenter would end a node under a worker that drains",
    ),
    Inequality(
        "proxy's drain < Ray's idle",
        lambda t: PROXY_DRAIN_S,
        lambda t: t.ray_idle,
        "a worker would go while a replica could come back to it within seconds",
    ),
    Inequality(
        "to zero + look back + proxy's drain + Ray's idle < KEDA's cooldown",
        lambda t: t.to_zero + t.look_back + PROXY_DRAIN_S + t.ray_idle,
        lambda t: t.keda_cooldown,
        "a job would find a warm GPU and no bridge, and wait for a pod",
    ),
    Inequality(
        "SQS's lag + a poll < KEDA's cooldown",
        lambda t: SQS_LAG_S + t.keda_poll,
        lambda t: t.keda_cooldown,
        "KEDA ends all bridges at once, and a count of zero may be a minute old",
    ),
    Inequality(
        "KEDA's poll <= 5 s",
        lambda t: t.keda_poll,
        lambda t: 5.1,
        "every cold start waits for it first",
    ),
    Inequality(
        "look at the depth < KEDA's poll",
        lambda t: t.depth_poll,
        lambda t: t.keda_poll,
        "a bridge would be there before anybody has asked for a node for its jobs",
    ),
    Inequality(
        "Ray's tick <= 5 s",
        lambda t: t.ray_tick,
        lambda t: 5.1,
        "every cold start waits for it before a worker is even asked for",
    ),
    Inequality(
        "attempt < old cluster",
        lambda t: t.attempt,
        lambda t: t.old_cluster,
        "an upgrade would end the cluster that jobs still run on",
    ),
    Inequality(
        "worker's start on a warm node < empty node",
        lambda t: t.metrics + t.look_back + 30,
        lambda t: t.node_empty,
        "Karpenter would take the node that the next replica is about to use",
    ),
    Inequality(
        "API < API Gateway",
        lambda t: t.api,
        lambda t: GATEWAY_S,
        "the client would get API Gateway's 504, and no log of ours would tell why",
    ),
    Inequality(
        "sweeper's clock <= its own end",
        lambda t: t.sweep,
        lambda t: t.sweep_most + 1,
        "a long sweep would be cut off although none waits behind it",
    ),
    Inequality(
        "KEDA's cooldown + hold of a probe < sleep",
        lambda t: t.keda_cooldown + t.start,
        lambda t: t.sleep_after,
        "the head would be put to sleep while a bridge still waits for a replica",
    ),
    Inequality(
        "SQS's lag < the sleeper's looks",
        lambda t: SQS_LAG_S,
        lambda t: t.sleep_look,
        "all looks could be at the same old count of zero",
    ),
    Inequality(
        "the sleeper's looks + a minute < its own end",
        lambda t: t.sleep_look + 60,
        lambda t: t.sleep_most,
        "it would be ended before it has decided, every time",
    ),
)


def broken(timers: Timers) -> Iterator[str]:
    """For each inequality that does not hold: which, with its numbers, and why it matters."""
    for each in INEQUALITIES:
        if not each.holds(timers):
            left, right = each.left(timers), each.right(timers)
            yield f"{each.name} does not hold ({left:g} s, {right:g} s): {each.why}"
