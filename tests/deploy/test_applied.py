"""The applied stack over HTTP: who gets in, what is answered, what a plan says afterwards."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace

import httpx
import pytest
import yaml
from listings import LISTINGS, held
from terraform import aws_environ

from jobs.samples import sample_request

#: resource type -> attributes that a plan would change although nothing has: what the emulator
#: does not keep. Nothing else may differ.
NOT_KEPT = {
    # It keeps an alarm's figures in another form than it gives them back.
    "aws_cloudwatch_metric_alarm": {
        "actions_enabled",
        "alarm_actions",
        "alarm_description",
        "dimensions",
        "ok_actions",
        "period",
        "statistic",
        "treat_missing_data",
    },
    # A plan without quota comes back with one of zero.
    "aws_api_gateway_usage_plan": {"quota_settings"},
    # The cluster is answered without it.
    "aws_eks_cluster": {"upgrade_policy"},
    # An endpoint is answered without these two.
    "aws_vpc_endpoint": {"private_dns_enabled", "security_group_ids"},
}
#: resource type -> why a plan would make it anew: the node group, whose template the emulator
#: forgets, and what is attached to it.
REPLACED = {
    "aws_autoscaling_attachment": {"autoscaling_group_name"},
    "aws_eks_node_group": {"launch_template"},
}


#: Resource type -> (the service that lists such a thing, the attribute with its name there).
NAMED = {
    "aws_s3_bucket": ("s3", "bucket"),
    "aws_sqs_queue": ("sqs", "url"),
    "aws_sns_topic": ("sns", "arn"),
    "aws_dynamodb_table": ("dynamodb", "name"),
    "aws_lambda_function": ("lambda", "function_name"),
    "aws_api_gateway_rest_api": ("apigateway", "name"),
    "aws_api_gateway_usage_plan": ("apigateway", "name"),
    "aws_api_gateway_api_key": ("apigateway", "name"),
    "aws_secretsmanager_secret": ("secretsmanager", "name"),
    "aws_eks_cluster": ("eks", "name"),
    "aws_ecr_repository": ("ecr", "name"),
    "aws_cloudwatch_log_group": ("logs", "name"),
    "aws_cloudwatch_metric_alarm": ("cloudwatch", "alarm_name"),
    "aws_cloudwatch_dashboard": ("cloudwatch", "dashboard_name"),
    "aws_budgets_budget": ("budgets", "name"),
    "aws_kms_alias": ("kms", "name"),
    "aws_cloudwatch_event_rule": ("events", "name"),
    "aws_iam_role": ("iam", "name"),
    "aws_iam_instance_profile": ("iam", "name"),
    "aws_cloudformation_stack": ("cloudformation", "name"),
    "aws_lb": ("elbv2", "name"),
    "aws_lb_target_group": ("elbv2", "name"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_every_name_that_terraform_forms_is_known_to_be_this_installations(
    applied, deployment, kind
):
    """Else a removal would not list what is left of it; and none is of another one."""
    (service, attribute), made = NAMED[kind], applied.of_type(kind)
    assert made
    other = replace(deployment.names, installation="dem")
    for address, each in made.items():
        assert deployment.names.owns(service, each[attribute]), address
        assert not other.owns(service, each[attribute]), address


@pytest.fixture(scope="module")
def key(applied):
    """The first key, as `terraform output commands` would fetch it."""
    name = applied.resources['aws_secretsmanager_secret.this["first-key"]']["name"]
    assert f"--secret-id {name} " in applied.outputs["commands"]["api_key"]
    secrets = applied.emulator.client("secretsmanager")
    return secrets.get_secret_value(SecretId=name)["SecretString"]


@pytest.fixture(scope="module")
def http(applied):
    """An HTTP client of the deployed API."""
    with httpx.Client(base_url=applied.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}])
def test_without_a_known_key_the_gateway_answers_403(http, headers):
    """In the words of the app, although the app has not been asked."""
    answer = http.post("/v1/jobs", json=sample_request(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("form", ["x-api-key", "authorization"])
def test_a_known_key_reaches_the_code_in_the_zip(applied, http, key, form):
    """As header of API Gateway or as Bearer: accepted, recorded as the first key's tenant."""
    headers = {form: key if form == "x-api-key" else f"Bearer {key}"}
    answer = http.post("/v1/jobs", json=sample_request(), headers=headers)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert http.get(f"/v1/jobs/{job['uid']}", headers=headers).json()["status"] == "queued"
    stored = applied.emulator.client("dynamodb").get_item(
        TableName=applied.outputs["app_config"]["shared"]["DARKROOM_JOB_TABLE"],
        Key={"pk": {"S": f"job#{job['uid']}"}},
    )
    assert stored["Item"]["tenant"]["S"] == "default"


