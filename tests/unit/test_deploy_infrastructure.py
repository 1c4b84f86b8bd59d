"""What is asked of Terraform when an installation is taken away, and in which order."""

import functools
import json
import re
from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.errors import ProgramFailed, WouldDestroy
from darkroom.deploy.infrastructure import Infrastructure
from darkroom.deploy.memory import Memory, Recalled
from darkroom.deploy.program import Programs
from darkroom.deploy.terraform import Backend
from darkroom.deploy.terraform import Terraform as RealTerraform
from darkroom.deploy.wanted import Vpc, Wanted

STATE = [
    "data.aws_region.current",
    'aws_s3_bucket.this["outputs"]',
    'aws_s3_bucket_policy.tls_only["outputs"]',
    'aws_dynamodb_table.this["jobs"]',
    'aws_ecr_repository.this["ui"]',
    "aws_vpc.this[0]",
]
DATA = STATE[1:4]


def plan_of(**addresses):
    """What Terraform shows of a plan: action, several joined by `_`, -> what is to suffer it."""
    return {
        "resource_changes": [
            {"address": address, "change": {"actions": actions.split("_")}}
            for actions, all_of_it in addresses.items()
            for address in all_of_it
        ]
    }


class Terraform:
    """A state that loses what a plan of destruction aims at, and whatever hangs on that."""

    def __init__(self, module, state=STATE, hanging=()):
        self.module, self.state, self.hanging = module, list(state), list(hanging)
        self.plans, self.unlocked = [], []
        self.going = []

    def init(self):
        pass

    def unlock(self, lock):
        self.unlocked.append(lock)

    def plan(self, *more):
        self.plans.append(more)
        targets = [each.removeprefix("-target=") for each in more if each.startswith("-target=")]
        self.going = []
        if "-destroy" in more:
            self.going = [*targets, *self.hanging] if targets else list(self.state)
        return True

    def planned(self):
        return plan_of(delete=self.going)

    def apply(self):
        self.state = [each for each in self.state if each not in self.going]

    def addresses(self):
        return list(self.state)

    def known(self):
        return set()

    def outputs(self):
        return "{}"


@pytest.fixture
def step(tmp_path):
    """The step, on a state of its own."""

    def made(*, delete_data, **state):
        return Infrastructure(
            terraform=Terraform(tmp_path, **state),
            connect=functools.partial(boto3.client, region_name="us-east-1"),
            installation="demo",
            outputs=tmp_path / "outputs.json",
            package=lambda: None,
            say=lambda text: None,
            delete_data=delete_data,
        )

    return made


def test_data_stay_in_the_state_and_all_else_goes(step):
    """So that a later deploy goes on with the same buckets and tables."""
    removal = step(delete_data=False)
    removal.undo()
    assert removal.terraform.state == [STATE[0], *DATA]


def test_what_is_only_read_is_never_aimed_at(step):
    """Terraform would destroy everything that has read it, the data among it."""
    removal = step(delete_data=False)
    removal.undo()
    assert not any("-target=data." in word for plan in removal.terraform.plans for word in plan)


def test_a_removal_that_finds_only_data_leaves_them(step):
    """A destruction without a target would be one of everything."""
    removal = step(delete_data=False, state=[STATE[0], *DATA])
    removal.undo()
    removal.undo()
    assert removal.terraform.state == [STATE[0], *DATA]
    assert removal.terraform.plans == []


def test_data_that_would_go_with_something_else_stop_the_removal(step):
    """Terraform destroys what depends on a target, too."""
    removal = step(delete_data=False, hanging=[DATA[1]])
    with pytest.raises(ProgramFailed, match="nothing was destroyed"):
        removal.undo()
    assert removal.terraform.state == STATE


def test_with_the_data_nothing_is_left(step):
    """What is full or protected is made deletable first."""
    removal = step(delete_data=True)
    removal.undo()
    assert removal.terraform.state == []
    aimed = {word for word in removal.terraform.plans[0] if word.startswith("-target=")}
    assert aimed == {f"-target={each}" for each in (STATE[1], STATE[3], STATE[4])}


