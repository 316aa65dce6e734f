"""The state of the account that conditions refer to: tags, aliases and policies of keys, boundaries of roles, tags of
networks, and the functions of mappings; updated from the response of each call.

In: policies.json, then each call after it was judged. Out: context keys of a resource. What can go wrong: a name that no
call made; it has no tags then, and a condition on them fails, as it would on AWS.
"""

import json
import re
import uuid

EC2 = {
    "vpc": "vpc", "subnet": "subnet", "igw": "internet-gateway", "nat": "natgateway", "rtb": "route-table", "sg": "security-group",
    "sgr": "security-group-rule", "eipalloc": "elastic-ip", "fl": "vpc-flow-log", "vpce": "vpc-endpoint", "eni": "network-interface",
    "acl": "network-acl",
}
EC2_ID = r"\b((?:%s|rtbassoc|eipassoc)-[0-9a-f]{8,17})\b" % "|".join(EC2)


class Account:
    """One account of the emulator, as far as the calls show it."""

    def __init__(self, account, region, found):
        self.account, self.region = account, region
        self.keys = {arn: {"tags": key["tags"], "aliases": set(), "policy": key["policy"]} for arn, key in found["keys"].items()}
        for alias, arn in found["aliases"].items():
            self.keys[arn]["aliases"].add(alias)
        self.buckets = dict(found["buckets_keys"])
        self.boundaries, self.networks, self.parts, self.mappings, self.used = {}, {}, {}, {}, {}

    def arn(self, service, resource):
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def ec2(self, identity):
        """Returns the ARN of a resource in a VPC; for an association, that of its route table or address."""
        identity = self.parts.get(identity, identity)
        return self.arn("ec2", f"{EC2[identity.partition('-')[0]]}/{identity}")

    def key(self, name):
        """Finds a key's ARN by id, ARN or alias."""
        if name.startswith("alias/") or ":alias/" in name:
            alias = name[name.index("alias/"):]
            found = next((arn for arn, key in self.keys.items() if alias in key["aliases"]), None)
            return self.managed(alias) if found is None and alias.startswith("alias/aws/") else found
        return name if name.startswith("arn:") else self.arn("kms", f"key/{name}")

    def managed(self, alias):
        """Adds an AWS managed key: no tags, and a policy that leaves access to its metadata to the account's own policies."""
        arn = self.arn("kms", f"key/{uuid.uuid5(uuid.NAMESPACE_URL, alias)}")
        metadata = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{self.account}:root"}, "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"], "Resource": "*"}
        self.keys[arn] = {"tags": {}, "aliases": {alias}, "policy": {"Version": "2012-10-17", "Statement": [metadata]}}
        return arn

    def context(self, arn):
        """Returns the context keys of a resource."""
        tags, found = {}, {}
        if arn in self.keys:
            tags = self.keys[arn]["tags"]
            found["kms:ResourceAliases"] = sorted(self.keys[arn]["aliases"])
        elif arn.startswith("arn:aws:ec2:"):
            tags = self.networks.get(arn.rpartition("/")[2], {})
        elif ":role/" in arn and arn.rpartition("/")[2] in self.boundaries:
            found["iam:PermissionsBoundary"] = self.boundaries[arn.rpartition("/")[2]]
        elif ":event-source-mapping:" in arn and arn.rpartition(":")[2] in self.mappings:
            found["lambda:FunctionArn"] = self.mappings[arn.rpartition(":")[2]]
        return {f"aws:ResourceTag/{key}": value for key, value in tags.items()} | {name: value for name, value in found.items() if value}

    def update(self, call):
        """Applies the changes of a call."""
        if call.status >= 300:
            return
        getattr(self, f"_{call.service}", lambda *_: None)(call, call.params)

    def _kms(self, call, params):
        if call.operation == "CreateKey":
            made = json.loads(call.answer)["KeyMetadata"]["Arn"]
            self.keys[made] = {"tags": call.tags(), "aliases": set(), "policy": json.loads(params["Policy"])}
        elif call.operation == "PutKeyPolicy":
            self.keys[self.key(params["KeyId"])]["policy"] = json.loads(params["Policy"])
        elif call.operation == "TagResource":
            self.keys[self.key(params["KeyId"])]["tags"] |= call.tags()
        elif call.operation == "CreateAlias":
            self.keys[self.key(params["TargetKeyId"])]["aliases"].add(params["AliasName"])
        elif call.operation == "DeleteAlias":
            for key in self.keys.values():
                key["aliases"].discard(params["AliasName"])

    def _iam(self, call, params):
        if call.operation in ("CreateRole", "PutRolePermissionsBoundary"):
            self.boundaries[params["RoleName"]] = params.get("PermissionsBoundary")

    def _ec2(self, call, params):
        if call.operation == "CreateTags":
            for name in params["Resources"]:
                self.networks.setdefault(name, {}).update(call.tags())
        made = call.operation.startswith(("Create", "Allocate", "Authorize"))
        for part in params.get("TagSpecifications", []) if made else []:
            prefix = next(prefix for prefix, kind in EC2.items() if kind == part["ResourceType"])
            for name in call.find_in_response(rf"\b({prefix}-[0-9a-f]{{8,17}})\b"):
                if name not in json.dumps(params):
                    self.networks.setdefault(name, {tag["Key"]: tag["Value"] for tag in part["Tags"]})
        # The table or address of each association.
        for table, body in re.findall(r"<routeTableId>(rtb-\w+)</routeTableId>(.*?)(?=<routeTableId>|$)", call.answer, re.S) if call.operation == "DescribeRouteTables" else []:
            self.parts |= {association: table for association in re.findall(r"rtbassoc-\w+", body)}
        if call.operation == "AssociateRouteTable":
            self.parts |= {association: params["RouteTableId"] for association in call.find_in_response(r"(rtbassoc-\w+)")}
        for address, body in re.findall(r"<allocationId>(eipalloc-\w+)</allocationId>(.*?)(?=</item>)", call.answer, re.S) if call.operation == "DescribeAddresses" else []:
            self.parts |= {association: address for association in re.findall(r"eipassoc-\w+", body)}

    def _lambda(self, call, params):
        if call.operation == "CreateEventSourceMapping":
            made = json.loads(call.answer)
            self.mappings[made["UUID"]] = made["FunctionArn"]

    def _dynamodb(self, call, params):
        if call.operation == "CreateTable":
            self.used[("dynamodb", params["TableName"])] = params.get("SSESpecification", {}).get("KMSMasterKeyId")

    def _secretsmanager(self, call, params):
        if call.operation == "CreateSecret":
            made = json.loads(call.answer)["ARN"]
            self.used[("secretsmanager", made)] = self.used[("secretsmanager", params["Name"])] = params.get("KmsKeyId")

    def _kinesis(self, call, params):
        if call.operation == "StartStreamEncryption":
            self.used[("kinesis", params.get("StreamName") or params["StreamARN"])] = params["KeyId"]
