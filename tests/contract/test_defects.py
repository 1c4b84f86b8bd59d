"""The 22 defects of the system that we replace: a regression test for each, or why it cannot be.

The numbers are those of the list in the study of AWS's guidance.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.keys import attempt_suffix, document_key, output_key

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Defect:
    """What went wrong there, and what keeps it from going wrong here."""

    what: str
    tests: tuple[str, ...] = ()
    cannot: str = ""


DEFECTS = {
    1: Defect(
        what="the API refuses a task that the agent can do",
        cannot="API, schema and Serve read one list of tasks, `jobs.inputs.Task`.",
    ),
    2: Defect(
        what="s3:// inputs always fail",
        tests=(
            "unit/test_bridge_sources.py::test_an_object_in_an_allowed_bucket_is_read",
            "unit/test_bridge_sources.py::test_a_tenant_may_use_its_own_outputs",
        ),
    ),
    3: Defect(
        what="why a fetch failed is lost",
        tests=(
            "unit/test_bridge_sources.py"
            "::test_a_server_that_stays_down_fails_the_job_and_the_cause_is_told",
        ),
    ),
    4: Defect(
        what="a prompt that begins with http fails the job",
        tests=("unit/test_bridge_sources.py::test_a_prompt_that_begins_with_http_is_a_prompt",),
    ),
    5: Defect(
        what="a job longer than the visibility timeout is generated twice",
        tests=(
            "unit/test_bridge_heartbeat.py::test_a_beat_keeps_a_message_in_hand_invisible",
            "unit/test_bridge_process.py"
            "::test_a_second_delivery_is_released_until_the_first_owner_is_done",
        ),
    ),
    6: Defect(
        what="a read timeout posts the generation four times",
        tests=(
            "unit/test_bridge_failures.py"
            "::test_a_stream_that_breaks_off_is_not_posted_again_at_once",
        ),
    ),
    7: Defect(
        what="one message that nobody can read ends every agent",
        tests=(
            "unit/test_bridge_failures.py::test_what_nobody_can_read_is_parked",
            "unit/test_bridge_consumer.py::test_each_verdict_does_one_thing_to_the_message",
            "unit/test_bridge_dead_letters.py"
            "::test_what_nobody_can_read_is_put_aside_with_a_reason",
        ),
    ),
    8: Defect(
        what="an empty prefix is accepted, and the job silently deleted",
        tests=("contract/test_defects.py::test_an_empty_prefix_is_no_obstacle",),
    ),
    9: Defect(
        what="an error within the trace runs the whole job again, then ends the loop",
        tests=(
            "unit/test_bridge_failures.py"
            "::test_while_aws_is_down_the_message_is_released_and_succeeds_later",
            "unit/test_bridge_consumer.py"
            "::test_a_verdict_that_sqs_does_not_take_does_not_end_the_loop",
        ),
    ),
    10: Defect(
        what="a runtime that is down empties the queue as failed",
        tests=(
            "unit/test_bridge_consumer.py"
            "::test_while_nothing_is_ready_one_message_is_held_as_a_probe",
            "unit/test_bridge_failures.py::test_ten_releases_and_then_a_success_end_in_succeeded",
        ),
    ),
    11: Defect(
        what="ids are cut to 64 characters, and then collide",
        tests=("contract/test_defects.py::test_no_key_cuts_an_id",),
    ),
    12: Defect(
        what="an empty object where a model's name is expected is a KeyError",
        tests=(
            "unit/test_api_submit.py::test_an_invalid_job_is_refused_with_a_pointer_to_each_fault",
        ),
    ),
    13: Defect(
        what="any URL is fetched from inside the network",
        tests=(
            "unit/test_bridge_egress.py::test_a_name_that_points_inside_is_not_connected_to",
            "unit/test_bridge_egress.py::test_a_redirect_inside_is_not_followed",
            "unit/test_bridge_egress.py::test_too_long_an_answer_is_broken_off",
        ),
    ),
    14: Defect(
        what="what was fetched once is never fetched again",
        tests=("unit/test_bridge_sources.py::test_a_url_is_fetched_anew_for_each_job",),
    ),
    15: Defect(
        what="a cache returns another customer's image",
        cannot="Images come in the stream of the job's own POST, with their hash; no name is "
        "asked for, and nothing is cached.",
    ),
    16: Defect(
        what="empty or missing images are uploaded as a success",
        tests=("unit/test_bridge_failures.py::test_a_result_without_its_images_is_no_success",),
    ),
    17: Defect(
        what="an import that fails turns tracing into nothing",
        cannot="No import of ours has a fallback: one that fails ends the process at its start.",
    ),
    18: Defect(
        what="a job for an unknown runtime is accepted and dropped",
        tests=(
            "unit/test_api_submit.py"
            "::test_an_unknown_runtime_or_model_is_refused_before_publishing",
        ),
    ),
    19: Defect(
        what="a pod that is told to stop fails its job",
        tests=(
            "faults/test_faults_stop.py::test_a_minute_s_job_and_ten_seconds_of_grace",
            "unit/test_bridge_endings.py::test_told_to_stop_it_gives_the_job_back_at_once",
        ),
    ),
    20: Defect(
        what="a crash between upload, notice and deletion does everything again",
        tests=(
            "unit/test_bridge_crashes.py"
            "::test_killed_at_any_step_a_job_ends_once_and_no_upload_is_made_again",
            "faults/test_faults_chaos.py::test_nothing_is_lost_and_nothing_ends_twice",
        ),
    ),
    21: Defect(
        what="a task that no test has ever run",
        cannot="API and bridge accept the same tasks, and each has a sample that tests run.",
    ),
    22: Defect(
        what="dead code, and packages installed for nothing",
        cannot="The linter refuses unused names; dependencies stand in groups by who needs them.",
    ),
}


def test_all_of_them_are_here():
    """None is forgotten, none is counted twice."""
    assert list(DEFECTS) == list(range(1, 23))


@pytest.mark.parametrize("number", DEFECTS)
def test_each_has_a_test_or_a_reason(number):
    """One or the other, and the tests exist by that name."""
    defect = DEFECTS[number]
    assert bool(defect.tests) != bool(defect.cannot)
    for name in defect.tests:
        file, _, test = name.partition("::")
        assert test in _tests_in(ROOT / "tests" / file), name


def _tests_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_an_empty_prefix_is_no_obstacle():
    """Whatever it is, each object has one key without an empty part."""
    for prefix in ("", "/", "a/", "/a"):
        for key in (output_key(prefix, "id", "0f0f", 1, "png"), document_key(prefix, "id", "0f0f")):
            assert "//" not in key
            assert not key.startswith("/")


def test_no_key_cuts_an_id():
    """Two ids of the longest allowed kind that differ in their last letter have two keys."""
    suffix = attempt_suffix("uid", 1)
    keys = {output_key("p", "x" * 127 + last, suffix, 1, "png") for last in "ab"}
    assert len(keys) == 2