GUARDED = [
    "aws_vpc.this[0]",
    "aws_eks_cluster.this",
    "aws_eks_node_group.system",
    'aws_s3_bucket.this["outputs"]',
    'aws_dynamodb_table.this["jobs"]',
]


def going(step, plan, **changed):
    """The step whose Terraform has made such a plan."""
    making = replace(step(delete_data=False), **changed)
    making.terraform.planned = lambda: plan
    return making


def test_what_a_plan_comes_to_is_said_and_what_goes_is_named(step):
    """Before it is applied; what is only read or stays as it is does not count."""
    said = []
    plan = plan_of(
        create=["aws_sns_topic.new", "aws_sns_topic.other"],
        update=["aws_iam_role.this"],
        delete=["aws_lb.this[0]"],
        delete_create=["aws_launch_template.system"],
        read=["data.aws_region.current"],
    )
    plan["resource_changes"] += plan_of(**{"no-op": GUARDED})["resource_changes"]
    assert not going(step, plan, say=said.append).check().done
    assert said == [
        "Terraform: 2 to add, 1 to change, 1 to replace, 1 to destroy",
        "replaced: aws_launch_template.system",
        "destroyed: aws_lb.this[0]",
    ]


@pytest.mark.parametrize("actions", ["delete", "delete_create", "create_delete"])
@pytest.mark.parametrize("address", GUARDED)
def test_what_only_a_person_gives_up_is_named_and_nothing_is_applied(step, address, actions):
    """An option that was left out would do that; only another option lets it happen."""
    plan = plan_of(**{actions: [address]})
    with pytest.raises(WouldDestroy, match=f"{re.escape(address)}.*--allow-destroy"):
        going(step, plan).check()
    assert not going(step, plan, allow_destroy=True).check().done


@pytest.mark.parametrize("address", ["aws_s3_bucket_policy.tls_only", "aws_vpc_endpoint.gateway"])
def test_what_is_called_alike_and_made_anew_in_seconds_may_go(step, address):
    """A bucket's policy is no bucket."""
    assert not going(step, plan_of(delete_create=[address])).check().done


def test_what_was_only_half_made_may_be_made_anew_unless_it_can_hold_data(step):
    """A node group that did not come up is tried again by the same command."""
    plan = plan_of(delete_create=["aws_eks_node_group.system", 'aws_dynamodb_table.this["jobs"]'])
    for each in plan["resource_changes"]:
        each["action_reason"] = "replace_because_tainted"
    with pytest.raises(WouldDestroy) as refused:
        going(step, plan).check()
    assert "aws_dynamodb_table" in str(refused.value)
    assert "aws_eks_node_group" not in str(refused.value)


def test_what_would_be_taken_over_is_looked_at_like_any_other_plan(step, tmp_path):
    """To take a name over and then to make it anew would lose what is in it."""
    bucket = 'aws_s3_bucket.this["outputs"]'
    resource = {"address": bucket, "type": "aws_s3_bucket", "values": {"bucket": "full"}}

    class Taken(Terraform):
        def linked(self):
            return self

        def planned(self):
            planned = {"root_module": {"resources": [resource]}}
            return {**plan_of(delete_create=[bucket]), "planned_values": planned}

        def apply(self):
            raise ProgramFailed(f"Error: BucketAlreadyOwnedByYou\n\n  with {bucket},\n")

    adopting = replace(step(delete_data=False), terraform=Taken(tmp_path), adopt=True)
    with pytest.raises(WouldDestroy, match="aws_s3_bucket"):
        adopting.apply()


def test_what_it_is_made_with_is_written_down_before_anything_changes(step):
    """A removal may follow an apply that failed."""
    said = []
    making = replace(step(delete_data=False), remember=lambda: said.append("remembered"))
    making.terraform.apply = lambda: said.append("applied")
    making.apply()
    assert said == ["remembered", "applied"]


