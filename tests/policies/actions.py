"""Maps calls to the IAM requests that AWS makes for them: action, resource, context; including dependent actions.

In: `<folder>/calls.jsonl` and `<folder>/policies.json`. Out: `<folder>/requests.json` for evaluate.mjs. What can go wrong:
a call without an entry in the tables below; the run ends with exit 1 and names it, since an unmapped call is not judged.

Sources: the Service Authorization Reference (all actions, resource types and conditions; evaluate.mjs checks every request
against it) and, for the dependent actions of a call, the page named beside each entry of `dependents`.
"""

import json
import pathlib
import re
import sys

from account import EC2_ID, Account
from calls import Call
from declared import declared

ACCOUNT, REGION = "222222222222", "eu-central-1"
PARTITION = "arn:aws"

# Operations with another name in IAM.
NAMES = {
    "lambda:Invoke": "lambda:InvokeFunction", "s3:HeadObject": "s3:GetObject", "s3:HeadBucket": "s3:ListBucket", "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads", "s3:ListParts": "s3:ListMultipartUploadParts", "s3:ListObjects": "s3:ListBucket", "s3:ListObjectVersions": "s3:ListBucketVersions", "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration", "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration", "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration", "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock", "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls", "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:CreateMultipartUpload": "s3:PutObject", "s3:UploadPart": "s3:PutObject", "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration", "s3:DeleteObjects": "s3:DeleteObject", "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketLogging": "s3:GetBucketLogging", "s3:GetBucketCors": "s3:GetBucketCORS", "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
}

# The first needs no permission. The second is called only with AWS_ENDPOINT_URL, whose endpoint may not check
# a bucket's expected owner, and where `emulated` asks S3 whether it is AWS; it is not called on AWS.
FREE = {"sts:GetCallerIdentity", "s3:ListBuckets"}

# The actions that these patterns in the functions' policies stand for.
PATTERNS = {"kms:ReEncrypt*": ["kms:ReEncryptFrom", "kms:ReEncryptTo"], "kms:GenerateDataKey*": ["kms:GenerateDataKey"]}

# Actions without a resource: `*` in a policy.
WITHOUT_RESOURCE = re.compile(r"^(ec2:Describe\w+|kms:(ListAliases|CreateKey)|logs:(DescribeLogGroups|DescribeResourcePolicies|PutResourcePolicy|\w+LogDelivery|ListLogDeliveries)"
                     r"|kinesis:(DescribeLimits|UpdateShardCount|UpdateStreamMode)|lambda:(CreateEventSourceMapping|ListEventSourceMappings|GetAccountSettings)|cloudwatch:(ListMetrics|GetMetricData|GetMetricStatistics)"
                     r"|ecr:GetAuthorizationToken|sns:(GetSubscriptionAttributes|Unsubscribe|SetSubscriptionAttributes|ListTopics))$")


