"""What the deployer may do is enough for every call that deploying and destroying has made."""

import json
from fnmatch import fnmatchcase

import pytest
from iam_actions import action_of

from darkroom.deploy.listings import LISTINGS
from darkroom.deploy.permissions import MOST_CHARS, policies

#: Actions that the policies lack although the emulator heard them, each with its reason.
EXCEPTIONS: dict[str, str] = {}


@pytest.fixture(scope="module")
def documents():
    """The deployer's policies, and the boundary among them."""
    return policies(name="demo", account="000000000000", region="us-east-1")


@pytest.fixture(scope="module")
def allowed(documents):
    """Patterns of actions that who deploys may call."""
    return {
        action
        for name, document in documents.items()
        if not name.endswith("-boundary")
        for statement in document["Statement"]
        for action in statement["Action"]
    }


def test_every_call_of_deploying_and_destroying_is_allowed(destroyed, allowed):
    """Those of Terraform and of our own steps, as the emulator heard them."""
    heard = [json.loads(line) for line in destroyed.emulator.calls.read_text().splitlines()]
    calls = [call for call in heard if call["by"]]
    unknown = [call for call in calls if action_of(call) is None]
    assert unknown == []
    actions = {action_of(call) for call in calls}
    assert len(actions) > 150
    missing = {
        action for action in actions if not any(fnmatchcase(action, each) for each in allowed)
    }
    assert missing - EXCEPTIONS.keys() == set()


@pytest.mark.parametrize("listing", LISTINGS, ids=str)
def test_who_never_exposes_may_ask_for_all_of_a_removals_last_list(documents, listing):
    """Else it would end with what was not asked, of an account in which nothing is left."""
    actions = [
        action
        for name, document in documents.items()
        if not name.endswith(("-boundary", "-exposure"))
        for statement in document["Statement"]
        for action in statement["Action"]
    ]
    service = {"elbv2": "elasticloadbalancing"}.get(listing.service, listing.service)
    operation = "".join(map(str.capitalize, listing.operation.split("_")))
    special = {
        "s3:ListBuckets": "s3:ListAllMyBuckets",
        "budgets:DescribeBudgets": "budgets:ViewBudget",
    }
    wanted = special.get(f"{service}:{operation}", f"{service}:{operation}")
    if service == "apigateway":
        wanted = "apigateway:GET"
    assert any(fnmatchcase(wanted, each) for each in actions), wanted


def test_no_policy_is_larger_than_iam_takes(documents):
    """6,144 characters, spaces not counted."""
    for name, document in documents.items():
        assert len(json.dumps(document, separators=(",", ":"))) <= MOST_CHARS, name


def test_a_role_is_passed_only_to_its_service_and_only_with_the_name(documents):
    """Whoever may pass any role to anything may become anybody."""
    passing = [
        statement
        for name, document in documents.items()
        if not name.endswith("-boundary")
        for statement in document["Statement"]
        if "iam:PassRole" in statement["Action"]
    ]
    assert len(passing) == 1
    assert passing[0]["Resource"] == ["arn:aws:iam::000000000000:role/demo-*"]
    assert "iam:PassedToService" in passing[0]["Condition"]["StringEquals"]


def test_a_role_is_made_only_with_the_boundary(documents):
    """Else its maker could give it more than he has himself."""
    statements = [
        statement
        for name, document in documents.items()
        if not name.endswith("-boundary")
        for statement in document["Statement"]
    ]
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"):
        making = [
            each for each in statements if any(fnmatchcase(action, one) for one in each["Action"])
        ]
        assert making, action
        for statement in making:
            boundary = statement["Condition"]["StringEquals"]["iam:PermissionsBoundary"]
            assert boundary == "arn:aws:iam::000000000000:policy/demo-boundary", action


def test_records_are_changed_in_the_zone_that_was_named():
    """And only of the two kinds that a load balancer's name needs."""
    document = policies(name="demo", account="0", region="us-east-1", zone="Z1")["demo-exposure"]
    [changing] = [
        each
        for each in document["Statement"]
        if "route53:ChangeResourceRecordSets" in each["Action"]
    ]
    assert changing["Resource"] == ["arn:aws:route53:::hostedzone/Z1"]
    assert ["A", "CNAME"] in changing["Condition"]["ForAllValues:StringEquals"].values()


def test_no_statement_allows_everything_of_everything(documents):
    """Neither `*` nor a whole service, but in the boundary, which gives nobody a right."""
    for name, document in documents.items():
        if name.endswith("-boundary"):
            continue
        for statement in document["Statement"]:
            for action in statement["Action"]:
                assert not action.endswith(":*"), action
                assert action != "*"
