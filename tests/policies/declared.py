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
ONCE = {"s3:ObjectCreationOperation": "true", "s3:if-none-match": "*"}
AGAIN = {"s3:ObjectCreationOperation": "true"}
# Keys of bootstrap, as they are tagged, and as they would be if somebody could tag them as dev's.
NO_ENVIRONMENT = {"aws:ResourceTag/Project": "slipway", "aws:ResourceTag/Stack": "bootstrap", "aws:ResourceTag/ManagedBy": "slipway", "aws:ResourceTag/Environment": "_store"}
RELEASE = {"kms:ResourceAliases": ["alias/slipway-release"]}
STORE_KEY = {"kms:ResourceAliases": [f"alias/slipway-{ACCOUNT}-artifacts"]}
STATE_KEY = {"kms:ResourceAliases": [f"alias/{PREFIX}state"]}
BARE = {name: value for name, value in NO_ENVIRONMENT.items() if not name.endswith("Environment")}
SIGNATURE = {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "DIGEST"}
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
IMAGES = at("ecr", "repository/slipway/bucket-api-image")
GROUP = at("logs", f"log-group:/aws/lambda/{PREFIX}tracer")
VIA = {"kms:CallerAccount": ACCOUNT}
S3_VIA = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
PROD_STATE = f"arn:aws:s3:::slipway-{ACCOUNT}-prod-state"
EU, EU_STATE = f"slipway-{ACCOUNT}-dev-eu-", f"arn:aws:s3:::slipway-{ACCOUNT}-dev-eu-state"
READER = f"{IAM}:role/slipway/ci/{PREFIX}ci-read"
STAGING_READER = "arn:aws:iam::333333333333:role/slipway/ci/slipway-333333333333-staging-ci-read"
MAIN = {"aud": "sts.amazonaws.com", "repository": "slipway/slipway", "ref": "refs/heads/main"}
BRANCH = MAIN | {"ref": "refs/heads/feature"}


def job(environment):
    return {"sub": f"repo:slipway/slipway:environment:{environment}"}

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
    "quotas, before anything is made": (
        [
            ("ec2:DescribeAccountAttributes ec2:DescribeAddresses iam:GetAccountSummary lambda:GetAccountSettings servicequotas:GetServiceQuota", "*", {}),
            ("iam:ListAttachedRolePolicies", f"{IAM}:role/slipway/ci/{PREFIX}ci-apply", {}), ("lambda:GetFunctionConcurrency", FUNCTION, {}),
        ],
        [],
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
            ("logs:PutRetentionPolicy logs:AssociateKmsKey", GROUP, {}), ("iam:UpdateAssumeRolePolicy iam:UpdateRole", f"{IAM}:role/{PREFIX}hello", {}),
        ],
    ),
    "tags changed": (
        [],
        [
            ("dynamodb:TagResource", TABLE, NEW), ("dynamodb:UntagResource", TABLE, {}), ("kinesis:AddTagsToStream", STREAM, {}), ("kinesis:RemoveTagsFromStream", STREAM, {}),
            ("lambda:TagResource", FUNCTION, NEW), ("lambda:UntagResource", FUNCTION, {}), ("logs:TagResource", GROUP, NEW), ("logs:UntagResource", GROUP, {}),
            ("secretsmanager:TagResource", SECRET, NEW), ("secretsmanager:UntagResource", SECRET, {}), ("s3:PutBucketTagging", BUCKET, {}),
            ("kms:TagResource", KEY, OWN | NEW | VIA), ("kms:UntagResource", KEY, OWN | VIA), ("iam:TagRole", f"{IAM}:role/{PREFIX}hello", NEW),
            ("ec2:CreateTags ec2:DeleteTags", at("ec2", "vpc/vpc-00000000000000001"), OWN | NEW),
        ],
    ),
}

