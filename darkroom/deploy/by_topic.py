"""The smoke test's job by the topics: in China no API answers without an ICP licence."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobs.notice import Notice
from jobs.outcome import Output
from jobs.view import JobView, LinkView, TimeView
from records.errors import translated

#: Seconds that the address of an image is good for.
_URL_S = 900


@dataclass(frozen=True, kw_only=True)
class ByTopic:
    """A job that is sent to the input topic, and seen by its notice alone."""

    sns: Any
    s3: Any
    topic: Callable[[], str]
    #: By this attribute the topic knows the queue.
    runtime: str

    def send(self, request: Mapping[str, Any]) -> datetime:
        """Publish what a client would post; when that was."""
        kind = {"runtime": {"DataType": "String", "StringValue": self.runtime}}
        with translated("SNS Publish"):
            self.sns.publish(
                TopicArn=self.topic(), Message=json.dumps(request), MessageAttributes=kind
            )
        return datetime.now(UTC)

    def view(self, notice: Notice, accepted: datetime) -> JobView:
        """The job as its notice has it; only the API would know the points in between."""
        job = notice.job
        path = f"/v1/jobs/{job['uid']}"
        return JobView(
            uid=job["uid"],
            id=notice.id,
            status=job["status"],
            runtime=notice.runtime,
            model=job["model"],
            priority="interactive",
            input=None,
            outputs=tuple(map(self._output, job["outputs"], notice.image_url)),
            times=TimeView(accepted=accepted),
            urls=LinkView(get=path, cancel=f"{path}/cancel"),
        )

    def _output(self, output: Mapping[str, Any], place: str) -> Output:
        bucket, _, key = place.removeprefix("s3://").partition("/")
        with translated(f"S3, the address of {key}"):
            url = self.s3.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=_URL_S
            )
        return Output.model_validate({**output, "url": url})
