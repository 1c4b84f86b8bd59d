"""Steps in order, skipped where done, gone on with after being killed at any boundary."""

import subprocess

import botocore.exceptions
import httpx
import pytest

from darkroom.deploy.errors import DeployError, StepFailed
from darkroom.deploy.journal import Journal
from darkroom.deploy.runner import run
from darkroom.deploy.step import Standing, Undoing
from records.errors import translated

AGAIN = "darkroom deploy --name demo"


class Killed(BaseException):
    """Nothing after it runs, as with SIGKILL."""


class World:
    """What steps make, and the moment at which the process that makes it is killed."""

    def __init__(self):
        self.made = []
        self.moments = 0
        self.dies_at = None

    def moment(self):
        """A boundary."""
        self.moments += 1
        if self.moments == self.dies_at:
            raise Killed


class Piece:
    """A step that makes one thing in two halves."""

    takes = "no time"

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.applied = 0

    def check(self):
        self.world.moment()
        return Standing(done=self.name in self.world.made, says="there")

    def apply(self):
        self.world.moment()
        self.applied += 1
        if f"half {self.name}" not in self.world.made:
            self.world.made.append(f"half {self.name}")
        self.world.moment()
        self.world.made.remove(f"half {self.name}")
        self.world.made.append(self.name)
        self.world.moment()

    def undo(self):
        self.world.moment()
        self.world.made = [made for made in self.world.made if not made.endswith(self.name)]
        self.world.moment()


@pytest.fixture
def journal(tmp_path):
    """A journal of its own."""
    return Journal(tmp_path / "deploy.log")


def pieces(world):
    return [Piece(world, name) for name in ("bucket", "cluster", "pods")]


def test_steps_run_in_order(journal):
    """Each after the one before it."""
    world = World()
    run(pieces(world), journal, again=AGAIN)
    assert world.made == ["bucket", "cluster", "pods"]


def test_what_check_finds_done_is_skipped(journal):
    """And said so."""
    world = World()
    world.made = ["bucket"]
    steps = pieces(world)
    run(steps, journal, again=AGAIN)
    assert [step.applied for step in steps] == [0, 1, 1]
    assert "[1/3] bucket: there" in journal.path.read_text()


@pytest.mark.parametrize("moment", range(1, 13))
def test_a_run_that_is_killed_at_any_boundary_converges_when_run_again(moment, tmp_path):
    """Twelve boundaries: before, within and after each step."""
    world = World()
    world.dies_at = moment
    with pytest.raises(Killed):
        run(pieces(world), Journal(tmp_path / "log"), again=AGAIN)
    run(pieces(world), Journal(tmp_path / "log"), again=AGAIN)
    assert world.made == ["bucket", "cluster", "pods"]


@pytest.mark.parametrize("moment", range(1, 7))
def test_a_removal_that_is_killed_at_any_boundary_converges_when_run_again(moment, tmp_path):
    """The same steps, turned round."""
    world = World()
    world.made = ["bucket", "half cluster", "pods"]
    world.dies_at = moment
    removal = [Undoing(step) for step in reversed(pieces(world))]
    with pytest.raises(Killed):
        run(removal, Journal(tmp_path / "log"), again=AGAIN)
    run(removal, Journal(tmp_path / "log"), again=AGAIN)
    assert world.made == []


def test_a_failure_names_the_step_the_cause_and_the_command_that_goes_on(journal):
    """What a person needs who was not watching."""

    class Failing(Piece):
        def apply(self):
            raise DeployError("no address is left in the VPC")

    world = World()
    with pytest.raises(StepFailed) as failed:
        run([Piece(world, "bucket"), Failing(world, "cluster")], journal, again=AGAIN)
    text = str(failed.value)
    assert "[2/2] cluster" in text
    assert "no address is left in the VPC" in text
    assert AGAIN in text
    assert str(journal.path) in text
    assert "no address is left" in journal.path.read_text()


def test_ctrl_c_says_how_to_go_on_and_stays_ctrl_c(journal):
    """The shell has to see it."""

    class Interrupted(Piece):
        def apply(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([Interrupted(World(), "cluster")], journal, again=AGAIN)
    assert f"stopped. To go on: {AGAIN}" in journal.path.read_text()


def _refused():
    request = httpx.Request("GET", "https://bucket.example.org/image?X-Amz-Signature=secret")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(403, request=request))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectError("no route to host"), "no route to host"),
        (_refused(), "bucket.example.org answers 403"),
        (subprocess.CalledProcessError(1, ["/usr/bin/pip", "install"]), "pip ended with 1"),
        (subprocess.TimeoutExpired(["kubectl", "get"], 10), "kubectl has not ended within 10 s"),
    ],
)
def test_what_a_library_raises_is_the_cause_of_a_failed_step(journal, error, said):
    """Nobody at a terminal reads a traceback; no permission is in what he reads."""

    class Failing(Piece):
        def apply(self):
            raise error

    with pytest.raises(StepFailed, match=said) as failed:
        run([Failing(World(), "cluster")], journal, again=AGAIN)
    assert "Signature" not in str(failed.value)


def test_a_defect_of_ours_is_not_dressed_up_as_a_failed_step(journal):
    """It shows where it is."""

    class Wrong(Piece):
        def apply(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run([Wrong(World(), "cluster")], journal, again=AGAIN)


def test_what_aws_said_is_shown_in_short_and_is_in_the_log_whole(journal):
    """The code alone, InvalidParameterValue, does not tell which parameter."""
    message = "Value (a) for parameter subnetId is invalid. " + "x" * 1000

    class Refused(Piece):
        def check(self):
            answer = {"Error": {"Code": "InvalidParameterValue", "Message": message}}
            with translated("EC2, the builder"):
                raise botocore.exceptions.ClientError(answer, "RunInstances")

    with pytest.raises(StepFailed) as raised:
        run([Refused(World(), "cluster")], journal, again=AGAIN)
    short = (
        "EC2, the builder, RunInstances: InvalidParameterValue: Value (a) for parameter subnetId"
    )
    assert short in str(raised.value)
    assert "x" * 1000 not in str(raised.value)
    assert message in journal.path.read_text()
