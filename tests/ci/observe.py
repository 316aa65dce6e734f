"""Reads what is so in the emulated accounts, past Slipway: ledgers, aliases, the keys of buckets.

In: on stdin a line of JSON, the credentials of a role that may assume every other one; `--emulator URL` and an account for each name,
`--account dev=222222222222`. Out: a JSON document on stdout: by name the keys of each bucket with their entity tags, the entries of the
ledger in the order of their keys, and by function the version and the code of the alias `live`. `--loosen` first writes what bootstrap says of
each account to `$ROAD/policies.json`, and replaces each policy of CI's roles by a copy that the emulator can judge (see
tests/policies/record.py).
"""

import argparse
import json
import os
import pathlib
import sys

import boto3

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "policies"))
from record import without_conditions  # noqa: E402


def client(service, emulator, keys):
    return boto3.client(
        service, endpoint_url=emulator, region_name="eu-central-1", aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"],
    )


def observe(emulator, keys):
    s3, functions = client("s3", emulator, keys), client("lambda", emulator, keys)
    found = {"buckets": {}, "ledger": [], "aliases": {}}
    for bucket in s3.list_buckets()["Buckets"]:
        objects = s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
        found["buckets"][bucket["Name"]] = {item["Key"]: item["ETag"].strip('"') for item in objects}
        for item in objects:
            if item["Key"].startswith("ledger/"):
                body = s3.get_object(Bucket=bucket["Name"], Key=item["Key"])["Body"].read()
                found["ledger"].append({"key": item["Key"], "entry": json.loads(body)})
    for function in functions.list_functions()["Functions"]:
        name = function["FunctionName"]
        for alias in functions.list_aliases(FunctionName=name)["Aliases"]:
            version = functions.get_function_configuration(FunctionName=name, Qualifier=alias["FunctionVersion"])
            found["aliases"][f"{name}:{alias['Name']}"] = [alias["FunctionVersion"], version["CodeSha256"]]
    return found


def exact(emulator, keys, account):
    """Returns the policies as they would be on AWS, and the ARN of the release key, from the state of bootstrap."""
    stored = client("s3", emulator, keys).get_object(Bucket=f"shop-{account}-bootstrap-tfstate", Key="bootstrap.tfstate")["Body"].read()
    state = json.loads(stored)
    signing = [resource for resource in state["resources"] if (resource["type"], resource["name"]) == ("aws_kms_key", "signing")]
    arns = [instance["attributes"]["arn"] for resource in signing for instance in resource["instances"]]
    return state["outputs"]["policies"]["value"] | {"release_key": next(iter(arns), None)}


def loosen(emulator, keys):
    iam = client("iam", emulator, keys)
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        document = without_conditions(json.dumps(version["Document"]))
        iam.create_policy_version(PolicyArn=policy["Arn"], PolicyDocument=document, SetAsDefault=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--emulator", required=True)
    parser.add_argument("--account", action="append", default=[])
    parser.add_argument("--loosen", action="store_true")
    given = parser.parse_args()
    sts = client("sts", given.emulator, json.loads(sys.stdin.readline()))
    found, policies = {}, {}
    for pair in given.account:
        name, account = pair.split("=")
        keys = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/road", RoleSessionName="road")["Credentials"]
        if given.loosen:
            policies[account] = exact(given.emulator, keys, account)
            loosen(given.emulator, keys)
        found[name] = observe(given.emulator, keys)
    if given.loosen:
        (pathlib.Path(os.environ["ROAD"]) / "policies.json").write_text(json.dumps(policies))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
