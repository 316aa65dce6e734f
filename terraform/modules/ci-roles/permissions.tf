# What a deployment of this project's stacks does, service by service. `read` is what a plan and a
# look at the environment need, `write` what an apply and a rollout need besides.
locals {
  state_permissions = { for environment, prefix in local.prefixes : environment => concat(
    [
      {
        sid       = "ListStateAndLedger"
        read      = ["s3:GetBucketLocation", "s3:ListBucket"]
        resources = ["arn:${local.partition}:s3:::${local.state_buckets[environment]}"]
      },
      {
        # What a plan is made of: the state, the ledger, saved plans.
        sid       = "StateAndLedger"
        read      = ["s3:GetObject"]
        write     = ["s3:AbortMultipartUpload", "s3:PutObject"]
        resources = [for key in ["*.tfstate", "*.tfstate.tflock", "ledger/*", "leases/*", "plans/*"] : "${local.state_objects[environment]}${key}"]
      },
      {
        # A rollback runs the configuration that was applied, and drift is what differs from it. Its values are in the state, too.
        sid       = "Configurations"
        read      = ["s3:GetObject"]
        write     = ["s3:AbortMultipartUpload", "s3:PutObject"]
        resources = ["${local.state_objects[environment]}configurations/*"]
      },
      {
        # A plan takes no lock (`-lock=false`): its role could take away or plant another's.
        sid       = "UnlockState"
        write     = ["s3:DeleteObject"]
        resources = ["${local.state_objects[environment]}*.tfstate.tflock"]
      },
      {
        # All that a plan may write: a bundle, which the bucket's policy lets nobody replace.
        sid       = "WritePlans"
        read      = ["s3:AbortMultipartUpload", "s3:PutObject"]
        resources = ["${local.state_objects[environment]}plans/*"]
      },
      {
        sid       = "DeleteSavedPlans"
        write     = ["s3:DeleteObject"]
        resources = ["${local.state_objects[environment]}plans/*"]
      },
      {
        # The bucket's key by its alias, which is named after the bucket, and through S3 alone.
        sid       = "EncryptState"
        read      = ["kms:Decrypt", "kms:GenerateDataKey"]
        resources = ["${local.arns.kms}:key/*"]
        condition = {
          "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/${local.state_buckets[environment]}" }
          StringEquals               = { "kms:ViaService" = "s3.${local.region}.${data.aws_partition.current.dns_suffix}" }
        }
      },
    ],
    [for table in var.environments[environment].lock_table[*] : {
      sid       = "LockTable"
      read      = ["dynamodb:DescribeTable", "dynamodb:GetItem"]
      write     = ["dynamodb:DeleteItem", "dynamodb:PutItem"]
      resources = ["${local.arns.dynamodb}:table/${table}"]
    }],
    [for table in var.environments[environment].lock_table[*] : {
      # state-backend encrypts the table with the bucket's key, which DynamoDB opens with the rights of its caller.
      # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
      sid       = "DecryptLockTable"
      read      = ["kms:Decrypt"]
      resources = ["${local.arns.kms}:key/*"]
      condition = {
        "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/${local.state_buckets[environment]}" }
        StringEquals               = { "kms:ViaService" = "dynamodb.${local.region}.${data.aws_partition.current.dns_suffix}" }
      }
    }],
    [{
      # The bucket begins with the environment's name as well: what the other statements allow on the
      # stacks' own buckets ends here.
      sid       = "KeepStateBucket"
      effect    = "Deny"
      write     = ["s3:DeleteBucket*", "s3:DeleteObjectVersion", "s3:PutBucket*", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration"]
      resources = ["arn:${local.partition}:s3:::${local.state_buckets[environment]}", "arn:${local.partition}:s3:::${local.state_buckets[environment]}/*"]
    }],
    [for table in var.environments[environment].lock_table[*] : {
      sid       = "KeepLockTable"
      effect    = "Deny"
      write     = ["dynamodb:DeleteTable", "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTable"]
      resources = ["${local.arns.dynamodb}:table/${table}"]
    }],
  ) }

  artifact_permissions = { for environment in keys(var.environments) : environment => concat(
    [
      {
        sid       = "ListArtifacts"
        read      = ["s3:GetBucketLocation", "s3:ListBucket"]
        resources = ["arn:${local.partition}:s3:::${var.artifact_store.bucket}"]
      },
      {
        # Lambda fetches a zip with the permissions of whoever updates the function.
        sid       = "ReadArtifacts"
        read      = ["s3:GetObject", "s3:GetObjectVersion"]
        resources = ["arn:${local.partition}:s3:::${var.artifact_store.bucket}/*"]
      },
    ],
    [for arn in var.artifact_store.kms_key_arn[*] : {
      sid       = "DecryptArtifacts"
      read      = ["kms:Decrypt", "kms:DescribeKey"]
      resources = [arn]
      condition = { StringLike = { "kms:ViaService" = "s3.*.${data.aws_partition.current.dns_suffix}" } }
    }],
    # `promote` looks at what serves in the environment that it takes releases from.
    length(var.environments[environment].reads) == 0 ? [] : [{
      sid       = "ReadEarlierEnvironment"
      read      = ["sts:AssumeRole"]
      resources = sort(var.environments[environment].reads)
    }],
    [for statement in [
      {
        sid       = "ReadImages"
        read      = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer", "ecr:ListImages"]
        write     = ["ecr:GetRepositoryPolicy"]
        resources = var.artifact_store.repository_arns
      },
      {
        # A token for a registry can't be narrowed to a repository.
        sid       = "LogInToRegistry"
        read      = ["ecr:GetAuthorizationToken"]
        resources = ["*"]
      },
    ] : statement if length(var.artifact_store.repository_arns) > 0],
  ) }

  # What `cargo xtask doctor --env` reads of the account before anything is made.
  quota_permissions = { for environment, prefix in local.prefixes : environment => [
    {
      # Numbers of the account as a whole, which can't be narrowed.
      sid = "Quotas"
      read = concat(
        contains(var.environments[environment].without, "network") ? [] : ["ec2:DescribeAccountAttributes", "ec2:DescribeAddresses"],
        ["iam:GetAccountSummary", "lambda:GetAccountSettings", "servicequotas:GetServiceQuota"],
      )
      resources = ["*"]
    },
    {
      # How many policies the deploying role has.
      sid       = "PoliciesOfCiRoles"
      read      = ["iam:ListAttachedRolePolicies"]
      resources = ["${local.iam}:role${local.path}${prefix}ci-*"]
    },
    {
      sid       = "ReservedConcurrency"
      read      = ["lambda:GetFunctionConcurrency"]
      resources = ["${local.arns.lambda}:function:${prefix}*"]
    },
  ] }

  identity_permissions = { for environment, prefix in local.prefixes : environment => concat([
    {
      sid = "Roles"
      read = [
        "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags",
      ]
      write = var.environments[environment].make_roles ? [
        "iam:DeleteRole", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
      ] : []
      resources = ["${local.iam}:role/${prefix}*"]
    },
    {
      # A role that is made, and one whose permissions change, has this boundary.
      sid       = "RolesWithinBoundary"
      write     = var.environments[environment].make_roles ? ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"] : []
      resources = ["${local.iam}:role/${prefix}*"]
      condition = { StringEquals = { "iam:PermissionsBoundary" = local.boundary_arns[environment] } }
    },
    {
      sid       = "AttachOwnPolicies"
      write     = var.environments[environment].make_roles ? ["iam:AttachRolePolicy", "iam:DetachRolePolicy"] : []
      resources = ["${local.iam}:role/${prefix}*"]
      condition = {
        StringEquals = { "iam:PermissionsBoundary" = local.boundary_arns[environment] }
        ArnLike      = { "iam:PolicyARN" = "${local.iam}:policy/${prefix}*" }
      }
    },
    {
      sid  = "Policies"
      read = ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyTags", "iam:ListPolicyVersions"]
      write = var.environments[environment].make_roles ? [
        "iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:TagPolicy", "iam:UntagPolicy",
      ] : []
      resources = ["${local.iam}:policy/${prefix}*"]
    },
    {
      sid       = "PassToServices"
      write     = ["iam:PassRole"]
      resources = ["${local.iam}:role/${prefix}*"]
      condition = { StringEquals = { "iam:PassedToService" = ["chatbot.amazonaws.com", "lambda.amazonaws.com", "vpc-flow-logs.amazonaws.com"] } }
    },
    {
      # Roles that AWS itself writes, once for each account.
      sid       = "ServiceLinkedRoles"
      write     = ["iam:CreateServiceLinkedRole"]
      resources = ["${local.iam}:role/aws-service-role/*"]
      condition = { StringEquals = { "iam:AWSServiceName" = [
        "management.chatbot.amazonaws.com", "natgateway.amazonaws.com", "ops.apigateway.amazonaws.com",
      ] } }
    },
    {
      # What the prefix covers and a deployment must not touch: its own roles, what they may do, and
      # the boundary.
      sid    = "KeepBoundaryAndCi"
      effect = "Deny"
      write = [
        "iam:Attach*", "iam:Create*", "iam:Delete*", "iam:Detach*", "iam:PassRole", "iam:Put*", "iam:Set*", "iam:Tag*", "iam:Untag*", "iam:Update*",
      ]
      resources = [
        "${local.iam}:role/slipway/*", "${local.iam}:policy/slipway/*", "${local.iam}:policy/${var.project}-${local.account_id}-*-boundary",
        # Of accounts that were prepared before there were paths.
        "${local.iam}:role/${prefix}ci-*", "${local.iam}:policy/${prefix}ci-*",
      ]
    },
    {
      sid       = "KeepRolesWithinBoundary"
      effect    = "Deny"
      write     = ["iam:DeleteRolePermissionsBoundary"]
      resources = ["*"]
    },
    ],
    # Roles that the account's administrator made for functions are passed to them, and that is all.
    [for arns in [local.function_role_arns[environment]] : {
      sid    = "KeepFunctionRoles"
      effect = "Deny"
      write = [
        "iam:Attach*", "iam:Create*", "iam:Delete*", "iam:Detach*", "iam:Put*", "iam:Tag*", "iam:Untag*", "iam:Update*",
      ]
      resources = arns
    } if length(arns) > 0],
  ) }

  function_permissions = { for environment, prefix in local.prefixes : environment => [
    {
      sid = "Functions"
      read = [
        "lambda:GetAlias", "lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionConcurrency", "lambda:GetFunctionConfiguration",
        "lambda:GetFunctionUrlConfig", "lambda:GetPolicy", "lambda:GetProvisionedConcurrencyConfig", "lambda:GetRuntimeManagementConfig",
        "lambda:ListAliases", "lambda:ListFunctionUrlConfigs", "lambda:ListTags", "lambda:ListVersionsByFunction",
      ]
      write = [
        "lambda:AddPermission", "lambda:CreateAlias", "lambda:CreateFunction", "lambda:CreateFunctionUrlConfig", "lambda:DeleteAlias",
        "lambda:DeleteFunction", "lambda:DeleteFunctionConcurrency", "lambda:DeleteFunctionUrlConfig", "lambda:InvokeFunction", "lambda:InvokeFunctionUrl",
        "lambda:PublishVersion", "lambda:PutFunctionConcurrency", "lambda:RemovePermission", "lambda:TagResource", "lambda:UntagResource", "lambda:UpdateAlias",
        "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:UpdateFunctionUrlConfig",
      ]
      resources = ["${local.arns.lambda}:function:${prefix}*"]
    },
    {
      # A mapping has an id for a name: whose function it feeds tells whose it is.
      sid       = "EventSources"
      write     = ["lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
      resources = ["*"]
      condition = { ArnLike = { "lambda:FunctionArn" = "${local.arns.lambda}:function:${prefix}*" } }
    },
    {
      sid       = "EventSourceTags"
      read      = ["lambda:ListTags"]
      write     = ["lambda:TagResource", "lambda:UntagResource"]
      resources = ["${local.arns.lambda}:event-source-mapping:*"]
    },
    {
      # Neither the account's limits nor a list of mappings can be narrowed.
      sid       = "FunctionsOfTheAccount"
      read      = ["lambda:GetAccountSettings", "lambda:GetEventSourceMapping", "lambda:ListEventSourceMappings"]
      resources = ["*"]
    },
    {
      # An HTTP API has an id for a name; its routes, stages and integrations lie under it.
      sid       = "HttpApis"
      read      = ["apigateway:GET"]
      write     = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT", "apigateway:TagResource", "apigateway:UntagResource"]
      resources = [for path in ["apis", "apis/*", "tags/*"] : "arn:${local.partition}:apigateway:${local.region}::/${path}"]
    },
    {
      # What was deployed is asked over its own address: `cargo xtask verify` and `call`.
      sid       = "CallHttpApis"
      read      = []
      write     = ["execute-api:Invoke"]
      resources = ["arn:${local.partition}:execute-api:${local.region}:${local.account_id}:*"]
    },
    {
      # Permissions of a function URL that the provider has no argument for.
      sid       = "CloudFormation"
      read      = ["cloudformation:DescribeStackEvents", "cloudformation:DescribeStackResources", "cloudformation:DescribeStacks", "cloudformation:GetTemplate"]
      write     = ["cloudformation:CreateStack", "cloudformation:DeleteStack", "cloudformation:TagResource", "cloudformation:UntagResource", "cloudformation:UpdateStack"]
      resources = ["${local.arns.cloudformation}:stack/${prefix}*/*"]
    },
  ] }
}
