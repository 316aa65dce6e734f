"""Exchanges a job's identity for the role that its workflow names, as aws-actions/configure-aws-credentials does.

In: the role and the region; ROAD_ISSUER (where `issuer.py` listens), GITHUB_JOB and GITHUB_RUN_ID. A value `variables.NAME` is the
variable NAME as the job's environment has it: `act` has one set of variables for all jobs, GitHub one for each environment. Out: the
credentials, the region and the address of the job's tokens as variables of the later steps. Exit: 1 with AWS's or GitHub's reason if the job
may not have the role.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml

ISSUER = os.environ["ROAD_ISSUER"]
JOB = {"job": os.environ["GITHUB_JOB"], "run": os.environ["GITHUB_RUN_ID"]}


def read(request):
    try:
        # The gate of an environment with reviewers is behind this request.
        with urllib.request.urlopen(request, timeout=1000) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        print(f"::error::{error.read().decode()}")
        raise SystemExit(1) from None


def value(text):
    name = text.removeprefix("variables.")
    if name == text:
        return text
    return json.loads(read(f"{ISSUER}/variable?{urllib.parse.urlencode(JOB | {'name': name})}"))["value"]


def main():
    role, region = map(value, sys.argv[1:])
    if not role or not region:
        print("::error::the workflow names no role or no region: are the variables of the environment set?")
        raise SystemExit(1)
    address = f"{ISSUER}/token?{urllib.parse.urlencode(JOB)}"
    token = json.loads(read(address))["value"]
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": f"{JOB['job']}-{JOB['run']}",
        "WebIdentityToken": token,
    }
    answer = xml.fromstring(read(urllib.request.Request(ISSUER, urllib.parse.urlencode(form).encode())))
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
        file.writelines(f"{name}={text}\n" for name, text in variables.items())
    print(f"{role} for {JOB['job']}")


if __name__ == "__main__":
    main()
