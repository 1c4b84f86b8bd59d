"""What a removal's last list says of things that go by themselves."""

import pytest

from darkroom.deploy.leftovers import carrying
from darkroom.deploy.ownership import Names

NODE = "arn:aws:ec2:us-west-2:111122223333:instance/i-1"


class Account:
    """Every service at once: one tagged instance, and nothing else."""

    def __init__(self, reservations):
        self.reservations = reservations

    def can_paginate(self, operation):
        """Only tags come in pages."""
        return False

    def get_paginator(self, operation):
        """Of what is tagged."""
        return self

    def paginate(self, TagFilters):  # noqa: N803
        """One page."""
        return [{"ResourceTagMappingList": [{"ResourceARN": NODE}]}]

    def describe_instances(self, Filters):  # noqa: N803
        """The instance, while EC2 knows it."""
        return {"Reservations": self.reservations}

    def __getattr__(self, operation):
        return lambda: {}


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ("running", ""),
        ("shutting-down", ""),
        ("terminated", " (ended, costs nothing, goes within an hour)"),
        (None, " (ended, costs nothing, goes within an hour)"),
    ],
)
def test_a_node_that_has_ended_is_told_from_one_that_costs(state, end):
    """Its tag is found for an hour more, and after EC2 has forgotten it."""
    known = [{"Instances": [{"State": {"Name": state}}]}] if state else []
    names = Names(installation="demo", account="1", region="us-west-2", runtimes=())
    left, silent = carrying(lambda service: Account(known), names)
    assert (left, silent) == ([f"tag: {NODE}{end}"], [])