@pytest.mark.parametrize("path", ["/v1alpha2", "/v1alpha2/", "//v1alpha2/"])
def test_paths_of_the_guidance_reach_the_app(applied, http, key, path):
    """With a doubled and with a trailing slash: its own test script writes both."""
    answer = http.post(applied.url + path, json={}, headers={"x-api-key": key})
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Missing Authentication Token" not in answer.text


def test_a_body_that_lambda_could_not_take_is_refused_with_what_to_do(http, key):
    """413 in our words, a little below Lambda's own 6 MB."""
    answer = http.post("/v1/jobs", content=b"x" * 5_600_000, headers={"x-api-key": key})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "by reference" in answer.json()["detail"]


def test_what_the_gateway_refuses_itself_is_answered_in_our_words(applied):
    """10 MB, 6 MB and 29 s are API Gateway's and Lambda's; each answer names its limit."""
    answers = {
        made["response_type"]: json.loads(made["response_templates"]["application/json"])
        for made in applied.of_type("aws_api_gateway_gateway_response").values()
    }
    for kind, limit in {
        "REQUEST_TOO_LARGE": "10 MB",
        "INTEGRATION_FAILURE": "5.5 MB",
        "INTEGRATION_TIMEOUT": "29 s",
    }.items():
        assert limit in answers[kind]["detail"]
    for answer in answers.values():
        assert answer.keys() == {"type", "title", "status", "detail", "code"}


def test_what_the_gateway_says_itself_is_written_anew_with_each_body(applied):
    """To overwrite a body removes these answers; in the plan they have to change with it."""
    body = applied.resources["aws_api_gateway_rest_api.this"]["body"]
    revision = hashlib.sha256(body.encode()).hexdigest()[:12]
    made = applied.of_type("aws_api_gateway_gateway_response").values()
    assert len(made) == 8
    for each in made:
        [said] = each["response_parameters"].items()
        assert said == ("gatewayresponse.header.x-api-revision", f"'{revision}'")


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/docs"])
def test_public_paths_need_no_key(http, path):
    """Health and documentation."""
    assert http.get(path).status_code == 200


def test_a_second_plan_finds_nothing_to_change(plan):
    """But for exactly what the emulator does not keep, attribute by attribute."""
    changed, replaced = {}, {}
    for each in plan["resource_changes"]:
        change = each["change"]
        if change["actions"] in (["no-op"], ["read"]):
            continue
        if causes := {path[0] for path in change.get("replace_paths", [])}:
            # The rest is that of another thing: it says nothing.
            replaced.setdefault(each["type"], set()).update(causes)
            continue
        before, after = change["before"] or {}, change["after"] or {}
        unknown = {name for name, value in change["after_unknown"].items() if value}
        # Nothing, an empty text and an empty list are one and the same to the provider.
        changed.setdefault(each["type"], set()).update(
            name
            for name in before.keys() | after.keys()
            if name in unknown or (before.get(name) or None) != (after.get(name) or None)
        )
    # Both exactly: what the emulator has learnt to keep is an exception no more.
    assert changed == NOT_KEPT
    assert replaced == REPLACED


@pytest.mark.parametrize("listing", LISTINGS, ids=str)
def test_each_listing_shows_what_was_made(applied, listing):
    """Else it would be empty after the end for no merit of ours."""
    assert held(listing, applied.emulator.client, "demo")


