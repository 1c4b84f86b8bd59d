"""The steps of `darkroom deploy` that one machine can carry out, on the applied stack."""

import json
from dataclasses import replace

import pytest
import yaml
from scripted_serve import bridging, serving
from terraform import MODULE

from darkroom.cluster.images import Images
from darkroom.deploy.errors import SmokeFailed, StateLocked
from darkroom.deploy.removal import removal
from darkroom.deploy.runner import run
from darkroom.deploy.terraform import Backend, Terraform
from darkroom.deploy.vpc import read_vpc

AGAIN = "the tests again"


@pytest.fixture(scope="module")
def bridge(applied, tmp_path_factory):
    """A bridge and a Serve, where the cluster would have them."""
    folder = tmp_path_factory.mktemp("bridge")
    with serving() as serve, bridging(applied, serve, folder) as process:
        yield process


@pytest.fixture(scope="module")
def smoke(applied, deployment):
    """The smoke test, told where the emulator serves the API; there is no cluster to look at."""
    return replace(deployment.smoke, api_url=lambda: applied.url, nodes=None)


def test_the_state_bucket_keeps_versions_and_lets_nobody_in_without_tls(applied, deployment):
    """And is found done by the next run."""
    s3, bucket = applied.emulator.client("s3"), deployment.state_bucket
    assert bucket.bucket == "demo-000000000000-us-east-1-tfstate"
    assert s3.get_bucket_versioning(Bucket=bucket.bucket)["Status"] == "Enabled"
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket.bucket)["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert bucket.check().done


def test_a_bucket_that_somebody_opened_is_closed_again(applied, deployment):
    """`check` looks at each property, `apply` may be repeated."""
    s3, bucket = applied.emulator.client("s3"), deployment.state_bucket
    s3.delete_bucket_policy(Bucket=bucket.bucket)
    assert not bucket.check().done
    run([bucket], deployment.journal, again=AGAIN)
    assert bucket.check().done


def test_models_are_in_the_bucket_with_their_hashes(applied, deployment):
    """What is there is not sent again."""
    run([deployment.models], deployment.journal, again=AGAIN)
    assert deployment.models.check().done
    s3 = applied.emulator.client("s3")
    s3.delete_object(Bucket=deployment.models.bucket, Key="models/demo/model_index.json")
    assert not deployment.models.check().done
    run([deployment.models], deployment.journal, again=AGAIN)
    assert deployment.models.check().done


def test_manifests_are_rendered_from_what_was_deployed(applied, deployment, tmp_path):
    """Outputs as Terraform wrote them, images as they were given."""
    given = tmp_path / "images.json"
    given.write_text(json.dumps(dict(Images.stand_ins().by_name)))
    asked = replace(deployment, wanted=replace(deployment.wanted, images=given))
    run([asked.images, asked.snapshot, asked.rendered], asked.journal, again=AGAIN)
    folder = asked.wanted.home / "manifests"
    values = yaml.safe_load((folder / "operators/karpenter.yaml").read_text())
    assert values["settings"]["clusterName"] == "demo"
    queue = applied.outputs["app_config"]["bridge-demo"]["DARKROOM_QUEUE_URL"]
    assert queue in (folder / "base/generated/runtimes.yaml").read_text()


def test_the_smoke_test_sees_a_job_through_the_deployed_api(smoke, bridge):
    """POST, notice, image by hash and size; its own queue is gone afterwards."""
    smoke.apply()
    [findings] = smoke.seen
    assert findings.view.status == "succeeded"
    assert {"published", "leased", "started", "recorded"} <= {name for name, _ in findings.split}
    assert "no cluster" in findings.warnings[0]
    urls = smoke.sqs.list_queues(QueueNamePrefix="demo-smoke-test").get("QueueUrls", [])
    assert urls == []


def test_the_smoke_test_fails_of_an_image_that_is_not_the_recorded_one(applied, smoke, bridge):
    """It compares; a test that asserts nothing would pass here."""
    smoke.apply()
    view = smoke.seen[-1].view
    bucket = applied.outputs["app_config"]["shared"]["DARKROOM_BUCKET"]
    applied.emulator.client("s3").put_object(
        Bucket=bucket, Key=view.outputs[0].key, Body=b"another"
    )
    with pytest.raises(SmokeFailed, match="has 7 bytes"):
        smoke._image(view)


@pytest.fixture
def closed(applied, deployment):
    """The stack after the first step of a removal, which then stopped."""
    lambdas, sns = (applied.emulator.client(each) for each in ("lambda", "sns"))
    topic = applied.outputs["app_config"]["shared"]["DARKROOM_JOBS_TOPIC_ARN"]
    policy = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    run(removal(deployment, None)[:1], deployment.journal, again=AGAIN)
    yield
    lambdas.delete_function_concurrency(FunctionName="demo-api")
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


def test_a_deploy_after_a_removal_that_stopped_takes_jobs_again(closed, deployment):
    """By the API and by the topic: Terraform finds both otherwise than it makes them."""
    # The emulator forgets a node group's launch template, so a plan would make that anew.
    deployment = replace(deployment, allow_destroy=True)
    assert not deployment.infrastructure.check().done
    changes = {
        each["address"]: each["change"]
        for each in deployment.terraform.planned()["resource_changes"]
    }
    api = changes['aws_lambda_function.this["api"]']
    topic = changes['aws_sns_topic_policy.tls_only["jobs"]']
    assert [api["actions"], topic["actions"]] == [["update"], ["update"]]
    api, topic = (
        [each["before"][name], each["after"][name]]
        for each, name in ((api, "reserved_concurrent_executions"), (topic, "policy"))
    )
    assert api == [0, -1]
    assert ["ClosedByRemoval" in each for each in topic] == [True, False]


def test_an_existing_vpc_is_read_with_its_private_subnets(applied, deployment):
    """Those of the stack itself, each with its way out by NAT: of the emulated region's three
    zones EKS refuses one."""
    vpc = applied.resources["aws_vpc.this[0]"]["id"]
    found = read_vpc(deployment.connect("ec2"), vpc, "demo")
    assert set(found.subnet_ids) == ids(applied, "aws_subnet.private[")
    assert set(found.route_table_ids) == ids(applied, "aws_route_table.private[")
    assert len(found.subnet_ids) == 2


def ids(applied, address):
    """Of everything that Terraform made under such an address."""
    return {made["id"] for name, made in applied.resources.items() if name.startswith(address)}


def test_another_terraform_finds_the_state_locked_and_says_by_whom(applied, deployment, tmp_path):
    """Never broken silently: a person says that nobody holds it any more."""
    s3, bucket = applied.emulator.client("s3"), deployment.state_bucket.bucket
    lock = {
        "ID": "11111111-2222-3333-4444-555555555555",
        "Operation": "OperationTypeApply",
        "Who": "ada@laptop",
        "Version": "1.11.4",
        "Created": "2026-11-26T02:00:00Z",
        "Path": f"{bucket}/other",
    }
    s3.put_object(Bucket=bucket, Key="other.tflock", Body=json.dumps(lock))
    (tmp_path / "main.tf").write_text(
        'terraform {\n  backend "s3" {\n    use_lockfile = true\n  }\n}\n'
    )
    terraform = Terraform(
        programs=deployment.programs,
        module=tmp_path,
        home=tmp_path / "home",
        backend=Backend(bucket=bucket, key="other", region="us-east-1", path_style=True),
    )
    terraform.init()
    with pytest.raises(StateLocked, match=r"(?s)ada@laptop.*Apply.*--unlock 11111111-2222"):
        terraform.plan()
    assert json.load(s3.get_object(Bucket=bucket, Key="other.tflock")["Body"]) == lock
    terraform.unlock(lock["ID"])
    assert terraform.plan() is False


def test_the_module_is_left_as_it_was(applied, deployment):
    """Terraform's files lie with the installation, not beside the module."""
    made = {"terraform", "plan.bin", "outputs.json", "installation.tfvars.json"}
    assert made <= {path.name for path in deployment.wanted.home.iterdir()}
    # Those of the tests' own Terraform, which has no home but the module.
    tests = {"plan.bin", "test.auto.tfvars.json", "dev.auto.tfvars"}
    here = {path.name for path in deployment.module.iterdir()} - tests
    assert {name for name in here if not name.startswith(".terraform")} == {
        path.name for path in MODULE.iterdir() if not path.name.startswith(".terraform")
    }