class Mapping:
    """Maps the calls of an account, in their order."""

    def __init__(self, account):
        self.account, self.requests = account, []

    def request(self, call, action, arn, more=None, why=""):
        context = {"aws:RequestedRegion": REGION, "aws:SecureTransport": "true", "aws:PrincipalAccount": ACCOUNT}
        tags = call.tags()
        if tags and (more is None or "kms:ViaService" not in more):
            context |= {f"aws:RequestTag/{key}": value for key, value in tags.items()} | {"aws:TagKeys": sorted(tags)}
        context |= self.account.context(arn) | (more or {})
        found = {"stack": call.stack, "role": call.step.rpartition("/")[2], "step": call.step, "call": f"{call.service}:{call.operation}", "action": action, "resource": arn, "context": context, "why": why}
        if arn in self.account.keys:
            found["resource_policy"] = self.account.keys[arn]["policy"]
        self.requests.append(found)

    def take(self, call):
        """Adds the IAM requests of one call."""
        service = "apigateway" if call.service == "apigatewayv2" else call.service
        name = f"{service}:{call.operation}"
        # Without a signature a deployed function's own address asks for no permission: it answers whoever calls.
        if name in FREE or not call.is_signed:
            return
        if service == "apigateway":
            self.http_api(call)
        elif service == "ec2":
            self.network(call)
        else:
            action = NAMES.get(name, name)
            arns = ["*"] if WITHOUT_RESOURCE.match(action) else getattr(self, f"arns_{service.replace('-', '_')}")(call, call.params)
            more = {}
            if action == "iam:CreateRole" and call.params.get("PermissionsBoundary") or action == "iam:PutRolePermissionsBoundary":
                more["iam:PermissionsBoundary"] = call.params["PermissionsBoundary"]
            if "PolicyArn" in call.params and "RolePolicy" in action:
                more["iam:PolicyARN"] = call.params["PolicyArn"]
            if action == "lambda:CreateEventSourceMapping":
                more["lambda:FunctionArn"] = self.function(call.params["FunctionName"])
            if action == "s3:PutObject":
                # The parts of a multipart upload make no object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
                makes = name in ("s3:PutObject", "s3:CompleteMultipartUpload")
                more |= {"s3:ObjectCreationOperation": str(makes).lower()} | ({"s3:if-none-match": call.if_none_match} if call.if_none_match else {})
            if action == "kms:Sign":
                more |= {"kms:SigningAlgorithm": call.params["SigningAlgorithm"], "kms:MessageType": call.params.get("MessageType", "RAW")}
            for arn in arns:
                self.request(call, action, arn, more)
        self.dependents(call, name)
        if name == "iam:PutRolePolicy":
            self.within_boundary(call)
        self.account.update(call)

    def within_boundary(self, call):
        """Adds what a policy of a function's role allows: the boundary must allow it too."""
        document = json.loads(call.params["PolicyDocument"])
        for statement in document["Statement"]:
            actions, arns = ([part] if isinstance(part, str) else part for part in (statement["Action"], statement["Resource"]))
            condition_keys = {}
            for operator in statement.get("Condition", {}).values():
                for key, value in operator.items():
                    condition_keys[key] = (value if isinstance(value, str) else value[0]).replace("*", "any")
            for action in (action for name in actions if statement["Effect"] == "Allow" for action in PATTERNS.get(name, [name])):
                for arn in arns:
                    if action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                        arn = f"{arn.removesuffix(':*')}:log-stream:any"
                    arn = "*" if arn == "*" or WITHOUT_RESOURCE.match(action) else re.sub(r"\?{6}$", "AbCdEf", arn).replace("*", "any")
                    context = {"aws:RequestedRegion": REGION, **condition_keys, **self.account.context(arn)}
                    self.requests.append({"stack": call.stack, "role": "function", "step": call.step, "call": f"as {call.params['RoleName']}", "action": action,
                                          "resource": arn, "context": context, "why": "within the boundary", "identity": document})

    # Services whose resources have names.

    def function(self, name):
        return name if name.startswith("arn:") else self.account.arn("lambda", f"function:{name}")

    def arns_lambda(self, call, params):
        if "FunctionName" in params:
            # A qualifier is part of the resource: https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
            arn = self.function(params["FunctionName"])
            qualified = call.operation in ("Invoke", "GetFunction", "GetFunctionConfiguration", "AddPermission", "GetPolicy", "RemovePermission", "GetFunctionUrlConfig")
            return [f"{arn}:{params['Qualifier']}" if qualified and params.get("Qualifier") else arn]
        if "UUID" in params:
            return [self.account.arn("lambda", f"event-source-mapping:{params['UUID']}")]
        return [params["Resource"]]

    def arns_execute_api(self, call, params):
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
        return [self.account.arn("execute-api", f"{params['id']}/$default/{call.method}/{params['path']}")]

    def arns_s3(self, call, params):
        bucket = f"{PARTITION}:s3:::{params['Bucket']}"
        return [f"{bucket}/{params['Key']}" if "Key" in params else f"{bucket}/any" if call.operation == "DeleteObjects" else bucket]

    def arns_iam(self, call, params):
        own = f"{PARTITION}:iam::{ACCOUNT}"
        if "RoleName" in params:
            return [f"{own}:role/{params['RoleName']}"]
        return [params.get("PolicyArn") or f"{own}:policy/{params['PolicyName']}"]

    def arns_dynamodb(self, call, params):
        name = params.get("TableName") or params["ResourceArn"]
        return [name if name.startswith("arn:") else self.account.arn("dynamodb", f"table/{name}")]

    def arns_kinesis(self, call, params):
        arn = params.get("StreamARN") or params.get("ResourceARN") or self.account.arn("kinesis", f"stream/{params['StreamName']}")
        return [arn] + ([self.account.key(params["KeyId"])] if "KeyId" in params else [])

    def arns_kms(self, call, params):
        if call.operation in ("CreateAlias", "UpdateAlias", "DeleteAlias"):
            key = params.get("TargetKeyId") or params["AliasName"]
            return [self.account.arn("kms", params["AliasName"]), self.account.key(key)]
        return [self.account.key(params["KeyId"])]

    def arns_secretsmanager(self, call, params):
        name = params.get("SecretId") or params["Name"]
        return [name if name.startswith("arn:") else self.account.arn("secretsmanager", f"secret:{name}-AbCdEf")]

    def arns_logs(self, call, params):
        arn = params.get("resourceArn") or self.account.arn("logs", f"log-group:{params.get('logGroupName') or params['logGroupIdentifier']}")
        return [arn]

    def arns_cloudwatch(self, call, params):
        if "Dashboard" in call.operation:
            names = params.get("DashboardNames") or [params["DashboardName"]]
            return [f"{PARTITION}:cloudwatch::{ACCOUNT}:dashboard/{name}" for name in names]
        if "ResourceARN" in params:
            return [params["ResourceARN"]]
        names = params.get("AlarmNames") or [params.get("AlarmName", "*")]
        return [self.account.arn("cloudwatch", f"alarm:{name}") for name in names]

    def arns_sns(self, call, params):
        return [params.get("TopicArn") or params.get("ResourceArn") or self.account.arn("sns", params["Name"])]

    def arns_sqs(self, call, params):
        return [self.account.arn("sqs", (params.get("QueueName") or params["QueueUrl"]).rpartition("/")[2])]

    def arns_cloudformation(self, call, params):
        name = params["StackName"]
        return [name if name.startswith("arn:") else self.account.arn("cloudformation", f"stack/{name}/00000000-0000-4000-8000-000000000000")]

    # Services whose resources have ids.

    def http_api(self, call):
        """The actions of HTTP APIs are HTTP methods, their resources paths:
        https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html"""
        path, method = call.path.removeprefix("/v2"), call.method
        self.request(call, f"apigateway:{method}", f"{PARTITION}:apigateway:{REGION}::{path}")

    def network(self, call):
        params, operation = call.params, call.operation
        action = f"ec2:{operation}"
        if operation.startswith("Describe"):
            return self.request(call, action, "*")
        for part in params.get("TagSpecifications", []):
            kind, tags = part["ResourceType"], {tag["Key"]: tag["Value"] for tag in part["Tags"]}
            new = {f"aws:RequestTag/{key}": value for key, value in tags.items()} | {"aws:TagKeys": sorted(tags)}
            arn = self.account.arn("ec2", f"{kind}/new")
            self.request(call, action, arn, new)
            # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
            self.request(call, "ec2:CreateTags", arn, new | {"ec2:CreateAction": operation}, "tags as it is made")
        names = re.findall(EC2_ID, json.dumps({name: value for name, value in params.items() if name != "Filters"}))
        # No permission is needed for the target of a route, the network of a flow log, and resources in lists of permissions.
        names = [params["RouteTableId"]] if "Route" in operation and "DestinationCidrBlock" in params else names
        for name in sorted(set(names)):
            # Rules have tags, but are not a resource of the call that revokes them.
            if name.startswith("sgr-") and operation.startswith("Revoke"):
                continue
            if name.startswith("eipassoc-"):
                # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html: elastic-ip
                name = self.account.parts.get(name, name)
            self.request(call, action, self.account.ec2(name))

    # Dependent actions.

    def tagging(self, call, action, arn):
        if call.tags():
            self.request(call, action, arn, None, "tags as it is made")

    def passing(self, call, arn, service):
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"""
        if arn:
            self.request(call, "iam:PassRole", arn, {"iam:PassedToService": service}, "the role that it names")

    def using(self, call, key, service, *actions):
        if key and (arn := self.account.key(key)):
            for action in actions:
                via = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com", "kms:CallerAccount": ACCOUNT}
                if action == "CreateGrant":
                    via["kms:GrantIsForAWSResource"] = "true"
                self.request(call, f"kms:{action}", arn, via, "the key that encrypts it")

    def dependents(self, call, name):
        params, account = call.params, self.account
        if name in ("lambda:CreateFunction", "lambda:UpdateFunctionConfiguration", "lambda:UpdateFunctionCode"):
            self.passing(call, params.get("Role"), "lambda.amazonaws.com")
            # https://docs.aws.amazon.com/lambda/latest/dg/security-encryption-at-rest.html
            self.using(call, params.get("KMSKeyArn"), "lambda", "CreateGrant", "Decrypt", "Encrypt", "GenerateDataKey")
            code = params.get("Code", params)
            if code.get("S3Bucket"):
                # https://docs.aws.amazon.com/lambda/latest/dg/configuration-function-zip.html: with the caller's permissions.
                self.request(call, "s3:GetObject", f"{PARTITION}:s3:::{code['S3Bucket']}/{code['S3Key']}", None, "the code that it names")
                self.using(call, account.buckets.get(code["S3Bucket"]), "s3", "Decrypt")
            if params.get("VpcConfig", {}).get("SubnetIds"):
                # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
                for what in ("SecurityGroups", "Subnets", "Vpcs"):
                    self.request(call, f"ec2:Describe{what}", "*", None, "the network that it joins")
        if name == "lambda:CreateFunction":
            self.tagging(call, "lambda:TagResource", self.function(params["FunctionName"]))
        if name == "lambda:CreateEventSourceMapping":
            self.tagging(call, "lambda:TagResource", account.arn("lambda", "event-source-mapping:00000000-0000-4000-8000-000000000000"))
        if name == "iam:CreateRole":
            self.tagging(call, "iam:TagRole", f"{PARTITION}:iam::{ACCOUNT}:role/{params['RoleName']}")
        if name == "iam:CreatePolicy":
            self.tagging(call, "iam:TagPolicy", f"{PARTITION}:iam::{ACCOUNT}:policy/{params['PolicyName']}")
        if name == "ec2:CreateFlowLogs":
            # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-user.html
            self.passing(call, params.get("DeliverLogsPermissionArn"), "vpc-flow-logs.amazonaws.com")
        if name == "ec2:CreateNatGateway":
            self.linked(call, "natgateway", "AWSServiceRoleForNATGateway")
        if name == "kms:CreateKey":
            self.tagging(call, "kms:TagResource", account.arn("kms", "key/00000000-0000-4000-8000-000000000000"))
        if name == "logs:CreateLogGroup":
            self.tagging(call, "logs:TagResource", self.arns_logs(call, params)[0])
        if name == "cloudwatch:PutMetricAlarm":
            self.tagging(call, "cloudwatch:TagResource", self.arns_cloudwatch(call, params)[0])
        if name == "sns:CreateTopic":
            self.tagging(call, "sns:TagResource", self.arns_sns(call, params)[0])
        if name == "sqs:CreateQueue":
            self.tagging(call, "sqs:TagQueue", self.arns_sqs(call, params)[0])
        if name == "dynamodb:CreateTable":
            self.tagging(call, "dynamodb:TagResource", self.arns_dynamodb(call, params)[0])
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
            self.using(call, params.get("SSESpecification", {}).get("KMSMasterKeyId"), "dynamodb", "CreateGrant", "Decrypt", "DescribeKey", "Encrypt",
                       "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo")
        if name == "kinesis:CreateStream":
            self.tagging(call, "kinesis:TagResource", self.arns_kinesis(call, params)[0])
        if name == "kinesis:StartStreamEncryption":
            # https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
            self.using(call, params["KeyId"], "kinesis", "DescribeKey", "GenerateDataKey")
        if name in ("secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret", "secretsmanager:GetSecretValue"):
            # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
            key = params.get("KmsKeyId") or account.used.get(("secretsmanager", params.get("SecretId")))
            self.using(call, key, "secretsmanager", *(["Decrypt"] if name.endswith("GetSecretValue") else ["Decrypt", "GenerateDataKey"]))
        if name == "secretsmanager:CreateSecret":
            self.tagging(call, "secretsmanager:TagResource", self.arns_secretsmanager(call, params)[0])
        if name in ("s3:PutObject", "s3:GetObject", "s3:HeadObject"):
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
            self.using(call, account.buckets.get(params["Bucket"]), "s3", "GenerateDataKey" if name == "s3:PutObject" else "Decrypt")
        if call.service == "apigatewayv2":
            if call.operation == "CreateApi":
                self.linked(call, "ops.apigateway", "AWSServiceRoleForAPIGateway")
                if call.tags():
                    self.request(call, "apigateway:PUT", f"{PARTITION}:apigateway:{REGION}::/tags/new", None, "tags as it is made")
            if call.operation in ("CreateStage", "UpdateStage") and params.get("AccessLogSettings"):
                # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
                for action in ("CreateLogDelivery", "DescribeResourcePolicies", "GetLogDelivery", "ListLogDeliveries", "PutResourcePolicy", "UpdateLogDelivery"):
                    self.request(call, f"logs:{action}", "*", None, "the log that it writes")
                self.request(call, "logs:DescribeLogGroups", "*", None, "the log that it writes")
            if call.operation == "DeleteStage":
                self.request(call, "logs:DeleteLogDelivery", "*", None, "the log that it wrote")

    def linked(self, call, service, role):
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/create-service-linked-role.html: once for each account"""
        arn = f"{PARTITION}:iam::{ACCOUNT}:role/aws-service-role/{service}.amazonaws.com/{role}"
        self.request(call, "iam:CreateServiceLinkedRole", arn, {"iam:AWSServiceName": f"{service}.amazonaws.com"}, "the account's first")


def main(folder):
    found = json.loads((folder / "policies.json").read_text())
    account = Account(ACCOUNT, REGION, found)
    mapping, calls, unknown = Mapping(account), {}, set()
    for line in (folder / "calls.jsonl").read_text().splitlines():
        line = json.loads(line)
        try:
            call = Call(line)
            mapping.take(call)
        except Exception as error:  # noqa: BLE001: any error means that the call is unknown
            unknown.add(f"{line['method']} {line['path']} {line['headers'].get('x-amz-target', '')}: {error!r}")
            continue
        calls[call.stack] = calls.get(call.stack, 0) + 1
    for text in sorted(unknown):
        print(f"not mapped: {text}", file=sys.stderr)
    (folder / "requests.json").write_text(json.dumps({"calls": calls, "requests": mapping.requests, "declared": declared()}, indent=1))
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
