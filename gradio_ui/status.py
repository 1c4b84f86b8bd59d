"""The line that tells how a job is doing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from html import escape
from itertools import pairwise

from client import ClientError, Refused
from jobs.status import Status
from jobs.view import JobView, TimeView

#: What each state means to somebody who waits.
_WAITING = {
    Status.QUEUED: "Queued",
    Status.STARTING: "Starting: waiting for a replica",
    Status.PROCESSING: "Preparing",
}
_STAGES = {"encode": "Reading the prompt", "decode": "Developing", "upload": "Storing"}


class Tone(StrEnum):
    """How the line looks."""

    IDLE = "idle"
    BUSY = "busy"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class StatusLine:
    """A sentence, what belongs to it, and how far the job is (0 to 1)."""

    tone: Tone
    text: str
    details: tuple[str, ...] = ()
    elapsed_s: float | None = None
    fraction: float | None = None

    def html(self) -> str:
        """The line for the page. Everything that came from outside is escaped here."""
        clock = "" if self.elapsed_s is None else f"<time>{self.elapsed_s:.1f} s</time>"
        details = "".join(f"<li>{escape(detail)}</li>" for detail in self.details)
        bar = ""
        if self.fraction is not None:
            bar = f'<progress max="1" value="{self.fraction:.3f}"></progress>'
        return (
            f'<div class="line {self.tone}"><i></i>'
            f'<span role="status">{escape(self.text)}</span>{clock}</div>{bar}'
            + (f'<ul class="{self.tone}">{details}</ul>' if details else "")
        )


IDLE = StatusLine(tone=Tone.IDLE, text="Ready")
SENDING = StatusLine(tone=Tone.BUSY, text="Sending", elapsed_s=0, fraction=0)


def of_view(view: JobView, *, elapsed_s: float) -> StatusLine:
    """The line for a job as the API shows it."""
    job = (f"job {view.uid}",)
    match view.status:
        case Status.SUCCEEDED:
            details = (*job, *_timings(view), *view.warnings)
            return StatusLine(tone=Tone.DONE, text="Done", details=details, elapsed_s=elapsed_s)
        case Status.CANCELED:
            return StatusLine(tone=Tone.STOPPED, text="Stopped", details=job, elapsed_s=elapsed_s)
        case Status.FAILED | Status.EXPIRED:
            reason = view.error.message if view.error else "no reason was given"
            text = f"{view.status.capitalize()}: {reason}"
            return StatusLine(tone=Tone.FAILED, text=text, details=job, elapsed_s=elapsed_s)
    return StatusLine(
        tone=Tone.BUSY,
        text="Stopping" if view.cancel_requested else _busy(view),
        details=(*job, f"attempt {view.attempts}") if view.attempts > 1 else job,
        elapsed_s=elapsed_s,
        fraction=view.progress.step / view.progress.total if view.progress.total else 0,
    )


def of_error(error: ClientError, *, uid: str | None = None) -> StatusLine:
    """The line for a request that the API refused or did not answer."""
    if isinstance(error, Refused):
        problem = error.problem
        faults = tuple(f"{_field(fault.pointer)}: {fault.detail}" for fault in problem.errors)
        return StatusLine(tone=Tone.FAILED, text=problem.detail or problem.title, details=faults)
    details = (f"job {uid} goes on without this page",) if uid else ()
    return StatusLine(tone=Tone.FAILED, text=str(error), details=details)


def _field(pointer: str) -> str:
    """The field that a fault's pointer names, as the page labels it."""
    return pointer.rpartition("/")[2].replace("_", " ").capitalize() or "Request"


def _busy(view: JobView) -> str:
    progress = view.progress
    if view.status is not Status.PROCESSING:
        return _WAITING[view.status]
    if progress.stage in _STAGES:
        return _STAGES[progress.stage]
    if progress.total:
        return f"Step {progress.step} of {progress.total}"
    return _WAITING[view.status]


def _timings(view: JobView) -> Iterable[str]:
    """How long the job spent between the points of its life, and in each stage of generation."""
    points = [(name, getattr(view.times, name)) for name in TimeView.model_fields]
    passed = [(name, at) for name, at in points if isinstance(at, datetime)]
    spans = [
        f"{name} {(at - before).total_seconds():.2f} s"
        for (_, before), (name, at) in pairwise(passed)
    ]
    if spans:
        yield " · ".join(spans)
    if view.timings:
        yield " · ".join(
            f"{stage.removesuffix('_s')} {seconds:.2f} s" for stage, seconds in view.timings.items()
        )
