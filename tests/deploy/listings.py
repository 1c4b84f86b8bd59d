"""What the emulated account holds of an installation, by its own listings."""

from darkroom.deploy.listings import LISTINGS as BY_NAME
from darkroom.deploy.listings import Listing

ACCOUNT = "000000000000"
#: Those that a removal looks at, but for buckets, which hold the state, and for X-Ray, which the
#: emulator has not; and those of things that a removal finds by their tags.
LISTINGS = (
    *(each for each in BY_NAME if each.service not in ("s3", "xray")),
    Listing("acm", "list_certificates", "CertificateSummaryList"),
    Listing("ec2", "describe_launch_templates", "LaunchTemplates"),
    Listing("ec2", "describe_security_groups", "SecurityGroups"),
    Listing("ec2", "describe_subnets", "Subnets"),
    Listing("ec2", "describe_vpc_endpoints", "VpcEndpoints"),
    Listing("sns", "list_subscriptions", "Subscriptions"),
)


def held(listing, connect, name):
    """What it lists that has the name somewhere."""
    return [item for item in listing.found(connect, ACCOUNT) if name in str(item)]
