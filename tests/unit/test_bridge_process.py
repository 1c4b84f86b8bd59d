"""What the bridge makes of a message when all goes well, and of its duplicates."""

import hashlib
import json

from bridge_bench import failing, message

from bridge.scripted import Hold, success
from bridge.verdict import Done, Leave, Release
from jobs.keys import request_key
from jobs.message import Message, Reference
from jobs.samples import sample_request
from jobs.status import Status
from jobs.stream import Accepted
from records.accept import find
from records.clock import now_ms
from records.lease import lease


class TestSuccess:
    def test_a_job_is_generated_uploaded_recorded_announced_and_deleted(self, bench, make_job):
        """The whole way of a job that goes well."""
        at, job = bench(success(images=2)), make_job()
        at.accept(job)

        assert at.process(message(job)) == Done()

        record = at.record(job.uid)
        assert record.status is Status.SUCCEEDED
        assert record.attempt == 1
        assert record.notified_at is not None
        assert record.outcome is not None
        for number, output in enumerate(record.outcome.outputs, start=1):
            assert output.key.startswith(f"default/{job.id}/{job.id}-")
            assert output.key.endswith(f"-{number}.png")
            assert at.store.get(output.key)
        document = json.loads(at.store.get(record.outcome.document_key or ""))
        assert document["input"]["seed"] == job.seed
        (notice,) = at.notices.bodies()
        assert notice["result"] is True
        assert notice["image_url"] == [f"s3://memory/{o.key}" for o in record.outcome.outputs]

    def test_a_message_by_reference_is_read_from_the_bucket(self, bench, make_job):
        """A job too large for a message lies in the bucket."""
        at, job = bench(), make_job()
        at.accept(job)
        at.store.put(request_key(job.uid), job.encode(), media_type="application/json")
        digest = hashlib.sha256(job.encode()).hexdigest()
        reference = Reference(key=request_key(job.uid), sha256=digest)

        assert at.process(Message(uid=job.uid, reference=reference).encode()) == Done()
        assert at.record(job.uid).status is Status.SUCCEEDED

    def test_a_changed_object_is_not_generated_but_ends_the_job(self, bench, make_job):
        """Bytes that are not those referred to are somebody else's."""
        at, job = bench(), make_job()
        at.accept(job)
        at.store.put(request_key(job.uid), b"{}", media_type="application/json")
        reference = Reference(key=request_key(job.uid), sha256="0" * 64)

        assert at.process(Message(uid=job.uid, reference=reference).encode()) == Done()
        assert at.record(job.uid).status is Status.FAILED
        assert at.serve.posted == []
        assert len(at.notices.published) == 1

    def test_a_message_without_a_record_is_accepted_once_for_all_its_deliveries(self, bench):
        """Sent straight to the topic: the uid comes from SNS's message id."""
        at = bench()
        envelope = json.dumps(
            {
                "Type": "Notification",
                "MessageId": "11111111-2222-3333-4444-555555555555",
                "Timestamp": "2026-11-21T03:00:00.000Z",
                "Message": json.dumps(sample_request()),
            }
        )

        assert at.process(envelope) == Done()
        assert at.process(envelope) == Done()

        assert len(at.serve.posted) == 1
        uid = str(at.serve.posted[0]["uid"])
        assert at.record(uid).status is Status.SUCCEEDED
        assert find(at.table, tenant="default", name=uid, family="topic") is not None

    def test_an_id_may_be_used_again_by_those_who_send_past_the_api(self, bench):
        """Nobody could tell them that it is taken: each message is a job."""
        at = bench()
        body = json.dumps({**sample_request(), "id": "again"})

        assert at.process(body) == Done()
        assert at.process(body) == Done()

        assert [posted["id"] for posted in at.serve.posted] == ["again", "again"]
        assert len(at.notices.published) == 2

    def test_a_job_that_has_ended_is_announced_if_need_be_and_not_generated_again(
        self, bench, make_job
    ):
        """A crash between recording and announcing is made good by the next delivery."""
        at, job = bench(), make_job()
        at.accept(job)
        with failing(at.notices, "publish"):
            verdict = at.process(message(job))
        assert isinstance(verdict, Release)
        assert at.record(job.uid).notified_at is None

        assert at.process(message(job)) == Done()
        assert at.process(message(job)) == Done()

        assert len(at.serve.posted) == 1
        assert len(at.notices.published) == 1


class TestDuplicates:
    def test_a_second_delivery_is_released_until_the_first_owner_is_done(self, bench, make_job):
        """Two copies of a message never run side by side."""
        at, job = bench(), make_job()
        at.accept(job)
        now = now_ms()
        lease(at.table, job.uid, owner="other", now_ms=now, until_ms=now + 20_000)

        verdict = at.process(message(job))

        assert isinstance(verdict, Release)
        assert 15 < verdict.delay_s <= 20
        assert at.serve.posted == []

    def test_an_owner_whose_lease_ran_out_leaves_everything_as_it_is(
        self, bench, make_job, fast_ticks
    ):
        """The new owner's record and message are not touched by the old one."""
        hold = Hold()
        at, job = bench([Accepted(replica="r"), hold]), make_job()
        at.accept(job)

        def take_over() -> None:
            later = now_ms() + 3_600_000
            lease(at.table, job.uid, owner="other", now_ms=later, until_ms=later + 30_000)

        assert at.process(message(job), meanwhile=take_over) == Leave()
        record = at.record(job.uid)
        assert record.lease_owner == "other"
        assert record.status is Status.STARTING
        assert at.serve.closed_early == 1
