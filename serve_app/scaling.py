"""How many: replicas, jobs in each, jobs that wait. Every such number stands here."""

from typing import Any

from jobs.catalogue import Replicas, Runtime
from jobs.inputs import TextToImage
from serve_app.engine.work import work_of
from serve_app.settings import ServeSettings

#: Jobs that may wait for a slot; the next is refused with 429. Several bridges can each have
#: their probe job here while nothing is ready; more would wait here out of sight of SQS.
MAX_QUEUED = 8
#: `/capacity` and `/healthz` beside the jobs, and jobs on their way to being refused.
INGRESS_MARGIN = 16
#: How often the ingress tells the controller how many jobs wait; at zero replicas a job waits
#: that long before one is even asked for. Ray calls the field deprecated in favour of two
#: environment variables, but 2.60 reads only the field (serve/_private/router.py); its 10 s
#: made a cold start 10 s longer.
METRICS_INTERVAL_S = 0.5
#: Jobs are counted as an average over so long; it must exceed the interval above.
LOOK_BACK_S = 3.0
#: Longer than most jobs take, shorter than the two minutes' notice of a spot instance.
SHUTDOWN_S = 80


#: Looks at the queue that may fail before its depth counts as unknown.
DEPTH_LOOKS = 10
#: By import path: Serve pickles it, and its controller makes the object.
POLICY = "serve_app.depth_policy:SqsDepthPolicy"


def ingress_max_ongoing(replicas: Replicas) -> int:
    """What the ingress must hold at once, or it caps the whole app (Serve's default is 5)."""
    return replicas.max * replicas.admit_window + MAX_QUEUED + INGRESS_MARGIN


def ingress_options(replicas: Replicas) -> dict[str, Any]:
    """Options of the ingress: one replica, on the head, so that it never holds a GPU node."""
    return {
        "name": "ingress",
        "num_replicas": 1,
        "max_ongoing_requests": ingress_max_ongoing(replicas),
        "ray_actor_options": {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}},
    }


def generator_options(runtime: Runtime, settings: ServeSettings) -> dict[str, Any]:
    """Options of the generator: none while idle, all at once when a burst comes."""
    replicas = runtime.replicas
    return {
        "name": "generator",
        "max_ongoing_requests": replicas.admit_window,
        "max_queued_requests": MAX_QUEUED,
        "graceful_shutdown_timeout_s": SHUTDOWN_S,
        "ray_actor_options": {"num_cpus": replicas.num_cpus, "num_gpus": replicas.num_gpus},
        "autoscaling_config": {
            "min_replicas": 0,
            "initial_replicas": 0,
            "max_replicas": replicas.max,
            # Half the window: another replica starts before this one is full.
            "target_ongoing_requests": replicas.admit_window / 2,
            "upscale_delay_s": 0,
            "downscale_delay_s": settings.idle_s,
            "downscale_to_zero_delay_s": settings.idle_s,
            "metrics_interval_s": METRICS_INTERVAL_S,
            "look_back_period_s": LOOK_BACK_S,
            **_how_many(runtime, settings),
        },
    }


def _how_many(runtime: Runtime, settings: ServeSettings) -> dict[str, Any]:
    """Who decides on the number of replicas, as fields of the autoscaling configuration."""
    if settings.queue_url is None:
        # From zero Serve asks for `upscaling_factor` replicas, however long the queue is, and
        # for more only when these run.
        return {"upscaling_factor": float(runtime.replicas.max)}
    kwargs = {
        "queue_url": settings.queue_url,
        "job_row_steps": typical_work(runtime),
        "row_steps_per_s": runtime.replicas.row_steps_per_s,
        "boot_s": runtime.replicas.boot_s,
        "poll_s": settings.depth_poll_s,
        "max_age_s": settings.depth_poll_s * DEPTH_LOOKS,
    }
    # One: what the policy says is what is meant.
    return {
        "upscaling_factor": 1.0,
        "policy": {"policy_function": POLICY, "policy_kwargs": kwargs},
    }


def typical_work(runtime: Runtime) -> int:
    """Row-steps of a job that says nothing but what it shows."""
    model = runtime.models[runtime.model_name(None)]
    return work_of(model.resolve(TextToImage(prompt="anything")))


def policy_s(settings: ServeSettings) -> float:
    """So long a job leaves a start from zero to the policy: three looks at the queue."""
    return 3 * settings.depth_poll_s if settings.queue_url else 0.0
