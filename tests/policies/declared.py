"""Requests that no recording contains, written by hand: calls of resource types that the emulator does not have
(docs/limits.md) or rarely changes; and requests that must be refused.

In: the account after all calls. Out: requests as actions.py makes them, with `expect` `allowed` or `refused`. Sources: the
provider's calls for each resource type, and the permissions that AWS documents for them.
"""

ACCOUNT, REGION = "222222222222", "eu-central-1"
NAME = f"slipway-{ACCOUNT}-dev-bucket-api"
PREFIX = f"slipway-{ACCOUNT}-dev-"
BUCKET = f"arn:aws:s3:::{PREFIX}objects"
STATE = f"arn:aws:s3:::{PREFIX}state"
STORE = f"arn:aws:s3:::slipway-{ACCOUNT}-artifacts"
IAM = f"arn:aws:iam::{ACCOUNT}"
BOUNDARY = f"{IAM}:policy/{PREFIX}boundary"
TAGS = {"Project": "slipway", "Environment": "dev", "Stack": "declared", "ManagedBy": "slipway"}
NEW = {f"aws:RequestTag/{key}": value for key, value in TAGS.items()} | {"aws:TagKeys": sorted(TAGS)}
OWN = {f"aws:ResourceTag/{key}": value for key, value in TAGS.items()}
FOREIGN = {"aws:ResourceTag/Project": "slipway", "aws:ResourceTag/Environment": "prod"}
ID = "00000000-0000-4000-8000-000000000000"


def at(service, resource):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def global_at(service, resource):
    return f"arn:aws:{service}::{ACCOUNT}:{resource}"


BUDGET = global_at("budgets", f"budget/{PREFIX}tracer-cost")
TOPIC = at("sns", NAME)
SLACK = global_at("chatbot", f"chat-configuration/slack-channel/{NAME}")
TEAMS = global_at("chatbot", f"chat-configuration/microsoft-teams-channel/{NAME}-teams")
CHAT_ROLE, CHAT_POLICY = f"{IAM}:role/{NAME}-chat", f"{IAM}:policy/{NAME}-chat"
DETECTOR = at("guardduty", f"detector/{'0' * 32}")
RULE = at("events", f"rule/{NAME}-findings")
STACK = at("cloudformation", f"stack/{PREFIX}tracer-url-invoke/{ID}")
FUNCTION = at("lambda", f"function:{PREFIX}tracer")
KEY = at("kms", f"key/{ID}")
TABLE, STREAM = at("dynamodb", f"table/{PREFIX}traces"), at("kinesis", f"stream/{PREFIX}stream")
SECRET, QUEUE = at("secretsmanager", f"secret:{PREFIX}tracer-api-keys-AbCdEf"), at("sqs", f"{PREFIX}failed")
GROUP = at("logs", f"log-group:/aws/lambda/{PREFIX}tracer")
VIA = {"kms:CallerAccount": ACCOUNT}

