"""What an attacker's job tries with the credentials that it got. Each line on stdout is one attempt and its end: `allowed` or the refusal.

In: attempts as arguments, `put:BUCKET/KEY`, `delete:BUCKET/KEY`, `get:BUCKET/KEY`, `sign:KEY`, `tag:KEY`, `policy:KEY`, `remove:KEY` and `assume:ROLE`.
Exit: 0, whatever was refused.
"""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ONE_ATTEMPT = Config(retries={"total_max_attempts": 1})


def client(service):
    return boto3.client(service, config=ONE_ATTEMPT)


def attempt(action, target):
    bucket, _, key = target.partition("/")
    if action == "put":
        client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}", IfNoneMatch="*")
    elif action == "overwrite":
        client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")
    elif action == "delete":
        client("s3").delete_object(Bucket=bucket, Key=key)
    elif action == "get":
        client("s3").get_object(Bucket=bucket, Key=key)
    elif action == "list":
        client("s3").list_objects_v2(Bucket=bucket)
    elif action == "sign":
        client("kms").sign(KeyId=target, Message=b"a release", MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256")
    elif action == "tag":
        client("kms").tag_resource(KeyId=target, Tags=[{"TagKey": "Environment", "TagValue": "dev"}])
    elif action == "policy":
        client("kms").put_key_policy(KeyId=target, PolicyName="default", Policy="{}")
    elif action == "remove":
        client("kms").schedule_key_deletion(KeyId=target, PendingWindowInDays=7)
    elif action == "assume":
        client("sts").assume_role(RoleArn=target, RoleSessionName="attack")
    else:
        raise SystemExit(f"{action}: not known here")


for argument in sys.argv[1:]:
    action, _, target = argument.partition(":")
    try:
        attempt(action, target)
        print(f"{argument}: allowed", flush=True)
    except ClientError as refused:
        print(f"{argument}: {refused.response['Error']['Code']}: {refused.response['Error']['Message']}", flush=True)
