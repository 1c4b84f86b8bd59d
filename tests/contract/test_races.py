"""Every race of scaling down, sleeping and waking has a test: which, and that it is there.

What only a cluster shows (Karpenter, a head that is lost with its node) is what the manifests and
the runbook are about; here is what code of ours decides.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
RACES = {
    "KEDA wants no bridge while it waits for Serve: in flight counts as work": (
        "unit/test_keda_standin.py",
        "test_a_message_in_flight_keeps_its_bridge",
    ),
    "the HPA takes a bridge that is at work: it drains, or gives back": (
        "faults/test_faults_stop.py",
        "test_a_minute_s_job_and_ten_seconds_of_grace",
    ),
    "a replica is killed under a job: the bridge tries again": (
        "e2e/test_faults.py",
        "test_a_job_whose_replica_is_killed_succeeds_in_another_attempt",
    ),
    "a request comes while the last replica goes, or none is there": (
        "integration/test_serve_over_http.py",
        "test_a_first_job_brings_up_a_first_replica",
    ),
    "a job at zero takes the decision from the policy": (
        "unit/test_serve_first_replica.py",
        "test_a_job_waits_until_the_first_of_the_wanted_replicas_is_there",
    ),
    "a burst waits for two starts": (
        "integration/test_autoscaling.py",
        "test_a_burst_brings_all_nodes_in_one_step_and_everything_goes_again",
    ),
    "the policy cannot reach SQS: what runs stays": (
        "unit/test_serve_depth_policy.py",
        "test_blind_it_takes_nothing_away_and_may_add",
    ),
    "the policy cannot reach SQS at zero: Serve decides": (
        "unit/test_serve_first_replica.py",
        "test_a_job_goes_on_if_the_policy_wants_none",
    ),
    "SQS hangs: the controller does not": (
        "unit/test_serve_depth_policy.py",
        "test_a_look_never_makes_the_controller_wait",
    ),
    "a spot node is taken in mid job": (
        "integration/test_spot.py",
        "test_a_job_on_a_spot_node_that_is_told_to_go_succeeds_and_is_painted_once",
    ),
    "no node comes: the message stays in hand, and not for ever": (
        "unit/test_bridge_heartbeat.py",
        "test_no_message_is_kept_for_longer_than_an_attempt_may_take_nor_than_sqs_allows",
    ),
    "a client goes while its job runs: no second one on the device": (
        "integration/test_serve_over_http.py",
        "test_closing_the_stream_of_a_running_job_stops_it",
    ),
    "a bridge comes up while the sleeper looks": (
        "integration/test_deep_sleep.py",
        "test_a_bridge_that_comes_up_while_the_sleeper_looks_wins",
    ),
    "a bridge came up just before the sleeper looked": (
        "integration/test_deep_sleep.py",
        "test_a_bridge_that_wrote_before_the_look_is_seen_by_its_deployment",
    ),
    "a message comes right after the suspension": (
        "integration/test_deep_sleep.py",
        "test_a_message_that_comes_right_after_the_suspension_costs_time_only",
    ),
    "a service is put to sleep while it comes up": (
        "integration/test_deep_sleep.py",
        "test_a_sleeper_does_not_touch_what_is_coming_up",
    ),
    "a service is suspended behind a bridge": (
        "integration/test_deep_sleep.py",
        "test_a_service_that_is_suspended_behind_a_bridge_comes_back",
    ),
    "two sleepers": (
        "integration/test_deep_sleep.py",
        "test_two_sleepers_at_once_do_no_harm",
    ),
    "the manifests are applied while it sleeps or wakes": (
        "integration/test_deep_sleep.py",
        "test_applying_the_manifests_while_it_sleeps_or_wakes_changes_nothing",
    ),
    "SQS's counts lag behind: one look at nothing is not enough": (
        "unit/test_darkroom_sleep.py",
        "test_each_guard_alone_keeps_it_awake_at_every_look",
    ),
    "the sleeper is blind": (
        "unit/test_darkroom_sleep.py",
        "test_who_is_blind_lets_it_be_awake",
    ),
    "Kubernetes does not answer the bridge that wakes": (
        "unit/test_bridge_wake.py",
        "test_it_is_woken_once_and_again_whenever_it_sleeps",
    ),
}


@pytest.mark.parametrize(("file", "test"), RACES.values(), ids=RACES)
def test_the_race_has_its_test(file, test):
    """By the name that it has in its file."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    names = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert test in names
