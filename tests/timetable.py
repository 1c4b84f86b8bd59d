"""The timers as they are set today: in manifests, in Terraform, in the code."""

import re
from pathlib import Path

from bridge import generation
from bridge.settings import BridgeSettings
from darkroom.cluster.timers import Timers
from serve_app import scaling
from serve_app.settings import ServeSettings

ROOT = Path(__file__).resolve().parents[1]
_UNITS = {"s": 1, "m": 60, "h": 3600}


def timers_of(manifests, runtime, queue) -> Timers:
    """Those of one runtime and one of its queues."""
    service = manifests.one("RayService", runtime)["spec"]
    cluster = service["rayClusterConfig"]
    [group] = cluster["workerGroupSpecs"]
    worker, head = group["template"]["spec"], cluster["headGroupSpec"]["template"]["spec"]
    bridge_pod = manifests.one("Deployment", f"bridge-{queue}")["spec"]["template"]["spec"]
    scaled = manifests.one("ScaledObject", f"bridge-{queue}")["spec"]
    sleeper = manifests.one("CronJob", f"deep-sleep-{runtime}")["spec"]["jobTemplate"]["spec"]
    sweeper = manifests.one("CronJob", "sweeper")["spec"]
    nodes = manifests.one("NodePool", "cpu" if group["groupName"] == "cpu" else "gpu-spot")["spec"]
    bridge = _bridge(environment(bridge_pod))
    serve = ServeSettings.from_env(environment(head))
    assert sweeper["schedule"] == "* * * * *"
    return Timers(
        visibility=in_terraform("messaging", r"visibility_s += (\d+)"),
        heartbeat=bridge.heartbeat_s,
        lease=bridge.lease_s,
        tick=generation._IDLE_TICK_S,
        start=bridge.start_timeout_s,
        serve_start=serve.start_timeout_s,
        attempt=bridge.attempt_timeout_s,
        hold=bridge.hold_s,
        retention=in_terraform("messaging", r"queue_retention_s = (\d+) \* 24") * 24 * 3600,
        bridge_grace=bridge.grace_s,
        bridge_pod_grace=bridge_pod["terminationGracePeriodSeconds"],
        to_zero=serve.idle_s,
        depth_poll=serve.depth_poll_s,
        look_back=scaling.LOOK_BACK_S,
        metrics=scaling.METRICS_INTERVAL_S,
        shutdown=scaling.SHUTDOWN_S,
        drain=float(environment(worker)["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]),
        worker_grace=worker["terminationGracePeriodSeconds"],
        ray_tick=float(named(cluster["autoscalerOptions"])["AUTOSCALER_UPDATE_INTERVAL_S"]),
        ray_idle=cluster["autoscalerOptions"]["idleTimeoutSeconds"],
        old_cluster=service["rayClusterDeletionDelaySeconds"],
        node_grace=seconds(nodes["template"]["spec"]["terminationGracePeriod"]),
        node_empty=seconds(nodes["disruption"]["consolidateAfter"]),
        keda_poll=scaled["pollingInterval"],
        keda_cooldown=scaled["cooldownPeriod"],
        api=in_terraform("api", r"timeout_s = (\d+)"),
        sweep=60,
        sweep_most=sweeper["jobTemplate"]["spec"]["activeDeadlineSeconds"],
        sleep_after=float(environment(sleeper["template"]["spec"])["DARKROOM_SLEEP_AFTER_S"]),
        sleep_look=float(environment(sleeper["template"]["spec"])["DARKROOM_SLEEP_OVER_S"]),
        sleep_most=sleeper["activeDeadlineSeconds"],
    )


def _bridge(told):
    runtimes = str(ROOT / "runtimes.yaml")
    # The catalogue of a test may have more runtimes than the committed one.
    return BridgeSettings.from_env(
        told | {"DARKROOM_RUNTIMES": runtimes, "DARKROOM_RUNTIME": "demo"}
    )


def environment(pod):
    """The plain variables of a pod's first container."""
    return named(pod["containers"][0])


def named(container):
    """The plain variables of anything that has an `env`."""
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def in_terraform(file, pattern):
    """The number that a local of Terraform has."""
    return float(re.search(pattern, (ROOT / f"infra/terraform/{file}.tf").read_text())[1])


def seconds(text):
    """60s, 10m."""
    return float(text[:-1]) * _UNITS[text[-1]]
