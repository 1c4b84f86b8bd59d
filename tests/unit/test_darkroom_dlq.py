"""Parked messages: looked at, replayed as new jobs, thrown away."""

import json

import pytest

from darkroom import cli
from darkroom.errors import NoStack, NothingParked, NotReplayable
from darkroom.parked import chosen, parked, replay
from darkroom.parking import Parking
from darkroom.state import write_state
from jobs.message import Message
from jobs.outcome import Outcome
from jobs.samples import sample_request
from jobs.status import ErrorCode, Status
from records.accept import accept
from records.clock import now_ms
from records.finish import finish
from records.lease import lease
from records.memory import MemoryQueue, MemoryStore, MemoryTable, MemoryTopic
from records.parked import park
from records.record import Record, job_key


@pytest.fixture
def on(queue) -> Parking:
    """An installation in memory."""
    return Parking(
        parked=MemoryQueue(),
        table=MemoryTable(),
        store=MemoryStore(),
        jobs=MemoryTopic([(queue, {"runtime": ["demo"]})]),
        retention_s=1000,
    )


@pytest.fixture
def dead(on, make_job):
    """A function that makes a job that was dead-lettered and parked."""

    def made(**changed):
        job = make_job(**changed)
        now = now_ms()
        accept(on.table, on.store, job, fingerprint="f", republish_at=now + 10**6)
        held = lease(on.table, job.uid, owner="o", now_ms=now, until_ms=now + 1000)
        outcome = Outcome.failed(ErrorCode.DEAD_LETTERED, "gave up")
        finish(on.table, job.uid, outcome, by=held, nonce="n", now_ms=now)
        park(on.parked, Message(uid=job.uid, job=job).encode(), reason="gave up", uid=job.uid)
        return job

    return made


def record(on, uid) -> Record:
    return Record.from_item(on.table.get(job_key(uid)))


def test_a_replay_is_a_new_job_and_the_old_one_stays_failed(on, dead, queue):
    """A terminal state is written once; the new job says whose place it takes."""
    old = dead(id="mine", metadata={"a": "b"}, deadline="2100-01-01T00:00:00Z")
    with parked(on) as [message]:
        uid = replay(on, message)

    assert uid != old.uid
    new = record(on, uid)
    assert (new.status, new.retry_of, new.id) == (Status.QUEUED, old.uid, uid)
    assert (new.metadata, new.deadline) == ({"a": "b"}, None)
    assert new.published_at is not None
    assert record(on, old.uid).status is Status.FAILED
    [delivery] = queue.receive(limit=10, wait_s=0)
    assert Message.decode(delivery.body).job.retry_of == old.uid
    assert on.parked.depth() == (0, 0)


def test_a_replay_that_was_killed_is_the_same_job_when_it_is_begun_again(on, dead):
    """So is a second copy of the same message."""
    old = dead()
    park(on.parked, "a copy", reason="gave up", uid=old.uid)
    with parked(on) as [one, two]:
        assert replay(on, one) == replay(on, two)


def test_what_is_only_looked_at_stays(on, dead):
    """And others can look at it too."""
    dead()
    with parked(on) as found:
        assert len(found) == 1
        assert on.parked.depth() == (0, 1)
    assert on.parked.depth() == (1, 0)


def test_a_message_is_chosen_by_its_job_or_its_own_id(on, dead):
    """A name that is not there is said, not passed over."""
    job = dead()
    park(on.parked, "{", reason="not JSON")
    with parked(on) as found:
        assert [each.uid for each in chosen(found, [job.uid], everything=False)] == [job.uid]
        [poison] = [each for each in found if each.uid is None]
        assert chosen(found, [poison.name], everything=False) == [poison]
        assert len(chosen(found, [], everything=True)) == 2
        with pytest.raises(NothingParked, match="nosuch"):
            chosen(found, ["nosuch"], everything=False)


def test_poison_that_this_release_can_read_is_sent_again(on, queue):
    """Its model was not rolled out then, say."""
    park(on.parked, json.dumps(sample_request() | {"runtime": "demo"}), reason="UnknownModel")
    with parked(on) as [message]:
        replay(on, message)
    [delivery] = queue.receive(limit=10, wait_s=0)
    assert json.loads(delivery.body)["runtime"] == "demo"


@pytest.mark.parametrize("body", ["not json", "{}", json.dumps(sample_request())])
def test_poison_that_stays_poison_is_not_replayed(on, body):
    """It stays parked, and the message says what to do."""
    park(on.parked, body, reason="InvalidJob")
    with parked(on) as [message], pytest.raises(NotReplayable, match="purge"):
        replay(on, message)
    assert on.parked.depth() == (1, 0)


class TestCommands:
    @pytest.fixture
    def run(self, on, monkeypatch, capsys):
        """A function that runs a command line on the installation; (status, document)."""
        monkeypatch.setattr(Parking, "find", lambda *_: on)

        def ran(*arguments):
            status = cli.run(["dlq", *arguments, "--json"])
            out = capsys.readouterr().out
            return status, json.loads(out) if out else None

        return ran

    def test_list_show_replay_and_purge(self, run, dead, on):
        """Each prints one document."""
        first, second = dead(), dead()
        status, shown = run("list")
        assert (status, [each["uid"] for each in shown]) == (0, [first.uid, second.uid])
        assert shown[0]["reason"] == "gave up"
        assert first.uid in run("show", first.uid)[1]["body"]
        status, made = run("replay", first.uid)
        assert record(on, made[first.uid]).retry_of == first.uid
        assert run("purge", "--all") == (0, {"purged": [second.uid]})
        assert run("list") == (0, [])

    def test_a_name_that_is_not_parked_is_a_command_that_could_not_run(self, run):
        """Exit status 2, as everywhere."""
        assert run("show", "nosuch")[0] == 2


def test_the_stack_that_is_up_is_found_by_its_state(tmp_path, monkeypatch):
    """Where no variable names an installation."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoStack, match="darkroom up"):
        Parking.find(None, {})
    operator = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "DARKROOM_JOB_TABLE": "jobs",
        "DARKROOM_BUCKET": "outputs",
        "DARKROOM_JOBS_TOPIC_ARN": "arn:aws:sns:us-east-1:0:jobs",
    }
    write_state({"operator": operator, "parked": {"demo": "http://127.0.0.1:1/0/parked"}})
    assert Parking.find("demo", {}).store.bucket == "outputs"
    with pytest.raises(NoStack, match="nosuch"):
        Parking.find("nosuch", {})