def test_no_secret_is_in_the_state(applied, key):
    """Random passwords are made while applying and written past it."""
    state = json.dumps(applied.terraform.state())
    assert applied.resources['aws_secretsmanager_secret_version.this["ray-token"]']
    secrets = applied.emulator.client("secretsmanager")
    values = {
        secrets.get_secret_value(SecretId=made["id"])["SecretString"]
        for made in applied.of_type("aws_secretsmanager_secret").values()
    }
    assert len(values) == 4
    assert all(len(value) == 48 and value not in state for value in values)


def test_the_load_balancer_leads_from_its_name_to_ports_of_the_system_nodes(applied):
    """Certificate, record, listeners, target groups, the nodes' group: as the emulator has them."""
    elb, name = applied.emulator.client("elbv2"), "demo.example.org"
    [balancer] = elb.describe_load_balancers(Names=["demo"])["LoadBalancers"]
    assert balancer["Scheme"] == "internal"
    arn = balancer["LoadBalancerArn"]
    listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    doors = {each["Port"]: each["DefaultActions"][0]["Type"] for each in listeners}
    assert doors == {443: "forward", 80: "redirect", 8000: "forward", 8265: "forward"}
    groups = {
        each["TargetGroupArn"]: each["Port"]
        for each in elb.describe_target_groups()["TargetGroups"]
    }
    exposure = applied.outputs["cluster"]["exposure"]
    assert set(groups.values()) == set(exposure["node_ports"].values())
    attached = applied.of_type("aws_autoscaling_attachment").values()
    assert {each["lb_target_group_arn"] for each in attached} == set(groups)
    records = applied.emulator.client("route53").list_resource_record_sets(
        HostedZoneId=applied.resources["aws_route53_record.alias[0]"]["zone_id"]
    )["ResourceRecordSets"]
    [alias] = [each for each in records if each["Name"] == f"{name}."]
    assert alias["AliasTarget"]["DNSName"].strip(".").endswith(balancer["DNSName"])
    assert exposure["urls"]["serve"] == f"https://{name}:8000"


def test_scripts_of_the_guidance_find_all_their_outputs(applied):
    """They ask CloudFormation for a stack called <name>Stack."""
    [stack] = applied.emulator.client("cloudformation").describe_stacks(StackName="demoStack")[
        "Stacks"
    ]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert set(outputs) == {
        "FrontApiEndpoint",
        "GetAPIKeyCommand",
        "sdNotificationLambdaARN",
        "sdNotificationOutputARN",
        "OutputS3Bucket",
        "ClusterName",
        "ConfigCommand",
        "GetTokenCommand",
    }
    assert outputs["FrontApiEndpoint"] == applied.outputs["api_url"] + "/"
    assert outputs["OutputS3Bucket"].endswith(
        ":::" + applied.outputs["app_config"]["shared"]["DARKROOM_BUCKET"]
    )


#: As the guidance's own test script reads them: the second is a command, and is given to a shell.
READ = """
output() {
  aws cloudformation describe-stacks --stack-name "$STACK_NAME" --output text \\
    --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}
set -eu -o pipefail
output FrontApiEndpoint
output GetAPIKeyCommand | bash
output ConfigCommand | bash >&2
output GetTokenCommand | bash
"""


@pytest.mark.skipif(shutil.which("aws") is None, reason="there is no AWS CLI")
def test_a_shell_finds_the_address_and_the_commands_work(applied, key, tmp_path):
    """Key, kubeconfig and token, by the AWS CLI."""
    kubeconfig = tmp_path / "kubeconfig"
    environ = aws_environ(applied.emulator.address)
    environ |= {"STACK_NAME": "demoStack", "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(
        ["bash", "-c", READ], env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    address, found, token = done.stdout.split()
    assert (address, found) == (applied.outputs["api_url"] + "/", key)
    assert token.startswith("k8s-aws-v1.")
    assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["name"].endswith("cluster/demo")