# The road of a release, by role: what publishes, what a plan leaves behind, what an apply writes.
ROAD = [
    ("publisher", "a job of main in `release`", "sts:AssumeRoleWithWebIdentity", "publisher", MAIN | job("release")),
    ("publisher", "a release, put once", "s3:PutObject", f"{STORE}/releases/tracer/0.1.0.json", ONCE),
    ("publisher", "its artifact, in parts", "s3:PutObject", f"{STORE}/artifacts/sha256/00.zip", {"s3:ObjectCreationOperation": "false"}),
    ("publisher", "an upload that was cut off", "s3:ListBucketMultipartUploads", STORE, {}),
    ("publisher", "the parts that are there", "s3:ListMultipartUploadParts", f"{STORE}/artifacts/sha256/00.zip", {}),
    ("publisher", "its attestation", "s3:PutObject", f"{STORE}/attestations/sha256/00.dsse.json", ONCE),
    ("publisher", "GitHub's attestation of it, put once and read back", "s3:PutObject s3:GetObject", f"{STORE}/attestations/sha256/00.sigstore.json", ONCE),
    ("publisher", "an image", "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:CompleteLayerUpload ecr:InitiateLayerUpload ecr:PutImage ecr:UploadLayerPart", IMAGES, {}),
    ("publisher", "a login of the registry", "ecr:GetAuthorizationToken", "*", {}),
    ("apply", "an image, as Lambda takes it for whoever makes the function", "ecr:BatchGetImage ecr:GetDownloadUrlForLayer ecr:GetRepositoryPolicy", IMAGES, {}),
    ("plan", "an image, as a release reads it", "ecr:BatchGetImage ecr:GetDownloadUrlForLayer", IMAGES, {}),
    ("publisher", "the releases before", "s3:GetObject", f"{STORE}/releases/tracer/0.1.0.json", {}),
    ("publisher", "the list of releases", "s3:ListBucket", STORE, {}),
    ("publisher", "the store's key, through S3", "kms:GenerateDataKey kms:Decrypt", KEY, STORE_KEY | NO_ENVIRONMENT | S3_VIA),
    ("publisher", "a signature", "kms:Sign", KEY, RELEASE | NO_ENVIRONMENT | SIGNATURE),
    ("publisher", "the public key", "kms:GetPublicKey", KEY, RELEASE | NO_ENVIRONMENT),
    ("administrator", "a bucket and a key, prepared by their administrator", "s3:PutBucketPolicy s3:PutLifecycleConfiguration", STATE, {}),
    ("administrator", "the release key, administered", "kms:PutKeyPolicy kms:TagResource kms:GetPublicKey", KEY, RELEASE | NO_ENVIRONMENT),
    ("administrator", "an archived state", "s3:PutObject", f"{STATE}/archive/bootstrap/0001.tfstate", ONCE),
    ("plan", "any branch of what is not protected", "sts:AssumeRoleWithWebIdentity", "plan", BRANCH | {"sub": "repo:slipway/slipway:ref:refs/heads/feature"}),
    ("prod-plan", "a job of main in `prod-plan`", "sts:AssumeRoleWithWebIdentity", "prod-plan", MAIN | job("prod-plan")),
    ("prod-apply", "a job of main in `prod`", "sts:AssumeRoleWithWebIdentity", "prod-apply", MAIN | job("prod")),
    ("prod-apply", "a function's role that the administrator made, passed", "iam:PassRole", f"{IAM}:role/slipway-{ACCOUNT}-prod-tracer", {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("prod-apply", "that role, read", "iam:GetRole", f"{IAM}:role/slipway-{ACCOUNT}-prod-tracer", {}),
    ("prod-apply", "a function that runs as it", "lambda:CreateFunction lambda:UpdateFunctionConfiguration", at("lambda", f"function:slipway-{ACCOUNT}-prod-tracer"), {name: value.replace("dev", "prod") for name, value in NEW.items() if isinstance(value, str)} | {"aws:TagKeys": sorted(TAGS)}),
    ("staging-plan", "dev, read for a promotion's plan", "sts:AssumeRole", READER, {}),
    ("staging-apply", "dev, read for a promotion", "sts:AssumeRole", READER, {}),
    ("prod-plan", "staging, read for a promotion's plan", "sts:AssumeRole", STAGING_READER, {}),
    ("prod-apply", "staging, read for a promotion", "sts:AssumeRole", STAGING_READER, {}),
    ("read", "the ledger and what was applied", "s3:GetObject", f"{STATE}/ledger/tracer/1.ended.json", {}),
    ("read", "what was applied", "s3:GetObject", f"{STATE}/configurations/sha256/00.zip", {}),
    ("read", "the state's key, through S3", "kms:Decrypt", KEY, STATE_KEY | OWN | S3_VIA),
    ("read", "quotas", "ec2:DescribeAccountAttributes ec2:DescribeAddresses iam:GetAccountSummary lambda:GetAccountSettings servicequotas:GetServiceQuota", "*", {}),
    ("read", "the policies of the deploying role", "iam:ListAttachedRolePolicies", f"{IAM}:role/slipway/ci/{PREFIX}ci-apply", {}),
    ("read", "what a function reserves", "lambda:GetFunctionConcurrency", FUNCTION, {}),
    ("plan", "a plan, put once", "s3:PutObject", f"{STATE}/plans/0123/plan.tfplan", ONCE),
    ("plan", "the state's key, through S3", "kms:GenerateDataKey kms:Decrypt", KEY, STATE_KEY | OWN | S3_VIA),
    ("plan", "the state, the ledger, a plan", "s3:GetObject", f"{STATE}/tracer.tfstate", {}),
    ("plan", "the applied configuration, from which drift differs", "s3:GetObject", f"{STATE}/configurations/sha256/00.zip", {}),
    ("prod-plan", "prod's applied configuration", "s3:GetObject", f"{PROD_STATE}/configurations/sha256/00.zip", {}),
    ("plan", "a ledger's entry", "s3:GetObject", f"{STATE}/ledger/tracer/1.ended.json", {}),
    ("apply", "a state, replaced", "s3:PutObject", f"{STATE}/tracer.tfstate", AGAIN),
    ("apply", "its lock", "s3:PutObject s3:DeleteObject", f"{STATE}/tracer.tfstate.tflock", AGAIN),
    ("apply", "a lease, replaced", "s3:PutObject", f"{STATE}/leases/tracer.json", AGAIN),
    ("apply", "a ledger's entry, written once", "s3:PutObject", f"{STATE}/ledger/tracer/1.ended.json", ONCE),
    ("apply", "a configuration, written once and read back", "s3:PutObject s3:GetObject", f"{STATE}/configurations/sha256/00.zip", ONCE),
    ("apply", "a plan, read and removed", "s3:GetObject s3:DeleteObject", f"{STATE}/plans/0123/plan.tfplan", {}),
    ("apply", "a suite's objects and their end", "s3:GetObject s3:PutObject s3:DeleteObject", f"{BUCKET}/a", {}),
    ("apply", "a suite's items and their end", "dynamodb:GetItem dynamodb:BatchWriteItem dynamodb:Query", TABLE, {}),
    ("apply", "what Lambda left in a VPC", "ec2:DeleteNetworkInterface ec2:DetachNetworkInterface", at("ec2", "network-interface/eni-00000000000000001"), {}),
    ("apply", "logs of functions, for a verification", "logs:FilterLogEvents", f"{GROUP}:log-stream:any", {}),
]

# The findings of a security review, each as it was allowed once: C2, H1 to H4, H6, M1, M3.
REVIEWED = [
    # C2: a deploying role takes over the release key, or the store's, by tagging it as its own.
    ("apply", "C2: the release key, tagged as dev's", "kms:TagResource", KEY, RELEASE | NO_ENVIRONMENT | NEW | VIA),
    ("apply", "C2: a release key without an environment, tagged as dev's", "kms:TagResource", KEY, RELEASE | BARE | NEW | VIA),
    ("apply", "C2: such a key without its alias", "kms:TagResource", KEY, BARE | NEW | VIA),
    ("apply", "C2: the release key before tagging", "kms:PutKeyPolicy kms:ScheduleKeyDeletion kms:DisableKey", KEY, RELEASE | NO_ENVIRONMENT | VIA),
    ("apply", "C2: the release key after tagging", "kms:PutKeyPolicy kms:ScheduleKeyDeletion kms:DisableKey kms:UntagResource", KEY, RELEASE | OWN | VIA),
    ("apply", "C2: a signature", "kms:Sign", KEY, RELEASE | OWN | SIGNATURE),
    ("plan", "C2: a signature by a plan", "kms:Sign", KEY, RELEASE | OWN | SIGNATURE),
    ("administrator", "C1: a signature by an administrator", "kms:Sign kms:CreateGrant", KEY, RELEASE | NO_ENVIRONMENT | SIGNATURE),
    ("publisher", "C1: a signature by another algorithm", "kms:Sign", KEY, RELEASE | NO_ENVIRONMENT | {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256", "kms:MessageType": "DIGEST"}),
    ("publisher", "C1: the release key itself", "kms:PutKeyPolicy kms:TagResource kms:ScheduleKeyDeletion kms:CreateGrant kms:UpdateAlias", KEY, RELEASE | NO_ENVIRONMENT),
    ("apply", "C2: the store's key, tagged", "kms:TagResource", KEY, STORE_KEY | NO_ENVIRONMENT | NEW | VIA),
    ("apply", "C2: the store's key after tagging", "kms:PutKeyPolicy kms:ScheduleKeyDeletion", KEY, STORE_KEY | OWN | VIA),
    ("apply", "C2: a grant on the store's key, through a service", "kms:CreateGrant", KEY, STORE_KEY | OWN | S3_VIA),
    ("apply", "C2: a grant on the state's key, through a service", "kms:CreateGrant", KEY, STATE_KEY | OWN | S3_VIA),
    ("apply", "C2: the alias of the release key", "kms:UpdateAlias kms:DeleteAlias kms:CreateAlias", at("kms", "alias/slipway-release"), {}),
    ("apply", "a network of the project's without an environment, tagged as dev's", "ec2:CreateTags", at("ec2", "vpc/vpc-00000000000000001"), BARE | NEW),
    # H1: an environment whose name begins with another's. Both names refuse it in one account; these are the accounts that have it.
    ("apply", "H1: trust of dev-eu's apply role", "iam:UpdateAssumeRolePolicy", f"{IAM}:role/slipway/ci/{EU}ci-apply", {}),
    ("apply", "H1: a version of its identity policy", "iam:CreatePolicyVersion", f"{IAM}:policy/slipway/ci/{EU}ci-apply-identity", {}),
    ("apply", "H1: a version of dev-eu's boundary", "iam:CreatePolicyVersion", f"{IAM}:policy/{EU}boundary", {}),
    ("apply", "H1: the policy of dev-eu's state bucket", "s3:PutBucketPolicy", EU_STATE, {}),
    ("apply", "H1: a version of dev-eu's ledger", "s3:DeleteObjectVersion", f"{EU_STATE}/ledger/hello/9999999998.ended.json", {}),
    ("apply", "H1: prod's roles in one account with dev", "iam:UpdateAssumeRolePolicy iam:DeleteRole", f"{IAM}:role/slipway/ci/slipway-{ACCOUNT}-prod-ci-apply", {}),
    ("apply", "H1: own role and policy", "iam:UpdateAssumeRolePolicy", f"{IAM}:role/slipway/ci/{PREFIX}ci-apply", {}),
    ("apply", "H1: own policy's version", "iam:CreatePolicyVersion iam:DeletePolicyVersion", f"{IAM}:policy/slipway/ci/{PREFIX}ci-apply-identity", {}),
    ("apply", "M10: the publisher's role", "iam:UpdateAssumeRolePolicy iam:PassRole", f"{IAM}:role/slipway/ci/slipway-{ACCOUNT}-publisher", {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("apply", "M10: an apply role without its boundary", "iam:DeleteRolePermissionsBoundary", f"{IAM}:role/slipway/ci/{PREFIX}ci-apply", {}),
    # H2: a state planted among the archived ones runs as the administrator.
    ("plan", "H2: a planted state, by a plan", "s3:PutObject", f"{STATE}/archive/bootstrap/9999.tflock", ONCE),
    ("plan", "H2: a planted state with the right name, by a plan", "s3:PutObject", f"{STATE}/archive/bootstrap/9999.tfstate", ONCE),
    ("apply", "H2: a planted state, by an apply", "s3:PutObject", f"{STATE}/archive/bootstrap/9999.tfstate", ONCE),
    ("apply", "H2: the archived states", "s3:GetObject s3:DeleteObject", f"{STATE}/archive/bootstrap/0001.tfstate", {}),
    # H3: any branch switches off deployments and rollbacks.
    ("prod-plan", "H3: a key in the ledger that is none", "s3:PutObject", f"{PROD_STATE}/ledger/hello/!.tflock", ONCE),
    ("plan", "H3: a key in the ledger that is none", "s3:PutObject", f"{STATE}/ledger/hello/!.tflock", ONCE),
    ("apply", "H3: a lock where no state is", "s3:PutObject s3:DeleteObject", f"{STATE}/ledger/hello/!.tflock", ONCE),
    ("prod-plan", "H3: a held lock, deleted", "s3:DeleteObject", f"{PROD_STATE}/hello.tfstate.tflock", {}),
    ("prod-plan", "H3: a lock, written", "s3:PutObject", f"{PROD_STATE}/hello.tfstate.tflock", ONCE),
    ("prod-plan", "H3: a lease", "s3:PutObject", f"{PROD_STATE}/leases/hello.json", ONCE),
    ("plan", "H3: a lock in a table", "dynamodb:PutItem dynamodb:DeleteItem", at("dynamodb", f"table/{PREFIX}locks"), {}),
    # H4: prod's planning role is open to every branch, and reads what no plan needs.
    ("prod-plan", "H4: any branch", "sts:AssumeRoleWithWebIdentity", "prod-plan", BRANCH | {"sub": "repo:slipway/slipway:ref:refs/heads/feature"}),
    ("prod-plan", "H4: main outside of an environment", "sts:AssumeRoleWithWebIdentity", "prod-plan", MAIN | {"sub": "repo:slipway/slipway:ref:refs/heads/main"}),
    ("prod-plan", "H4: a pull request", "sts:AssumeRoleWithWebIdentity", "prod-plan", MAIN | {"ref": "refs/pull/7/merge", "sub": "repo:slipway/slipway:pull_request"}),
    ("prod-plan", "H4: a branch in an environment without rules", "sts:AssumeRoleWithWebIdentity", "prod-plan", BRANCH | job("prod-plan")),
    ("prod-plan", "H4: dev's environment", "sts:AssumeRoleWithWebIdentity", "prod-plan", MAIN | job("dev")),
    ("prod-plan", "H4: another repository", "sts:AssumeRoleWithWebIdentity", "prod-plan", MAIN | {"sub": "repo:attacker/slipway:environment:prod-plan"}),
    ("plan", "H4: another environment's configurations", "s3:GetObject", f"{PROD_STATE}/configurations/sha256/00.zip", {}),
    ("plan", "M1: a configuration, written by a plan", "s3:PutObject", f"{STATE}/configurations/sha256/00.zip", ONCE),
    ("plan", "H4: the account's saved state", "s3:GetObject", f"{STATE}/archive/bootstrap/0001.tfstate", {}),
    ("plan", "H4: logs of functions", "logs:FilterLogEvents", f"{GROUP}:log-stream:any", {}),
    ("prod-plan", "H4: values of secrets", "secretsmanager:GetSecretValue", at("secretsmanager", f"secret:slipway-{ACCOUNT}-prod-tracer-api-keys-AbCdEf"), {}),
    # Who reads an environment reads no secrets and changes nothing, and prod is read by nobody who was not named.
    ("read", "H4: a state, with its secrets", "s3:GetObject", f"{STATE}/tracer.tfstate", {}),
    ("read", "H4: a saved plan", "s3:GetObject s3:PutObject", f"{STATE}/plans/0123/plan.tfplan", ONCE),
    ("read", "H4: the code of a function", "lambda:GetFunction lambda:InvokeFunction lambda:UpdateAlias", FUNCTION, {}),
    ("read", "what a function reserves, changed", "lambda:PutFunctionConcurrency", FUNCTION, {}),
    ("read", "an address, allocated", "ec2:AllocateAddress", at("ec2", "elastic-ip/eipalloc-00000000000000001"), NEW),
    ("prod-apply", "a role, made or changed where they are the administrator's", "iam:CreateRole iam:PutRolePolicy iam:AttachRolePolicy iam:UpdateAssumeRolePolicy iam:DeleteRole", f"{IAM}:role/slipway-{ACCOUNT}-prod-tracer", {"iam:PermissionsBoundary": BOUNDARY.replace("-dev-", "-prod-")}),
    ("prod-apply", "a policy, made where they are the administrator's", "iam:CreatePolicy", f"{IAM}:policy/slipway-{ACCOUNT}-prod-invoke", {}),
    ("read", "a quota, raised", "servicequotas:RequestServiceQuotaIncrease", at("servicequotas", "lambda/L-B99A9384"), {}),
    ("read", "policies of a role that is not CI's", "iam:ListAttachedRolePolicies", f"{IAM}:role/admin", {}),
    ("read", "the ledger, written", "s3:PutObject s3:DeleteObject", f"{STATE}/ledger/tracer/1.ended.json", ONCE),
    ("read", "a lock, released", "s3:DeleteObject", f"{STATE}/tracer.tfstate.tflock", {}),
    ("staging-any", "dev, read by another role of staging's account", "sts:AssumeRole", READER, {}),
    ("prod-plan", "dev, read by prod, which does not promote from it", "sts:AssumeRole", READER, {}),
    ("plan", "staging, read by dev, which does not promote from it", "sts:AssumeRole", STAGING_READER, {}),
    # M3: an environment that GitHub made by itself.
    ("prod-apply", "M3: a branch in `prod`", "sts:AssumeRoleWithWebIdentity", "prod-apply", BRANCH | job("prod")),
    ("publisher", "M3: a branch in `release`", "sts:AssumeRoleWithWebIdentity", "publisher", BRANCH | job("release")),
    ("publisher", "C1: dev's environment", "sts:AssumeRoleWithWebIdentity", "publisher", MAIN | job("dev")),
    # H6: a writer of the store chooses what runs.
    ("publisher", "H6: a manifest, replaced", "s3:PutObject", f"{STORE}/releases/tracer/1.0.0.json", AGAIN),
    ("publisher", "H6: GitHub's attestation, replaced", "s3:PutObject", f"{STORE}/attestations/sha256/00.sigstore.json", AGAIN),
    ("publisher", "H6: a manifest, deleted", "s3:DeleteObject s3:DeleteObjectVersion", f"{STORE}/releases/tracer/1.0.0.json", {}),
    ("publisher", "H6: the store itself", "s3:PutBucketPolicy s3:PutLifecycleConfiguration s3:PutBucketVersioning", STORE, {}),
    ("administrator", "H6: a manifest, replaced or deleted by an administrator", "s3:PutObject s3:DeleteObject s3:DeleteObjectVersion", f"{STORE}/releases/tracer/1.0.0.json", AGAIN),
    ("publisher", "states and ledgers", "s3:GetObject s3:PutObject", f"{STATE}/tracer.tfstate", ONCE),
    ("publisher", "functions", "lambda:UpdateFunctionCode lambda:InvokeFunction", FUNCTION, {}),
    # M1: append-only as a client's habit.
    ("apply", "M1: a ledger's entry, overwritten", "s3:PutObject", f"{STATE}/ledger/hello/9999999998.ended.json", AGAIN),
    ("apply", "M1: a ledger's entry, deleted", "s3:DeleteObject s3:DeleteObjectVersion", f"{STATE}/ledger/hello/9999999998.ended.json", {}),
    ("apply", "M1: a configuration, overwritten", "s3:PutObject", f"{STATE}/configurations/sha256/00.zip", AGAIN),
    ("apply", "M1: a configuration, deleted", "s3:DeleteObject s3:DeleteObjectVersion", f"{STATE}/configurations/sha256/00.zip", {}),
    ("administrator", "M1: history, rewritten by an administrator", "s3:PutObject s3:DeleteObject", f"{STATE}/ledger/hello/9999999998.ended.json", AGAIN),
    ("administrator", "M1: an archived state, overwritten", "s3:PutObject", f"{STATE}/archive/bootstrap/0001.tfstate", AGAIN),
    ("plan", "a plan, overwritten", "s3:PutObject", f"{STATE}/plans/0123/plan.tfplan", AGAIN),
    ("apply", "a plan, overwritten", "s3:PutObject", f"{STATE}/plans/0123/plan.tfplan", AGAIN),
    ("plan", "a plan, deleted by a plan", "s3:DeleteObject", f"{STATE}/plans/0123/plan.tfplan", {}),
    ("apply", "images", "ecr:PutImage ecr:BatchDeleteImage ecr:SetRepositoryPolicy", at("ecr", "repository/slipway/resize"), {}),
]

# Requests that must be refused, by role: (reason, actions, resource, context). `function` is a role with the boundary and
# otherwise all permissions.
REFUSED = [
    ("apply", "another environment's roles", "iam:CreateRole iam:PutRolePolicy", f"{IAM}:role/slipway-{ACCOUNT}-prod-tracer", {"iam:PermissionsBoundary": BOUNDARY}),
    ("apply", "an environment whose name begins alike", "iam:CreateRole", f"{IAM}:role/slipway-{ACCOUNT}-dev2-tracer", {"iam:PermissionsBoundary": BOUNDARY}),
    ("apply", "a role without the boundary", "iam:CreateRole iam:PutRolePolicy", f"{IAM}:role/{PREFIX}tracer", {}),
    ("apply", "a role within another boundary", "iam:CreateRole iam:PutRolePermissionsBoundary", f"{IAM}:role/{PREFIX}tracer", {"iam:PermissionsBoundary": f"{IAM}:policy/{PREFIX}wider"}),
    ("apply", "a role without its boundary any more", "iam:DeleteRolePermissionsBoundary", f"{IAM}:role/{PREFIX}tracer", {"iam:PermissionsBoundary": BOUNDARY}),
    ("apply", "a role that the administrator made", "iam:UpdateAssumeRolePolicy iam:TagRole iam:PutRolePolicy iam:DeleteRole", f"{IAM}:role/{PREFIX}tracer", {"iam:PermissionsBoundary": BOUNDARY}),
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
    ("apply", "objects of buckets that no suite is for", "s3:GetObject s3:PutObject", f"arn:aws:s3:::{PREFIX}stream-records/raw/a", {}),
    ("plan", "objects and items of suites", "s3:GetObject s3:PutObject", f"{BUCKET}/a", {}),
    ("prod-apply", "objects of the stacks' buckets", "s3:GetObject s3:PutObject", f"arn:aws:s3:::slipway-{ACCOUNT}-prod-objects/a", {}),
    ("apply", "items of tables that no suite is for", "dynamodb:GetItem dynamodb:BatchWriteItem", at("dynamodb", f"table/{PREFIX}stream-events"), {}),
    ("apply", "the account's detector", "guardduty:CreateDetector guardduty:ListDetectors", "*", {}),
    ("apply", "the account's detector, stopped", "guardduty:DeleteDetector guardduty:UpdateDetector", DETECTOR, {}),
    ("apply", "an interface that carries others' tags", "ec2:DeleteNetworkInterface ec2:DetachNetworkInterface", at("ec2", "network-interface/eni-00000000000000001"), FOREIGN),
    ("plan", "what Lambda left in a VPC", "ec2:DeleteNetworkInterface", at("ec2", "network-interface/eni-00000000000000001"), {}),
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
    ("apply", "records of the tables, but for a suite", "dynamodb:Scan dynamodb:PutItem", TABLE, {}),
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


def trusted(name):
    """Returns the ARN of a role of CI, where the request is to assume it."""
    environment, _, kind = name.rpartition("-")
    names = {"publisher": f"slipway-{ACCOUNT}-publisher", "plan": f"{PREFIX}ci-plan", "apply": f"{PREFIX}ci-apply"}
    if environment == "prod":
        return f"{IAM}:role/slipway/ci/slipway-{ACCOUNT}-prod-ci-{kind}"
    return f"{IAM}:role/slipway/ci/{names[name]}" if name in names else name


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
    for role, why, actions, arn, context in ROAD:
        add(why, role, actions, trusted(arn), context, "allowed")
    for role, why, actions, arn, context in REVIEWED + REFUSED:
        add(why, role, actions, trusted(arn), context, "refused")
    return found
