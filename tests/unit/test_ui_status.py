"""The status line and the tray."""

from datetime import UTC, datetime, timedelta

from client import Refused, Unreachable
from gradio_ui.status import StatusLine, Tone, of_error, of_view
from gradio_ui.tray import tray
from jobs.outcome import Failure
from jobs.status import ErrorCode, Status
from jobs.view import FaultView, JobView, LinkView, Problem, ProgressView, TimeView

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def _view(status: Status, **changed: object) -> JobView:
    base = {
        "uid": "u-1",
        "id": "mine",
        "status": status,
        "runtime": "demo",
        "model": "demo",
        "priority": "interactive",
        "input": None,
        "times": TimeView(accepted=NOW),
        "urls": LinkView(get="/", cancel="/"),
    }
    return JobView.model_validate({**base, **changed})


def test_a_running_job_shows_its_step_and_how_far_it_is():
    """Both for people and for the bar."""
    progress = ProgressView(stage="denoise", step=12, total=30)
    line = of_view(_view(Status.PROCESSING, progress=progress), elapsed_s=3.21)
    assert line.text == "Step 12 of 30"
    assert line.fraction == 0.4
    assert "3.2 s" in line.html()
    assert 'value="0.400"' in line.html()


def test_a_job_that_was_asked_to_stop_says_so_until_it_has():
    """A replica stops only after its current step."""
    line = of_view(_view(Status.PROCESSING, cancel_requested=True), elapsed_s=1)
    assert line.text == "Stopping"


def test_a_second_attempt_is_told():
    """Somebody who waits longer than usual learns why."""
    line = of_view(_view(Status.STARTING, attempts=2), elapsed_s=1)
    assert "attempt 2" in line.details


def test_a_finished_job_tells_where_its_time_went():
    """Between the points of its life, and in each stage."""
    times = TimeView(
        accepted=NOW,
        published=NOW + timedelta(seconds=0.05),
        started=NOW + timedelta(seconds=2.05),
        recorded=NOW + timedelta(seconds=3),
    )
    line = of_view(_view(Status.SUCCEEDED, times=times, timings={"denoise": 0.5}), elapsed_s=3)
    assert line.details == (
        "job u-1",
        "published 0.05 s · started 2.00 s · recorded 0.95 s",
        "denoise 0.50 s",
    )


def test_an_expired_job_is_a_failure_with_its_reason():
    """The sentence of the outcome is shown as it is."""
    error = Failure(code=ErrorCode.DEADLINE_EXCEEDED, message="the deadline has passed")
    line = of_view(_view(Status.EXPIRED, error=error), elapsed_s=3)
    assert line.tone is Tone.FAILED
    assert line.text == "Expired: the deadline has passed"


def test_a_problem_is_shown_with_its_detail_and_faults():
    """Each fault by the field's name."""
    fault = FaultView(pointer="/input/num_inference_steps", detail="must be at most 200")
    problem = Problem(title="Bad", status=422, detail="Not valid", code="x", errors=(fault,))
    line = of_error(Refused(problem))
    assert line.text == "Not valid"
    assert line.details == ("Num inference steps: must be at most 200",)


def test_a_lost_connection_tells_that_the_job_goes_on():
    """Nothing that was accepted is thrown away because a page lost touch."""
    line = of_error(Unreachable("the API does not answer"), uid="u-1")
    assert line.details == ("job u-1 goes on without this page",)


def test_nothing_from_outside_becomes_markup():
    """An error message may contain what somebody typed."""
    hostile = "<script>alert(1)</script>"
    html = StatusLine(tone=Tone.FAILED, text=hostile, details=(hostile,)).html()
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 2


def test_the_tray_brightens_with_the_job():
    """The style carries the fraction; an idle tray is dark."""
    busy = StatusLine(tone=Tone.BUSY, text="", fraction=0.25)
    assert "--developed:0.250" in tray(busy)
    assert "--developed:0.000" in tray(StatusLine(tone=Tone.IDLE, text=""))