# Resource type -> the calls of a plan, the further calls of an apply: (actions, resource, context).
TYPES = {
    "aws_budgets_budget": (
        [("budgets:ViewBudget budgets:ListTagsForResource", BUDGET, {})],
        [("budgets:ModifyBudget budgets:TagResource budgets:UntagResource", BUDGET, NEW)],
    ),
    "aws_sns_topic, its policy and subscriptions": (
        [("sns:GetTopicAttributes sns:ListTagsForResource sns:ListSubscriptionsByTopic", TOPIC, {}), ("sns:GetSubscriptionAttributes", "*", {})],
        [("sns:CreateTopic sns:TagResource sns:UntagResource sns:SetTopicAttributes sns:Subscribe sns:DeleteTopic", TOPIC, NEW), ("sns:Unsubscribe sns:SetSubscriptionAttributes", "*", {})],
    ),
    "aws_chatbot_slack_channel_configuration": (
        [("chatbot:DescribeSlackChannelConfigurations chatbot:ListTagsForResource", "*", {})],
        [
            ("chatbot:CreateSlackChannelConfiguration", "*", NEW), ("chatbot:TagResource", SLACK, NEW), ("chatbot:UntagResource", SLACK, {}),
            ("chatbot:UpdateSlackChannelConfiguration chatbot:DeleteSlackChannelConfiguration", SLACK, OWN),
            ("iam:PassRole", CHAT_ROLE, {"iam:PassedToService": "chatbot.amazonaws.com"}),
            ("iam:CreateServiceLinkedRole", f"{IAM}:role/aws-service-role/management.chatbot.amazonaws.com/AWSServiceRoleForAWSChatbot", {"iam:AWSServiceName": "management.chatbot.amazonaws.com"}),
        ],
    ),
    "aws_chatbot_teams_channel_configuration": (
        [("chatbot:GetMicrosoftTeamsChannelConfiguration chatbot:ListMicrosoftTeamsChannelConfigurations chatbot:ListTagsForResource", "*", {})],
        [
            ("chatbot:CreateMicrosoftTeamsChannelConfiguration", "*", NEW), ("chatbot:TagResource", TEAMS, NEW), ("chatbot:UntagResource", TEAMS, {}),
            ("chatbot:UpdateMicrosoftTeamsChannelConfiguration chatbot:DeleteMicrosoftTeamsChannelConfiguration", TEAMS, OWN),
        ],
    ),
    "aws_iam_policy and its attachment": (
        [("iam:GetPolicy iam:GetPolicyVersion iam:ListPolicyVersions", CHAT_POLICY, {}), ("iam:GetRole iam:ListAttachedRolePolicies", CHAT_ROLE, {})],
        [
            ("iam:CreatePolicy iam:TagPolicy", CHAT_POLICY, NEW),
            ("iam:CreatePolicyVersion iam:DeletePolicyVersion iam:UntagPolicy iam:DeletePolicy", CHAT_POLICY, {}),
            ("iam:AttachRolePolicy iam:DetachRolePolicy", CHAT_ROLE, {"iam:PermissionsBoundary": BOUNDARY, "iam:PolicyARN": CHAT_POLICY}),
        ],
    ),
    "aws_guardduty_detector and its feature": (
        [("guardduty:ListDetectors", "*", {}), ("guardduty:GetDetector guardduty:ListTagsForResource", DETECTOR, {})],
        [
            ("guardduty:CreateDetector", "*", NEW), ("guardduty:TagResource", DETECTOR, NEW), ("guardduty:UpdateDetector guardduty:DeleteDetector guardduty:UntagResource", DETECTOR, {}),
            ("iam:CreateServiceLinkedRole", f"{IAM}:role/aws-service-role/guardduty.amazonaws.com/AWSServiceRoleForAmazonGuardDuty", {"iam:AWSServiceName": "guardduty.amazonaws.com"}),
        ],
    ),
    "aws_cloudwatch_event_rule and its target": (
        [("events:DescribeRule events:ListTagsForResource events:ListTargetsByRule", RULE, {})],
        [("events:PutRule events:TagResource", RULE, NEW), ("events:PutTargets events:RemoveTargets events:DeleteRule events:UntagResource", RULE, {})],
    ),
    "aws_cloudformation_stack": (
        [("cloudformation:DescribeStacks cloudformation:GetTemplate", STACK, {})],
        [
            ("cloudformation:CreateStack cloudformation:TagResource", STACK, NEW),
            ("cloudformation:DescribeStackEvents cloudformation:UpdateStack cloudformation:DeleteStack cloudformation:UntagResource", STACK, {}),
            # With the caller's own permissions: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/control-access-with-iam.html
            ("lambda:AddPermission lambda:RemovePermission lambda:GetPolicy", f"{FUNCTION}:live", {}),
        ],
    ),
    "aws_s3_bucket_policy": ([("s3:GetBucketPolicy", BUCKET, {})], [("s3:PutBucketPolicy s3:DeleteBucketPolicy", BUCKET, {})]),
    "aws_s3_bucket_lifecycle_configuration": ([("s3:GetLifecycleConfiguration", BUCKET, {})], [("s3:PutLifecycleConfiguration", BUCKET, {})]),
    "aws_sqs_queue": (
        [("sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ListQueueTags", QUEUE, {})],
        [("sqs:CreateQueue sqs:TagQueue", QUEUE, NEW), ("sqs:SetQueueAttributes sqs:UntagQueue sqs:DeleteQueue", QUEUE, {})],
    ),
    "aws_apigatewayv2_*, changed in place": (
        [],
        [("apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/apis/a1b2c3d4/{part}", {}) for part in ("stages/$default", "routes/r1", "integrations/i1")]
        + [("apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/apis/a1b2c3d4", {})]
        + [("apigateway:POST apigateway:DELETE", f"arn:aws:apigateway:{REGION}::/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Fapis%2Fa1b2c3d4", NEW)],
    ),
    "a release after the first": (
        [],
        [
            ("lambda:UpdateFunctionCode lambda:UpdateFunctionConfiguration lambda:PublishVersion lambda:UpdateAlias", FUNCTION, {}), ("lambda:InvokeFunction", f"{FUNCTION}:2", {}),
            ("lambda:UpdateFunctionUrlConfig lambda:PutFunctionConcurrency lambda:DeleteFunctionConcurrency lambda:DeleteAlias", FUNCTION, {}),
            ("lambda:UpdateEventSourceMapping", at("lambda", f"event-source-mapping:{ID}"), {"lambda:FunctionArn": f"{FUNCTION}:live"}),
            ("s3:GetObject", f"{STORE}/artifacts/sha256/00.zip", {}),
        ],
    ),
    "settings changed in place": (
        [],
        [
            ("dynamodb:UpdateTable dynamodb:UpdateContinuousBackups dynamodb:UpdateTimeToLive", TABLE, {}), ("kinesis:UpdateShardCount kinesis:UpdateStreamMode", "*", {}),
            ("kinesis:IncreaseStreamRetentionPeriod kinesis:DecreaseStreamRetentionPeriod", STREAM, {}),
            ("kms:PutKeyPolicy kms:UpdateKeyDescription kms:EnableKeyRotation", KEY, OWN | VIA), ("secretsmanager:UpdateSecret secretsmanager:RestoreSecret", SECRET, {}),
            ("logs:PutRetentionPolicy logs:AssociateKmsKey", GROUP, {}), ("iam:UpdateAssumeRolePolicy iam:UpdateRole", f"{IAM}:role/{PREFIX}tracer", {}),
        ],
    ),
    "tags changed": (
        [],
        [
            ("dynamodb:TagResource", TABLE, NEW), ("dynamodb:UntagResource", TABLE, {}), ("kinesis:AddTagsToStream", STREAM, {}), ("kinesis:RemoveTagsFromStream", STREAM, {}),
            ("lambda:TagResource", FUNCTION, NEW), ("lambda:UntagResource", FUNCTION, {}), ("logs:TagResource", GROUP, NEW), ("logs:UntagResource", GROUP, {}),
            ("secretsmanager:TagResource", SECRET, NEW), ("secretsmanager:UntagResource", SECRET, {}), ("s3:PutBucketTagging", BUCKET, {}),
            ("kms:TagResource", KEY, OWN | NEW | VIA), ("kms:UntagResource", KEY, OWN | VIA), ("iam:TagRole", f"{IAM}:role/{PREFIX}tracer", NEW),
            ("ec2:CreateTags ec2:DeleteTags", at("ec2", "vpc/vpc-00000000000000001"), OWN | NEW),
        ],
    ),
}

