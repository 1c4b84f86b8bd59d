"""Queue, bucket and topic on AWS. The boto3 clients are given, never made here."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from records.errors import MISSING, NOT_OURS, ObjectTooLarge, translated
from records.queue import Delivery
from records.topic import MAX_ATTRIBUTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient


class SqsQueue:
    """One SQS queue."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, body: str, notes: Mapping[str, str] | None = None) -> None:
        with translated("SQS SendMessage"):
            self._client.send_message(
                QueueUrl=self._url, MessageBody=body, MessageAttributes=_attributes(notes or {})
            )

    def receive(self, *, limit: int, wait_s: int) -> Sequence[Delivery]:
        with translated("SQS ReceiveMessage"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(limit, 10),
                WaitTimeSeconds=wait_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                MessageAttributeNames=["All"],
            )
        return [
            Delivery(
                message_id=message["MessageId"],
                receipt=message["ReceiptHandle"],
                body=message["Body"],
                receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
                sent_ms=int(message["Attributes"]["SentTimestamp"]),
                notes={
                    name: value.get("StringValue", "")
                    for name, value in message.get("MessageAttributes", {}).items()
                },
            )
            for message in answer.get("Messages", [])
        ]

    def extend(self, deliveries: Sequence[Delivery], *, visibility_s: int) -> Sequence[Delivery]:
        refused: list[Delivery] = []
        for start in range(0, len(deliveries), 10):  # SQS takes ten entries a call
            batch = deliveries[start : start + 10]
            with translated("SQS ChangeMessageVisibilityBatch"):
                answer = self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {
                            "Id": str(number),
                            "ReceiptHandle": delivery.receipt,
                            "VisibilityTimeout": visibility_s,
                        }
                        for number, delivery in enumerate(batch)
                    ],
                )
            refused += [batch[int(entry["Id"])] for entry in answer.get("Failed", [])]
        return refused

    def release(self, delivery: Delivery, *, delay_s: int = 0) -> None:
        with translated("SQS ChangeMessageVisibility"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=delivery.receipt, VisibilityTimeout=delay_s
            )

    def delete(self, delivery: Delivery) -> None:
        with translated("SQS DeleteMessage"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=delivery.receipt)

    def depth(self) -> tuple[int, int]:
        with translated("SQS GetQueueAttributes"):
            answer = self._client.get_queue_attributes(
                QueueUrl=self._url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed",
                ],
            )
        found = answer["Attributes"]
        return (
            int(found["ApproximateNumberOfMessages"]),
            int(found["ApproximateNumberOfMessagesNotVisible"])
            + int(found["ApproximateNumberOfMessagesDelayed"]),
        )


class S3Store:
    """One S3 bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        return self._bucket

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        with translated("S3 PutObject"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=media_type)

    def get(self, key: str) -> bytes:
        with translated("S3 GetObject", missing=MISSING):
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def delete(self, key: str) -> None:
        with translated("S3 DeleteObject"):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def presign(self, key: str, *, expires_s: int) -> str:
        with translated("S3 presign"):
            return self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=expires_s
            )


class S3Reader:
    """Objects of any bucket, as far as our role may read them."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def read(self, bucket: str, key: str, *, most_bytes: int) -> bytes:
        with translated("S3 GetObject", missing=NOT_OURS):
            body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
            with body:
                data: bytes = body.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise ObjectTooLarge(f"{key} has more than {most_bytes} bytes")
        return data


class SnsTopic:
    """One SNS topic."""

    def __init__(self, client: "SNSClient", arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, body: str, attributes: Mapping[str, str]) -> None:
        if len(attributes) > MAX_ATTRIBUTES:
            raise ValueError(f"{len(attributes)} attributes, SNS keeps {MAX_ATTRIBUTES}")
        with translated("SNS Publish"):
            self._client.publish(
                TopicArn=self._arn, Message=body, MessageAttributes=_attributes(attributes)
            )


def _attributes(values: Mapping[str, str]) -> dict[str, Any]:
    """Message attributes as SNS and SQS take them."""
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
