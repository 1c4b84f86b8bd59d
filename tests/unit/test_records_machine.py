"""Every interleaving of a job's transitions, as far as Hypothesis looks: one end, told one way."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from jobs.inputs import TextToImage
from jobs.job import Job
from jobs.outcome import Outcome
from jobs.status import EDGES, TERMINAL, Status
from jobs.uid import new_uid
from records.accept import accept
from records.announce import announce
from records.errors import LeaseLost
from records.finish import cancel, finish
from records.lease import Ended, Lease, Position, lease, release, start, tick
from records.memory import MemoryQueue, MemoryStore, MemoryTable, MemoryTopic
from records.record import Record, job_key
from records.sweep import Sweeper
from records.table import Change, Item

LEASE_MS = 1000
RETENTION_MS = 20_000


class LosesAnswers(MemoryTable):
    """A table whose next write is done, and tried again as the SDK does when no answer came."""

    lose_next = False

    def update(self, key: str, change: Change) -> Item:
        if self.lose_next:
            self.lose_next = False
            super().update(key, change)
        return super().update(key, change)


class Lifecycle(RuleBasedStateMachine):
    """One job; any number of owners that live, die, or come back late; a clock."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000_000
        self.table = LosesAnswers()
        self.notices = MemoryTopic()
        self.sweeper = Sweeper(
            table=self.table,
            store=MemoryStore(),
            jobs=MemoryTopic(),
            notices=self.notices,
            webhooks=MemoryQueue(),
            retention_ms=RETENTION_MS,
        )
        self.job = Job(
            uid=(uid := new_uid()),
            id=uid,
            runtime="demo",
            model="tiny",
            input=TextToImage(prompt="a lighthouse"),
            prefix="default",
            created_at=datetime.fromtimestamp(self.now / 1000, UTC),
        )
        accept(
            self.table,
            self.sweeper.store,
            self.job,
            fingerprint="f",
            republish_at=self.now + RETENTION_MS,
        )
        self.names = 0
        self.status = Status.QUEUED
        self.attempt = 0
        self.end: Record | None = None
        self.winners: list[str] = []
        #: Whoever was given the lease last; only this one may write.
        self.owner: str | None = None

    def record(self) -> Record:
        item = self.table.get(job_key(self.job.uid))
        assert item is not None
        return Record.from_item(item)

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    @rule(milliseconds=st.sampled_from([1, 300, LEASE_MS + 1, 15_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.now += milliseconds

    @rule()
    def an_answer_will_be_lost(self) -> None:
        self.table.lose_next = True

    @rule(target=leases)
    def a_bridge_leases(self) -> Any:
        owner, before = self.name(), self.record()
        found = lease(
            self.table, self.job.uid, owner=owner, now_ms=self.now, until_ms=self.now + LEASE_MS
        )
        if isinstance(found, Ended):
            assert before.ended
        if not isinstance(found, Lease):
            return multiple()
        # Nobody is robbed: a lease that is still good is never given to another.
        assert before.status is Status.QUEUED or before.lease_until < self.now
        self.owner = owner
        return found

    @rule(target=leases)
    def a_bridge_takes_over(self) -> Any:
        """The way to two who both believe that they have the job, which chance finds rarely."""
        self.now += LEASE_MS + 1
        return self.a_bridge_leases()

    @rule(target=leases, held=consumes(leases))
    def serve_accepts(self, held: Lease) -> Any:
        try:
            grown = start(self.table, held, now_ms=self.now, until_ms=self.now + LEASE_MS)
        except LeaseLost:
            return multiple()
        assert held.owner == self.owner
        return grown

    @rule(held=leases)
    def it_ticks(self, held: Lease) -> None:
        try:
            asked = tick(self.table, held, Position(step=1), until_ms=self.now + LEASE_MS)
        except LeaseLost:
            return
        assert held.owner == self.owner
        assert asked == self.record().cancel_requested

    @rule(held=consumes(leases))
    def it_releases(self, held: Lease) -> None:
        before = self.record()
        release(self.table, held)
        assert held.owner == self.owner or self.record() == before

    @rule(held=leases, status=st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELED]))
    def it_ends_the_job(self, held: Lease, status: Status) -> None:
        asked = self.record().cancel_requested
        try:
            done = finish(
                self.table,
                held.uid,
                Outcome(status=status),
                by=held,
                nonce=self.name(),
                now_ms=self.now,
            )
        except LeaseLost:
            return
        if done.won:
            assert held.owner == self.owner
            self.winners.append(held.owner)
            assert done.record.status is (Status.CANCELED if asked else status)

    @rule()
    def the_client_cancels(self) -> None:
        done = cancel(self.table, self.job.uid, nonce=self.name(), now_ms=self.now)
        if done.won:
            self.winners.append("client")

    @rule()
    def it_is_swept(self) -> None:
        if self.sweeper.sweep(now_ms=self.now).expired:
            self.winners.append("sweeper")

    @rule()
    def its_end_is_announced(self) -> None:
        record = self.record()
        if record.ended:
            announce(self.table, self.notices, record, bucket="b", now_ms=self.now)

    @invariant()
    def every_step_is_an_edge(self) -> None:
        record = self.record()
        # One rule may pass several edges: a sweep leases and ends.
        seen, reach = set(), {self.status}
        while reach - seen:
            seen |= reach
            reach |= {target for source in seen for target in EDGES[source]}
        assert record.status in reach
        self.status = record.status

    @invariant()
    def attempts_only_grow(self) -> None:
        attempt = self.record().attempt
        assert attempt >= self.attempt
        self.attempt = attempt

    @invariant()
    def an_end_is_for_good(self) -> None:
        record = self.record()
        assert len(self.winners) <= 1
        if self.end is not None:
            assert record.status is self.end.status
            assert record.outcome == self.end.outcome
            assert record.nonce == self.end.nonce
            assert record.lease_owner is None
        if record.ended:
            self.end = record

    @invariant()
    def notices_tell_of_one_end(self) -> None:
        events = {notice["job"]["event_id"] for notice in self.notices.bodies()}
        assert len(events) <= 1
        if events:
            assert self.end is not None
            assert events == {f"{self.job.uid}:{self.end.status}"}

    def teardown(self) -> None:
        """Whatever has happened: time alone ends the job, and tells of it."""
        for _ in range(6):
            self.now += RETENTION_MS + 60_001
            self.sweeper.sweep(now_ms=self.now)
        record = self.record()
        assert record.status in TERMINAL
        assert record.notified_at is not None


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
