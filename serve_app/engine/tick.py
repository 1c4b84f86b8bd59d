"""One step for some of the waiting calls: choose, run one forward, hand back."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from serve_app.engine import forward, memory
from serve_app.engine.call import Call
from serve_app.engine.compiled import Compiled, bucket
from serve_app.engine.forward import Forward, Key
from serve_app.engine.policy import Fifo, Policy, ShortestFirst, WholeRequests, all_fit
from serve_app.engine.step_time import MAX_ROWS, StepTime
from serve_app.engine.turns import Turns
from serve_app.errors import OutOfMemory

#: Rows of every forward that a deterministic call is in: a fixed number means the same kernels
#: and the same bits, whoever shares it. More than most calls need, less than hurts.
DETERMINISTIC_ROWS = 8

#: What a call gets: its part of the forward's output, or why there is none.
Outcome = tuple[Call, Any]


class Tick:
    """Chooses and runs forwards; keeps what it learnt of their times."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.compiled = Compiled()
        self._turns: Turns[Key] = Turns()
        self._times: dict[Key, StepTime] = {}
        #: Seconds of all forwards so far.
        self.busy_s = 0.0
        #: Lowered for all keys when the device was out of memory.
        self._max_rows = MAX_ROWS

    def step(self, calls: Iterable[Call]) -> list[Outcome]:
        """Run one forward for some of those that wait for one; nothing if nobody does."""
        groups: dict[Key, list[Call]] = defaultdict(list)
        for call in calls:
            if isinstance(call.waiting, Forward):
                groups[call.waiting.key].append(call)
        if not groups:
            return []
        key = self._key(groups)
        chosen = self._chosen(key, groups[key])
        started = time.perf_counter()
        outcomes = self._run(key, chosen)
        seconds = time.perf_counter() - started
        self._turns.used(key, seconds)
        self.busy_s += seconds
        return outcomes

    @property
    def row_step_s(self) -> float:
        """Seconds that one row takes in one step, over all keys of late; 0 before the first."""
        known = [t.seconds(rows) / rows for t in self._times.values() if (rows := t.usual_rows)]
        return sum(known) / len(known) if known else 0.0

    def _key(self, groups: dict[Key, list[Call]]) -> Key:
        if isinstance(self._policy, Fifo | WholeRequests):
            # To the end with what has begun: the baselines know no turns.
            calls = [call for group in groups.values() for call in group]
            first = min(calls, key=lambda call: (call.forwards == 0, call.arrived))
            assert isinstance(first.waiting, Forward)
            return first.waiting.key
        if len(groups) == 1:
            return self._turns.next(list(groups))
        now = time.monotonic()
        ranks = {
            key: min(call.candidate(now, lambda _: 0.0).rank for call in group)
            for key, group in groups.items()
        }
        best = min(ranks.values())
        return self._turns.next([key for key, rank in ranks.items() if rank == best])

    def _chosen(self, key: Key, group: Sequence[Call]) -> list[Call]:
        times = self._times_of(key)
        if self._is_open(group) and all_fit([call.forward.rows for call in group], times.allows):
            return list(group)
        now = time.monotonic()
        candidates = [call.candidate(now, times.seconds) for call in group]
        chosen = [group[i] for i in self._policy.choose(candidates, times.allows)]
        return _with_deterministic(chosen)

    def _is_open(self, group: Sequence[Call]) -> bool:
        """Whether all that fit may come along, in any order."""
        is_choosy = any(call.order.deterministic for call in group)
        return isinstance(self._policy, ShortestFirst) and not is_choosy

    def _run(self, key: Key, chosen: list[Call]) -> list[Outcome]:
        """The forward. If it fails, find out whose fault it is before anybody fails."""
        rows = sum(call.forward.rows for call in chosen)
        twin = self.compiled.of(chosen[0].forward)
        to_rows = DETERMINISTIC_ROWS if chosen[0].order.deterministic else 0
        if twin is not None:
            to_rows = bucket(max(rows, to_rows))
        rows = max(rows, to_rows)
        started = time.perf_counter()
        try:
            outputs = forward.run([call.forward for call in chosen], to_rows=to_rows, module=twin)
        # The denoiser is code of others.
        except Exception as error:  # noqa: BLE001
            return self._after_failure(key, chosen, rows, error)
        self._times_of(key).measured(rows, _synchronised(outputs, started))
        for call in chosen:
            call.forwards += 1
        return list(zip(chosen, outputs, strict=True))

    def _after_failure(
        self, key: Key, chosen: list[Call], rows: int, error: Exception
    ) -> list[Outcome]:
        no_memory = memory.is_out_of_memory(error)
        if no_memory:
            memory.release()
            self._max_rows = max(1, min(self._max_rows, rows) // 2)
            for times in self._times.values():
                times.limit(self._max_rows)
        if len(chosen) == 1:
            return [(chosen[0], OutOfMemory(str(error)) if no_memory else error)]
        # Each half by itself: the one at fault is alone in the end, the others go on.
        middle = len(chosen) // 2
        return self._run(key, chosen[:middle]) + self._run(key, chosen[middle:])

    def _times_of(self, key: Key) -> StepTime:
        if key not in self._times:
            self._times[key] = StepTime(self._max_rows)
        return self._times[key]


def _with_deterministic(chosen: list[Call]) -> list[Call]:
    """If one of them is deterministic: it first, and company only as far as the rows go."""
    fixed = next((call for call in chosen if call.order.deterministic), None)
    if fixed is None:
        return chosen
    kept, rows = [fixed], fixed.forward.rows
    for call in chosen:
        if not call.order.deterministic and rows + call.forward.rows <= DETERMINISTIC_ROWS:
            kept.append(call)
            rows += call.forward.rows
    return kept


def _synchronised(outputs: Sequence[Any], started: float) -> float:
    """Seconds since `started`, once the device has done it: a launch alone says nothing."""
    first = outputs[0]
    while not isinstance(first, torch.Tensor):
        first = first[0]
    if first.is_cuda:
        torch.cuda.synchronize(first.device)
    return time.perf_counter() - started