def test_a_removal_uses_what_the_installation_was_deployed_with():
    """On any machine, and without being told again; of nothing remembered nothing changes."""
    deployed = Wanted(
        name="demo",
        region="us-east-1",
        overlay="prod",
        bucket="weights",
        boundary="arn:aws:iam::111122223333:policy/demo-boundary",
        admin_cidrs=("192.0.2.1/32",),
        vpc=Vpc(id="vpc-1", subnet_ids=["one", "two"], route_table_ids=["rtb-1"]),
    )
    asked = Wanted(name="demo", region="us-east-1")
    with mock_aws():
        memory = Memory(s3=boto3.client("s3", region_name="us-east-1"), bucket="demo-tfstate")
        nothing = Recalled(wanted=asked, runtimes=None, known=False)
        assert memory.recall(asked) == nothing
        memory.s3.create_bucket(Bucket=memory.bucket)
        assert memory.recall(asked) == nothing
        memory.keep(deployed, {"painter": "any", "demo": "any"})
        recalled = memory.recall(asked)
    assert recalled.known
    assert recalled.wanted.variables() == deployed.variables()
    assert (recalled.wanted.overlay, recalled.runtimes) == ("prod", ["demo", "painter"])


@pytest.fixture
def checkout(tmp_path):
    """A repository from which two installations are deployed."""
    module = tmp_path / "infra/terraform"
    module.mkdir(parents=True)
    (module / "main.tf").write_text('locals { tables = file("../../records/tables.json") }')
    (tmp_path / "records").mkdir()
    (tmp_path / "records/tables.json").write_text("{}")

    def made(name):
        backend = Backend(bucket=f"{name}-tfstate", key="state", region="us-east-1")
        home = tmp_path / "build" / name
        return RealTerraform(programs=Programs(), module=module, home=home, backend=backend)

    return made


def test_what_one_installation_adopts_is_read_by_no_other(checkout):
    """Both are deployed from one module, perhaps at once."""
    one, other = checkout("demo"), checkout("darkroom")
    linked = one.linked()
    (linked.module / "adopted.tf.json").write_text("{}")
    assert (linked.module / "main.tf").read_text() == (one.module / "main.tf").read_text()
    assert (linked.module / "../../records/tables.json").read_text() == "{}"
    assert (linked.home, linked.backend) == (one.home, one.backend)
    assert [each.name for each in one.module.iterdir()] == ["main.tf"]
    assert not (other.linked().module / "adopted.tf.json").exists()


def test_what_an_adoption_that_was_killed_left_is_not_read_again(checkout):
    """Neither by the next plan, which reads the module itself, nor by the next adoption."""
    terraform = checkout("demo")
    (terraform.linked().module / "adopted.tf.json").write_text("{}")
    assert [each.name for each in terraform.linked().module.iterdir()] == ["main.tf"]
    assert (terraform.module / "main.tf").exists()


@mock_aws
def test_what_a_killed_terraform_had_made_is_taken_over_beside_no_module(step, tmp_path):
    """Terraform stops at the first names that are taken: others follow."""
    taken = {"aws_iam_role.first": "first", "aws_ecr_repository.second": "second"}
    imported = []

    class Stopping(Terraform):
        def linked(self):
            return Stopping(tmp_path / "linked")

        def planned(self):
            resources = [
                {"address": each, "type": each.partition(".")[0], "values": {"name": name}}
                for each, name in taken.items()
            ]
            return {"planned_values": {"root_module": {"resources": resources}}}

        def apply(self):
            blocks = self.module / "adopted.tf.json"
            known = json.loads(blocks.read_text())["import"] if blocks.exists() else []
            for address in taken:
                if address not in [each["to"] for each in known]:
                    raise ProgramFailed(f"Error: EntityAlreadyExists\n\n  with {address},\n")
            imported.extend(known)

    (tmp_path / "linked").mkdir()
    adopting = replace(step(delete_data=False), terraform=Stopping(tmp_path), adopt=True)
    adopting.apply()
    assert imported == [{"to": address, "id": name} for address, name in taken.items()]
    assert not (tmp_path / "adopted.tf.json").exists()
