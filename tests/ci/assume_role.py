"""Exchanges a job's identity for the role that its workflow names, as aws-actions/configure-aws-credentials does.

In: the role and the region; ROAD_ISSUER (where `issuer.py` listens) and what the runner knows of its run: ROAD_WORKFLOW, ROAD_INPUTS,
ROAD_MATRIX, GITHUB_JOB, GITHUB_REF, GITHUB_SHA, GITHUB_REPOSITORY, GITHUB_RUN_ID, GITHUB_EVENT_NAME. Out: the credentials, the region and
the address of the job's tokens as variables of the later steps. Exit: 1 with AWS's or GitHub's reason if the job may not have the role.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml


def read(request):
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        print(f"::error::{error.read().decode()}")
        raise SystemExit(1) from None


def main():
    role, region = sys.argv[1:]
    if not role:
        print("::error::the workflow names no role: is the variable of the environment set?")
        raise SystemExit(1)
    issuer = os.environ["ROAD_ISSUER"]
    run = {
        "workflow": os.environ["ROAD_WORKFLOW"],
        "job": os.environ["GITHUB_JOB"],
        "ref": os.environ["GITHUB_REF"],
        "sha": os.environ["GITHUB_SHA"],
        "repository": os.environ["GITHUB_REPOSITORY"],
        "run": os.environ.get("GITHUB_RUN_ID", "1"),
        "event": os.environ.get("GITHUB_EVENT_NAME", "push"),
        "inputs": os.environ.get("ROAD_INPUTS", "{}"),
        "matrix": os.environ.get("ROAD_MATRIX", "{}"),
    }
    address = f"{issuer}/token?{urllib.parse.urlencode(run)}"
    token = json.loads(read(address))["value"]
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": f"{run['job']}-{run['run']}",
        "WebIdentityToken": token,
    }
    answer = xml.fromstring(read(urllib.request.Request(issuer, urllib.parse.urlencode(form).encode())))
    found = {element.tag.rpartition("}")[2]: element.text for element in answer.iter()}
    variables = {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "ACTIONS_ID_TOKEN_REQUEST_URL": address,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "road",
    }
    with open(os.environ["GITHUB_ENV"], "a") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
    print(f"{role} for {run['job']}")


if __name__ == "__main__":
    main()
