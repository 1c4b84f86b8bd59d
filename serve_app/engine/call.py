"""One order while it is being made: its fiber, how far it is, what it waits for."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from serve_app.engine import preview
from serve_app.engine.aside import Aside
from serve_app.engine.cast import Actor
from serve_app.engine.fiber import Fiber
from serve_app.engine.forward import Forward
from serve_app.engine.order import Made, Order, Step, Ticket
from serve_app.engine.policy import Candidate
from serve_app.errors import Stopped


class Call:
    """An order in the engine. Everything but `ticket` belongs to the tick's thread."""

    def __init__(self, order: Order, ticket: Ticket) -> None:
        self.order = order
        self.ticket = ticket
        self.arrived = time.monotonic()
        #: What the fiber is parked with; None before it starts and after it ends.
        self.waiting: Forward | Aside | None = None
        self.step = 0
        self.total = order.steps
        self.forwards = 0
        self._fiber: Fiber | None = None
        self._actor: Actor | None = None
        #: What whole-request batching compares; the same for the whole call.
        self._likeness: tuple[Any, ...] | None = None
        self._timings: dict[str, float] = {}
        self._stage, self._since = "queue", time.perf_counter()

    def start(self, actor: Actor) -> None:
        """Run the pipeline to its first park."""
        self._actor = actor
        self.begin("encode")
        actor.watch.after = self._after_step
        self._fiber = Fiber(lambda: actor.pipeline(**self.order.arguments))
        self.waiting = self._fiber.resume()

    def resume(self, answer: Any) -> None:
        """Go on with what the call waited for."""
        assert self._fiber is not None  # only a started call waits
        self.waiting = self._fiber.resume(answer)

    def throw(self, error: BaseException) -> None:
        """Unwind the call with `error`; it may catch it and go on."""
        if self._fiber is None:
            raise error
        self.waiting = self._fiber.throw(error)

    @property
    def forward(self) -> Forward:
        """The forward that it waits for."""
        assert isinstance(self.waiting, Forward)  # the tick asks no others
        return self.waiting

    @property
    def is_done(self) -> bool:
        """Whether the pipeline has returned."""
        return self._fiber is not None and self._fiber.is_done

    def made(self, output: Any = None, *, was_exclusive: bool = False) -> Made:
        """The result, with the time that each stage took."""
        self.begin("done")
        if self._fiber is not None:
            output = self._fiber.result
        return Made(output=output, timings=self._timings, was_exclusive=was_exclusive)

    def end(self) -> None:
        """Let go of all that it was made with, at once: most of it is on the device."""
        self.waiting = None
        if self._actor is not None:
            self._actor.watch.close()
            self._actor = None

    def arguments(self) -> dict[str, Any]:
        """Of a pipeline that nobody watches, with our own callback after each step."""
        return dict(self.order.arguments) | {"callback_on_step_end": self._call_back}

    def preview(self) -> Aside | None:
        """The decoding of what it shows so far; None before its first step."""
        actor = self._actor
        if actor is None:
            return None
        clean = actor.watch.clean()
        return preview.aside(actor.pipeline, clean, self.order.arguments, actor.vae_lock)

    def begin(self, stage: str) -> None:
        """A new stage: close the last one's clock, tell the listener."""
        if stage == self._stage:
            return
        now = time.perf_counter()
        spent = self._timings.get(f"{self._stage}_s", 0.0) + now - self._since
        self._timings[f"{self._stage}_s"] = round(spent, 4)
        self._stage, self._since = stage, now
        if self.order.listener is not None and stage != "done":
            self.order.listener(stage, None)

    def candidate(self, now: float, step_s: Callable[[int], float]) -> Candidate:
        """What the policy should know of it, by the seconds of a step of so many rows.

        Only while it waits for a forward.
        """
        order, remaining = self.order, max(1, self.total - self.step)
        rows = self.forward.rows
        slack = None
        if order.deadline is not None:
            slack = order.deadline - now - remaining * step_s(rows)
        if self._likeness is None:
            self._likeness = _likeness(order.pipeline, order.arguments, rows)
        return Candidate(
            rows=rows,
            remaining=remaining,
            waited_s=now - self.arrived,
            priority=order.priority,
            slack_s=slack,
            is_started=self.forwards > 0,
            likeness=self._likeness,
        )

    def _call_back(
        self, pipeline: Any, index: int, _: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        self._stepped(index + 1, pipeline)
        return tensors

    def _after_step(self) -> None:
        assert self._actor is not None  # whose scheduler has made the step
        self._stepped(self.step + 1, self._actor.pipeline)

    def _stepped(self, step: int, pipeline: Any) -> None:
        if self.ticket.is_canceled:
            raise Stopped
        self.step, self.total = step, getattr(pipeline, "num_timesteps", self.total)
        if self.order.listener is not None:
            self.order.listener("denoise", Step(step=step, total=self.total))


def _likeness(pipeline: Any, arguments: Mapping[str, Any], rows: int) -> tuple[Any, ...]:
    names = ("num_inference_steps", "guidance_scale", "strength", "height", "width")
    scheduler = type(pipeline.scheduler).__name__
    return (type(pipeline).__name__, scheduler, rows, *(arguments.get(name) for name in names))
