"""What an installation costs: idle, and for so many images a month."""

from dataclasses import dataclass

from darkroom.inventory import Inventory
from darkroom.prices import Line, Prices

GIB = 2**30
#: Seconds between two looks at a queue: KEDA's polling interval and the Ray head's.
KEDA_POLL_S, HEAD_POLL_S = 5, 3
_MONTH_S = 730 * 3600


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of it in a month. The defaults are the guidance's where it has one."""

    images: float = 1_000_000
    #: On the GPU, for one image of 512 x 512 in 16 steps.
    seconds_per_image: float = 1.5
    spot: bool = True
    instance: str = "g5.2xlarge"
    #: Times that GPU nodes come and go again, one node each: two a day.
    bursts: float = 60
    #: From the message to the first step, and from the last job to the node's end.
    cold_start_s: float = 115
    cooldown_s: float = 330
    image_kb: float = 150
    request_kb: float = 16
    #: A GPU node's disk, and how much of its snapshot is fetched beforehand.
    disk_gb: float = 64
    disk_iops: float = 4000
    disk_mib_s: float = 437
    snapshot_gb: float = 20

    @property
    def gpu_hours(self) -> float:
        """Hours at work."""
        return self.images * self.seconds_per_image / 3600

    @property
    def waiting_hours(self) -> float:
        """Hours in which a GPU is paid and makes no image."""
        return self.bursts * (self.cold_start_s + self.cooldown_s) / 3600


def idle(inventory: Inventory, prices: Prices, *, head_awake: bool) -> list[Line]:
    """A month in which nothing is asked."""
    queues = inventory.job_queues
    polls = queues * _MONTH_S / KEDA_POLL_S
    if head_awake:
        polls += queues * _MONTH_S / HEAD_POLL_S
    # Karpenter's queue, by long polls of 20 s.
    polls += _MONTH_S / 20
    # The sweeper asks three indexes every minute.
    reads = 3 * _MONTH_S / 60
    nodes = [
        Line(
            name=f"system node {kind}",
            quantity=count * prices.hours,
            unit="hours",
            price=prices.instance_hour(kind),
        )
        for kind, count in inventory.nodes.items()
    ]
    return [
        prices.monthly("EKS control plane", inventory.clusters, "eks_cluster_hour"),
        *nodes,
        prices.line("system nodes' disks", inventory.node_disk_gb, "GB", "gp3_gb_month"),
        prices.monthly("NAT gateway", inventory.nat_gateways, "nat_gateway_hour"),
        prices.monthly("its public IPv4 address", inventory.public_addresses, "public_ipv4_hour"),
        prices.monthly("interface endpoints", inventory.endpoint_zones, "interface_endpoint_hour"),
        prices.monthly("load balancer", inventory.load_balancers, "alb_hour"),
        # A person at the page now and then: of each dimension less than a tenth.
        prices.monthly("its capacity units", 0.1 * inventory.load_balancers, "alb_lcu_hour"),
        prices.monthly(
            "its public IPv4 addresses", inventory.balancer_addresses, "public_ipv4_hour"
        ),
        # Telemetry and what operators ask of AWS.
        prices.line("data through NAT", 5, "GB", "nat_gb"),
        prices.line("KMS keys", inventory.kms_keys, "keys", "kms_key_month"),
        prices.line("KMS requests", 2, "10,000", "kms_10k_requests"),
        prices.line("secrets", inventory.secrets, "secrets", "secret_month"),
        prices.line("alarms", inventory.alarm_metrics, "metrics", "alarm_metric_month"),
        prices.line("dashboard", inventory.dashboards, "dashboards", "dashboard_month"),
        prices.line("SQS: looks at the queues", polls / 1e6, "million", "sqs_million"),
        prices.line("DynamoDB: the sweeper", reads / 1e6, "million", "dynamodb_million_reads"),
        # The control plane's two log types, and the operators'.
        prices.line("logs", 3, "GB", "log_gb"),
        prices.line("container images", 10, "GB", "ecr_gb_month"),
        prices.line("snapshot of the images", 20, "GB", "snapshot_gb_month"),
        prices.line("weights in S3", 7, "GB", "s3_gb_month"),
    ]


