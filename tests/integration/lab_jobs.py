"""The jobs of a scaling lab: accepted, put into the queue, and what has become of them."""

from jobs.message import Message
from records.accept import accept
from records.aws import S3Store, SqsQueue
from records.clock import now_ms
from records.dynamo import DynamoTable
from records.record import Record, job_key
from tests.integration.serve_stack import make_job

#: SQS takes so many messages at once.
_BATCH = 10


class LabJobs:
    """Jobs of the runtime `demo`; `client` gives the boto3 client of a service."""

    def __init__(self, client, cloud):
        self._sqs, self._url = client("sqs"), cloud.queues["demo"].jobs
        self._table = DynamoTable(client("dynamodb"), cloud.table)
        self._store = S3Store(client("s3"), cloud.bucket)
        self._notices = SqsQueue(client("sqs"), cloud.notice_queues["checker"])
        self._uids = []
        #: Jobs whose notice has come.
        self.done = 0

    def submit(self, jobs):
        """Accept so many jobs, then have them in the queue all at once."""
        entries = []
        for seed in range(1, jobs + 1):
            job = make_job(seed=seed)
            accept(
                self._table, self._store, job, fingerprint=job.uid, republish_at=now_ms() + 10**9
            )
            message = Message(uid=job.uid, job=job).encode()
            entries.append({"Id": str(seed), "MessageBody": message})
            self._uids.append(job.uid)
        for start in range(0, jobs, _BATCH):
            self._sqs.send_message_batch(
                QueueUrl=self._url, Entries=entries[start : start + _BATCH]
            )

    def hear(self):
        """Take the notices that have come."""
        for notice in self._notices.receive(limit=_BATCH, wait_s=0):
            self._notices.delete(notice)
            self.done += 1

    def records(self):
        """What has become of the jobs."""
        return [Record.from_item(self._table.get(job_key(uid))) for uid in self._uids]
