"""How many replicas the policy asks for, without Ray: its context is a plain object."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.serve.config import AutoscalingConfig

from jobs.catalogue import Catalogue
from records.errors import Unavailable
from serve_app import scaling
from serve_app.demand import Pace
from serve_app.depth import Depth
from serve_app.depth_policy import SqsDepthPolicy
from serve_app.settings import ServeSettings

ROOT = Path(__file__).resolve().parents[2]
#: Ten seconds a job, and a replica takes a minute to come: three jobs are worth one.
PACE = {"job_row_steps": 100, "row_steps_per_s": 10, "boot_s": 60}


class Known:
    """A depth that is what it is told."""

    def __init__(self, jobs):
        self.told = jobs

    def jobs(self):
        """The number told; None for unknown."""
        return self.told


def context(*, requests=0.0, queued=0.0, target=0, stats=None):
    """What Serve tells a policy, as far as ours looks."""
    return SimpleNamespace(
        total_num_requests=requests,
        total_running_requests=requests - queued,
        target_num_replicas=target,
        aggregated_metrics=stats or {},
    )


def policy(jobs):
    """A policy whose queue has so many jobs."""
    return SqsDepthPolicy(queue_url="http://none", poll_s=1, max_age_s=1, depth=Known(jobs), **PACE)


def asked(jobs, **told):
    """The replicas that a fresh policy asks for."""
    wanted, state = policy(jobs)(context(**told))
    assert state == {}
    return wanted


@pytest.mark.parametrize(
    ("jobs", "replicas"), [(0, 0), (1, 1), (3, 1), (4, 2), (6, 2), (50, 17), (1000, 334)]
)
def test_a_burst_at_zero_asks_for_all_replicas_at_once(jobs, replicas):
    """No request has reached Serve yet; its bounds cut what is too much."""
    assert asked(jobs) == replicas


def test_a_job_is_not_counted_as_message_and_as_request():
    """In flight in SQS and running here it is one."""
    assert asked(4, requests=4.0) == asked(4)


def test_requests_that_came_without_a_queue_count_too():
    """Somebody posts to Serve itself."""
    assert asked(0, requests=7.0) == 3


def test_no_more_replicas_than_jobs_are_asked_for():
    """However long one job takes, it has one replica."""
    pace = Pace(job_row_steps=10_000, row_steps_per_s=1, boot_s=10)
    assert pace.replicas(jobs=2) == 2


def test_the_engines_own_backlog_stands_for_the_jobs_it_has():
    """Eight jobs of which little is left are worth less than eight new ones."""
    nearly_done = {"row_steps": {"a": 60.0}, "seconds": {"a": 6.0}}
    assert asked(8, requests=8.0) == 3
    assert asked(8, requests=8.0, stats=nearly_done) == 1


def test_a_measured_pace_is_kept_for_the_next_burst():
    """Ten times as fast as configured: a tenth of the replicas."""
    fast = policy(50)
    fast(context(requests=1.0, stats={"row_steps": {"a": 100.0}, "seconds": {"a": 1.0}}))
    assert fast(context())[0] == 2


@pytest.mark.parametrize("seconds", [0.0, float("inf"), float("nan")])
def test_a_pace_that_is_none_is_not_believed(seconds):
    """An engine that has made no step yet knows no pace."""
    young = policy(50)
    young(context(stats={"row_steps": {"a": 100.0}, "seconds": {"a": seconds}}))
    assert young(context())[0] == 17


@pytest.mark.parametrize(("requests", "replicas"), [(0.0, 4), (30.0, 10)])
def test_blind_it_takes_nothing_away_and_may_add(requests, replicas):
    """SQS does not answer: what runs stays, what Serve sees still counts."""
    assert asked(None, requests=requests, target=4) == replicas


class Clock:
    """A time that a test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def settled(depth):
    """The depth's answer once its look has ended."""
    depth.jobs()
    while depth.looking:
        threading.Event().wait(0.001)
    return depth.jobs()


def test_a_look_never_makes_the_controller_wait():
    """The queue hangs; the answer is there all the same, and no second look is begun."""
    hung, looks = threading.Event(), []

    def read():
        looks.append(1)
        hung.wait()
        return 3, 1

    clock = Clock()
    depth = Depth(read, poll_s=1, max_age_s=30, clock=clock)
    for clock.now in (0.0, 10.0, 20.0):
        assert depth.jobs() is None
    assert len(looks) == 1
    hung.set()
    while depth.looking:
        threading.Event().wait(0.001)
    assert depth.jobs() == 4


def test_between_two_looks_the_last_answer_stands_until_it_is_too_old():
    """Failing looks age it; the next good one brings it back."""
    answers = [(2, 3), Unavailable("down"), Unavailable("down"), (0, 0)]

    def read():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock = Clock()
    depth = Depth(read, poll_s=1, max_age_s=5, clock=clock)
    seen = []
    for clock.now in (0.0, 0.5, 2.0, 6.0, 8.0):
        seen.append(settled(depth))
    assert seen == [5, 5, 5, None, 0]


def test_with_a_queue_the_policy_decides_and_nothing_is_multiplied():
    """What Ray makes of our configuration is our class, with arguments that it takes."""
    text = (ROOT / "runtimes.yaml").read_text()
    runtime = Catalogue.from_yaml(text).runtime("demo")
    settings = ServeSettings(queue_url="http://queue", depth_poll_s=2)
    options = scaling.generator_options(runtime, settings)["autoscaling_config"]
    config = AutoscalingConfig(**options)
    made = config.policy.get_policy()(**config.policy.policy_kwargs)
    assert json.dumps(config.policy.policy_kwargs)
    assert config.get_upscaling_factor() == 1
    assert made(context(target=3))[0] == 3
    assert options["policy"]["policy_kwargs"]["job_row_steps"] == 40
    assert scaling.policy_s(settings) == 6
    assert scaling.policy_s(ServeSettings()) == 0
