"""What a Terraform that was killed had made: found by tag, or by the one who has it."""

from dataclasses import replace

import boto3
import pytest
from botocore.stub import Stubber

from darkroom.deploy.adoption import Adoption
from darkroom.deploy.infrastructure import Infrastructure
from darkroom.deploy.strays import strays

EC2 = "arn:aws:ec2:us-west-2:111122223333:"
FIRST, SECOND = f"{EC2}natgateway/nat-1", f"{EC2}natgateway/nat-2"
KNOWN = {"nat-2", "arn:aws:kms:us-west-2:111122223333:key/k"}


@pytest.fixture
def aws():
    """A client of a service that gives one answer, to one question that its model allows."""

    def answering(service, operation, answer, asked=None):
        client = boto3.client(
            service, region_name="us-west-2", aws_access_key_id="a", aws_secret_access_key="b"
        )
        stubber = Stubber(client)
        if isinstance(answer, str):
            stubber.add_client_error(operation, answer)
        else:
            stubber.add_response(operation, answer, asked)
        stubber.activate()
        return {service: client}.__getitem__

    return answering


@pytest.mark.parametrize(
    "arn",
    [
        SECOND,
        "arn:aws:kms:us-west-2:111122223333:key/k",
        # Karpenter's and the snapshot builder's are none of Terraform's.
        f"{EC2}instance/i-1",
        f"{EC2}launch-template/lt-1",
        # Nobody makes a second one of a name.
        "arn:aws:s3:::demo-111122223333-us-west-2-tfstate",
    ],
)
def test_what_the_state_knows_and_what_others_made_is_no_stray(arn):
    """Told for nothing, it would be deleted for nothing."""
    assert strays([FIRST, arn], KNOWN) == [FIRST]


class Applied:
    """A Terraform that has made all, and knows the second NAT gateway."""

    def init(self):
        pass

    def unlock(self, lock):
        pass

    def plan(self):
        return False

    def apply(self):
        pass

    def known(self):
        return KNOWN

    def outputs(self):
        return "{}"


@pytest.fixture
def step(tmp_path):
    """The step after a Terraform that was killed; `said` is what people read."""
    said = []
    return Infrastructure(
        terraform=Applied(),
        connect=None,
        installation="demo",
        outputs=tmp_path / "outputs.json",
        package=lambda: None,
        say=said.append,
        unlock="6f0c2b0e",
    ), said


def tagged(*arns):
    return {"ResourceTagMappingList": [{"ResourceARN": arn, "Tags": []} for arn in arns]}


@pytest.mark.parametrize("run", [Infrastructure.check, Infrastructure.apply])
def test_after_a_lock_was_broken_it_says_what_was_made_twice(aws, step, run):
    """The first NAT gateway has no name, so that nothing refused the second."""
    infrastructure, said = step
    asked = {"TagFilters": [{"Key": "darkroom:installation", "Values": ["demo"]}]}
    tags = aws("resourcegroupstaggingapi", "get_resources", tagged(FIRST, SECOND), asked)
    run(replace(infrastructure, connect=tags))
    [text] = said
    assert FIRST in text
    assert SECOND not in text
    assert "delete them in the AWS console" in text


def test_nothing_is_said_where_the_state_knows_all(aws, step):
    """Nor is anything asked where no Terraform was killed."""
    infrastructure, said = step
    tags = aws("resourcegroupstaggingapi", "get_resources", tagged(SECOND))
    replace(infrastructure, connect=tags).apply()
    replace(infrastructure, unlock=None).apply()
    assert said == []


def test_a_deployment_goes_on_where_tags_are_not_readable(aws, step):
    """It is a look, no step."""
    infrastructure, said = step
    tags = aws("resourcegroupstaggingapi", "get_resources", "AccessDeniedException")
    replace(infrastructure, connect=tags).apply()
    assert "not readable" in said[0]


def test_a_pod_identity_association_is_taken_over_by_the_id_that_eks_gave_it(aws):
    """Its name is a service account's; Terraform imports it by its id."""
    address = 'aws_eks_pod_identity_association.this["bridge"]'
    values = {"cluster_name": "demo", "namespace": "darkroom", "service_account": "bridge"}
    resource = {"address": address, "type": address.partition(".")[0], "values": values}
    plan = {"planned_values": {"root_module": {"resources": [resource]}}}
    asked = {"clusterName": "demo", "namespace": "darkroom", "serviceAccount": "bridge"}
    found = {"associations": [{"associationId": "a-1"}]}
    eks = aws("eks", "list_pod_identity_associations", found, asked)
    assert Adoption.of([address], plan, eks).ids == {address: "demo,a-1"}
