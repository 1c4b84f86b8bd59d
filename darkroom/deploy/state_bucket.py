"""The bucket of Terraform's state: the first thing there is, and the last that goes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.step import Standing
from records.errors import MISSING, ObjectMissing, translated

#: us-east-1 is where S3 puts a bucket that says nothing, and it refuses to be told so.
_UNSAID = "us-east-1"
_UNSET = MISSING | {
    "NoSuchBucket",
    "NoSuchBucketPolicy",
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
}
_BLOCKED = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)


@dataclass(frozen=True, kw_only=True)
class StateBucket:
    """Versioned, so that a state can be had back; encrypted; by TLS only; never public."""

    s3: Any
    bucket: str
    region: str
    partition: str
    installation: str
    #: Taken away only on request: without its state nobody can remove what is left elsewhere.
    delete: bool = False

    name = "state bucket"
    takes = "seconds"

    def check(self) -> Standing:
        """All five properties, read back."""
        try:
            with translated(f"S3, bucket {self.bucket}", missing=_UNSET):
                self.s3.head_bucket(Bucket=self.bucket)
                versioning = self.s3.get_bucket_versioning(Bucket=self.bucket)
                self.s3.get_bucket_encryption(Bucket=self.bucket)
                blocked = self.s3.get_public_access_block(Bucket=self.bucket)
                policy = self.s3.get_bucket_policy(Bucket=self.bucket)
        except ObjectMissing:
            return Standing(done=False)
        done = (
            versioning.get("Status") == "Enabled"
            and blocked["PublicAccessBlockConfiguration"] == _BLOCKED
            and json.loads(policy["Policy"]) == self._policy()
        )
        return Standing(done=done, says=self.bucket)

    def apply(self) -> None:
        """Make the bucket, and set everything again: each call may be repeated."""
        with translated(f"S3, bucket {self.bucket}"):
            if not self.exists():
                where = (
                    {}
                    if self.region == _UNSAID
                    else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
                )
                self.s3.create_bucket(Bucket=self.bucket, **where)
            self.s3.put_public_access_block(
                Bucket=self.bucket, PublicAccessBlockConfiguration=_BLOCKED
            )
            self.s3.put_bucket_versioning(
                Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}
            )
            rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            self.s3.put_bucket_encryption(
                Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
            )
            self.s3.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(self._policy()))
            tag = {"Key": "darkroom:installation", "Value": self.installation}
            self.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": [tag]})

    def undo(self) -> None:
        """Delete the bucket with all versions, if that was asked for."""
        if not self.delete or not self.exists():
            return
        with translated(f"S3, bucket {self.bucket}"):
            for batch in self._versions():
                self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": batch})
            self.s3.delete_bucket(Bucket=self.bucket)

    def exists(self) -> bool:
        """Whether there is one, whatever its properties."""
        try:
            with translated(f"S3, bucket {self.bucket}", missing=MISSING | {"NoSuchBucket"}):
                self.s3.head_bucket(Bucket=self.bucket)
        except ObjectMissing:
            return False
        return True

    def _versions(self) -> Iterator[list[dict[str, str]]]:
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket)
        for page in pages:
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if found:
                yield [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]

    def _policy(self) -> dict[str, Any]:
        arn = f"arn:{self.partition}:s3:::{self.bucket}"
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": {"AWS": "*"},
                    "Action": "s3:*",
                    "Resource": [arn, f"{arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