def variable(load: Load, prices: Prices) -> list[Line]:
    """What the images add."""
    millions = load.images / 1e6
    hour = prices.instance_hour(load.instance, spot=load.spot)
    kind = f"{load.instance} {'spot' if load.spot else 'on demand'}"
    return [
        Line(name=f"GPU at work, {kind}", quantity=load.gpu_hours, unit="hours", price=hour),
        Line(
            name="GPU that comes up or cools down",
            quantity=load.waiting_hours,
            unit="hours",
            price=hour,
        ),
        *_disks(load, prices),
        # One POST and one GET of the result; the notice spares all others.
        prices.line("API Gateway", 2 * millions, "million", "api_gateway_million"),
        # 100 ms of 1 GB for the API, 20 ms of a quarter for the authorizer.
        prices.line(
            "Lambda: time",
            2 * load.images * (0.1 * 1 + 0.02 * 0.25),
            "GB-s",
            "lambda_gb_second_arm64",
        ),
        prices.line("Lambda: calls", 4 * millions, "million", "lambda_million"),
        prices.line("SNS: job and notice", 2 * millions, "million", "sns_million"),
        # Delivery, receipt, deletion.
        prices.line("SQS", 3 * millions, "million", "sqs_million"),
        # Eight changes of a record of 2 KB, each of them in the tenant's listing too.
        prices.line("DynamoDB: writes", 40 * millions, "million", "dynamodb_million_writes"),
        prices.line("DynamoDB: reads", 8 * millions, "million", "dynamodb_million_reads"),
        # Kept for a month: the record and its copy in the listing, and the backup.
        prices.line("DynamoDB: storage", load.images * 4096 / GIB, "GB", "dynamodb_gb_month"),
        prices.line("DynamoDB: backup", load.images * 2048 / GIB, "GB", "dynamodb_backup_gb_month"),
        prices.line("S3: image and document", 2 * load.images / 1000, "1,000", "s3_1k_puts"),
        prices.line("S3: a month's images", _gb(load, load.image_kb), "GB", "s3_gb_month"),
        prices.line("images to clients", _gb(load, load.image_kb), "GB", "transfer_out_gb"),
        # SQS, SNS and KMS have no gateway endpoint; S3 and DynamoDB cost nothing here.
        prices.line("data through NAT", _gb(load, 2.5 * load.request_kb), "GB", "nat_gb"),
        # Six transitions and two requests, some 500 bytes each.
        prices.line("logs", _gb(load, 4), "GB", "log_gb"),
        prices.line("traces, 5 of 100", 0.05 * 2 * millions, "million", "traces_million"),
        # A data key serves five minutes of messages: by time, not by image.
        prices.line("KMS requests", 5, "10,000", "kms_10k_requests"),
    ]


def _disks(load: Load, prices: Prices) -> list[Line]:
    """Of GPU nodes, by the hours that they are there."""
    months = (load.gpu_hours + load.waiting_hours) / prices.hours
    return [
        prices.line("GPU nodes' disks", load.disk_gb * months, "GB", "gp3_gb_month"),
        # Beyond the 3,000 IOPS and 125 MiB/s that every volume has.
        prices.line("their IOPS", (load.disk_iops - 3000) * months, "IOPS", "gp3_iops_month"),
        prices.line(
            "their throughput", (load.disk_mib_s - 125) * months, "MiB/s", "gp3_mibs_month"
        ),
        prices.line(
            "snapshot fetched at each cold start",
            load.bursts * load.snapshot_gb,
            "GB",
            "volume_initialization_gb",
        ),
    ]


def _gb(load: Load, kilobytes: float) -> float:
    return load.images * kilobytes * 1024 / GIB
