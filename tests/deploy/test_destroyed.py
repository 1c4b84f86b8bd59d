"""What is left after `terraform destroy`: nothing, by the emulator's own listings."""

import pytest
from listings import LISTINGS, held

from darkroom.deploy.infrastructure import DATA
from darkroom.deploy.leftovers import carrying
from darkroom.deploy.removal import removal
from darkroom.deploy.runner import run
from darkroom.deploy.step import Undoing


def test_data_outlive_their_installation_and_a_later_deploy_goes_on_with_them(emptied, deployment):
    """Buckets and tables stay in the state, so nothing has to be adopted."""
    left = [each for each in deployment.terraform.addresses() if not each.startswith("data.")]
    assert {"aws_s3_bucket", "aws_dynamodb_table"} < {each.partition(".")[0] for each in left}
    assert [each for each in left if not each.startswith(DATA)] == []
    bucket = emptied.outputs["app_config"]["shared"]["DARKROOM_BUCKET"]
    kept = emptied.emulator.client("s3").get_object(Bucket=bucket, Key="kept")
    assert kept["Body"].read() == b"an image"
    assert not deployment.infrastructure.check().done
    changes = deployment.terraform.planned()["resource_changes"]
    of_data = {each["address"]: each["change"]["actions"] for each in changes}
    assert {tuple(of_data[each]) for each in left} == {("no-op",)}


@pytest.mark.parametrize("listing", LISTINGS, ids=str)
def test_nothing_is_left_of_a_destroyed_stack(destroyed, listing):
    """Nothing that goes on costing money."""
    assert held(listing, destroyed.emulator.client, "demo") == []


def test_no_bucket_and_no_vpc_is_left(destroyed, deployment):
    """The buckets with states are ours; the default VPC is the account's."""
    buckets = destroyed.emulator.client("s3").list_buckets()["Buckets"]
    left = {bucket["Name"] for bucket in buckets} - {"state"}
    assert left == {deployment.state_bucket.bucket}
    ec2 = destroyed.emulator.client("ec2")
    assert [vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"]] in ([True], [])
    assert [n for n in ec2.describe_nat_gateways()["NatGateways"] if n["State"] != "deleted"] == []
    assert ec2.describe_addresses()["Addresses"] == []
    assert destroyed.terraform.state()["resources"] == []


def test_what_still_carries_the_name_is_listed_and_the_last_of_it_is_the_state(
    destroyed, deployment
):
    """Without it nobody could remove what else is left."""
    bucket = deployment.state_bucket
    left, silent = carrying(deployment.connect, deployment.names)
    # The emulator has no X-Ray.
    assert {each.partition(":")[0] for each in silent} == {"xray"}
    keys = [each for each in left if ":kms:" in each]
    assert all("goes by itself on" in each for each in keys)
    assert [each for each in left if each not in keys] == [f"s3: {bucket.bucket}"]
    run([Undoing(bucket)], deployment.journal, again="the tests again")
    assert carrying(deployment.connect, deployment.names)[0] == keys


def test_a_removal_can_be_run_again(destroyed, deployment):
    """Of what is gone there is nothing to remove."""
    run(removal(deployment, None), deployment.journal, again="the tests again")