# Requests that must be refused, by role: (reason, actions, resource, context). `function` is a role with the boundary and
# otherwise all permissions.
REFUSED = [
    ("apply", "another environment's roles", "iam:CreateRole iam:PutRolePolicy", f"{IAM}:role/slipway-{ACCOUNT}-prod-tracer", {"iam:PermissionsBoundary": BOUNDARY}),
    ("apply", "an environment whose name begins alike", "iam:CreateRole", f"{IAM}:role/slipway-{ACCOUNT}-dev2-tracer", {"iam:PermissionsBoundary": BOUNDARY}),
    ("apply", "a role without the boundary", "iam:CreateRole iam:PutRolePolicy", f"{IAM}:role/{PREFIX}tracer", {}),
    ("apply", "a role within another boundary", "iam:CreateRole iam:PutRolePermissionsBoundary", f"{IAM}:role/{PREFIX}tracer", {"iam:PermissionsBoundary": f"{IAM}:policy/{PREFIX}wider"}),
    ("apply", "a role without its boundary any more", "iam:DeleteRolePermissionsBoundary", f"{IAM}:role/{PREFIX}tracer", {"iam:PermissionsBoundary": BOUNDARY}),
    ("apply", "a policy of AWS's", "iam:AttachRolePolicy", f"{IAM}:role/{PREFIX}tracer", {"iam:PermissionsBoundary": BOUNDARY, "iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    ("apply", "the boundary itself", "iam:CreatePolicyVersion iam:DeletePolicy", BOUNDARY, {}),
    ("apply", "what it may do", "iam:CreatePolicyVersion iam:DeletePolicy", f"{IAM}:policy/{PREFIX}ci-apply-data", {}),
    ("apply", "who it is", "iam:UpdateAssumeRolePolicy iam:PutRolePolicy iam:AttachRolePolicy iam:DeleteRole", f"{IAM}:role/{PREFIX}ci-apply", {"iam:PermissionsBoundary": BOUNDARY, "iam:PolicyARN": f"{IAM}:policy/{PREFIX}any"}),
    ("apply", "itself, passed on", "iam:PassRole", f"{IAM}:role/{PREFIX}ci-apply", {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("apply", "a foreign role, passed on", "iam:PassRole", f"{IAM}:role/administrator", {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("apply", "another environment's role, passed on", "iam:PassRole", f"{IAM}:role/slipway-{ACCOUNT}-prod-tracer", {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("apply", "its role to another service", "iam:PassRole", f"{IAM}:role/{PREFIX}tracer", {"iam:PassedToService": "ec2.amazonaws.com"}),
    ("apply", "users and their keys", "iam:CreateUser iam:CreateAccessKey", f"{IAM}:user/{PREFIX}ada", {}),
    ("apply", "the state's bucket", "s3:DeleteBucket s3:PutBucketPolicy s3:DeleteBucketPolicy s3:PutBucketVersioning s3:PutLifecycleConfiguration s3:PutEncryptionConfiguration", STATE, {}),
    ("apply", "states", "s3:DeleteObject s3:DeleteObjectVersion", f"{STATE}/tracer.tfstate", {}),
    ("apply", "the ledger", "s3:DeleteObject s3:DeleteObjectVersion", f"{STATE}/ledger/tracer/1.ended.json", {}),
    ("apply", "a released artifact", "s3:PutObject s3:DeleteObject s3:DeleteObjectVersion s3:PutObjectRetention", f"{STORE}/artifacts/sha256/00.zip", {}),
    ("apply", "a release's manifest", "s3:PutObject s3:DeleteObject", f"{STORE}/releases/tracer/0.1.0.json", {}),
    ("apply", "the store", "s3:DeleteBucket s3:PutBucketPolicy", STORE, {}),
    ("apply", "the account's other buckets", "s3:GetObject s3:DeleteObject", f"arn:aws:s3:::slipway-{ACCOUNT}-prod-objects/a", {}),
    ("apply", "objects of the stacks' buckets", "s3:GetObject s3:PutObject", f"{BUCKET}/a", {}),
    ("apply", "another environment's state", "s3:GetObject s3:PutObject", f"arn:aws:s3:::slipway-{ACCOUNT}-prod-state/tracer.tfstate", {}),
    ("apply", "a key without tags", "kms:CreateKey", "*", {}),
    ("apply", "a key as another environment's", "kms:CreateKey", "*", {"aws:RequestTag/Project": "slipway", "aws:RequestTag/Environment": "prod"}),
    ("apply", "another environment's keys", "kms:ScheduleKeyDeletion kms:PutKeyPolicy kms:Decrypt", KEY, FOREIGN | {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}),
    ("apply", "another's key, tagged as one's own", "kms:TagResource", KEY, FOREIGN | NEW),
    ("apply", "the state's key", "kms:ScheduleKeyDeletion kms:DisableKey kms:PutKeyPolicy", KEY, OWN | {"kms:ResourceAliases": [f"alias/{PREFIX}state"]}),
    ("apply", "the alias of the state's key", "kms:UpdateAlias kms:DeleteAlias", at("kms", f"alias/{PREFIX}state"), {}),
    ("apply", "own keys past the services", "kms:Decrypt", KEY, OWN),
    ("apply", "another environment's functions", "lambda:UpdateFunctionCode lambda:InvokeFunction lambda:UpdateAlias", at("lambda", f"function:slipway-{ACCOUNT}-prod-tracer"), {}),
    ("apply", "events for another environment's functions", "lambda:CreateEventSourceMapping", "*", {"lambda:FunctionArn": at("lambda", f"function:slipway-{ACCOUNT}-prod-tracer")}),
    ("apply", "another environment's tables", "dynamodb:DeleteTable", at("dynamodb", f"table/slipway-{ACCOUNT}-prod-traces"), {}),
    ("apply", "records of the tables", "dynamodb:GetItem dynamodb:Scan dynamodb:PutItem", TABLE, {}),
    ("apply", "another environment's secrets", "secretsmanager:GetSecretValue secretsmanager:DeleteSecret", at("secretsmanager", f"secret:slipway-{ACCOUNT}-prod-tracer-api-keys-AbCdEf"), {}),
    ("apply", "a network without tags", "ec2:CreateVpc", at("ec2", "vpc/new"), {}),
    ("apply", "another environment's network", "ec2:DeleteVpc ec2:CreateTags", at("ec2", "vpc/vpc-00000000000000001"), FOREIGN | NEW),
    ("apply", "another environment's chat", "chatbot:DeleteSlackChannelConfiguration chatbot:UpdateSlackChannelConfiguration", global_at("chatbot", f"chat-configuration/slack-channel/slipway-{ACCOUNT}-prod-bucket-api"), FOREIGN),
    ("apply", "another environment's budget", "budgets:ModifyBudget", global_at("budgets", f"budget/slipway-{ACCOUNT}-prod-tracer-cost"), {}),
    ("plan", "a state, written by a plan", "s3:PutObject s3:DeleteObject", f"{STATE}/tracer.tfstate", {}),
    ("plan", "a function, changed or called by a plan", "lambda:UpdateFunctionCode lambda:InvokeFunction lambda:UpdateAlias", FUNCTION, {}),
    ("plan", "a role, made or passed by a plan", "iam:CreateRole iam:PassRole", f"{IAM}:role/{PREFIX}tracer", {"iam:PermissionsBoundary": BOUNDARY, "iam:PassedToService": "lambda.amazonaws.com"}),
    ("plan", "keys, made or used past the services by a plan", "kms:Decrypt kms:ScheduleKeyDeletion", KEY, OWN),
    ("plan", "a released artifact, written by a plan", "s3:PutObject", f"{STORE}/artifacts/sha256/00.zip", {}),
    ("function", "people and roles, by a function", "iam:CreateUser iam:CreateRole iam:PassRole", f"{IAM}:role/{PREFIX}tracer", {}),
    ("function", "the state, by a function", "s3:GetObject s3:PutObject", f"{STATE}/tracer.tfstate", {}),
    ("function", "another environment's data, by a function", "dynamodb:GetItem", at("dynamodb", f"table/slipway-{ACCOUNT}-prod-traces"), {}),
    ("function", "another environment's keys, by a function", "kms:Decrypt", KEY, FOREIGN),
]


def declared():
    """Returns the requests, each with its expected result."""
    found = []

    def add(group, role, actions, arn, context, expect):
        for action in actions.split():
            # A user is no role: the action is another resource type's.
            target = f"{IAM}:user/{PREFIX}ada" if action == "iam:CreateUser" else arn
            found.append({"stack": group, "role": role, "action": action, "resource": target, "context": context, "expect": expect})

    for kind, (read, write) in TYPES.items():
        for role, calls in (("plan", read), ("apply", read), ("apply", write)):
            for actions, arn, context in calls:
                add(kind, role, actions, arn, context, "allowed")
    for role, why, actions, arn, context in REFUSED:
        add(why, role, actions, arn, context, "refused")
    return found
