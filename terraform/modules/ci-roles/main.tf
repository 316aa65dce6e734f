data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id
  account_id = data.aws_caller_identity.current.account_id

  # Beginning of the ARN of what lives in this region, and of what has none; the service comes between.
  iam = "arn:${local.partition}:iam::${local.account_id}"
  arns = { for service in ["apigateway", "cloudformation", "cloudwatch", "dynamodb", "ec2", "events", "kinesis", "kms", "lambda", "logs", "secretsmanager", "sns", "sqs"] :
  service => "arn:${local.partition}:${service}:${local.region}:${local.account_id}" }

  # Where roles and policies of CI are. A name that a deployment may change begins with its prefix and has no path, so no
  # pattern of names reaches what is below a path.
  path = "/slipway/ci/"

  # The beginning of every name, and of no other environment's: "dev-" is no beginning of "dev2-…", and "dev-eu" is refused
  # beside "dev".
  prefixes           = { for environment in keys(var.environments) : environment => "${var.project}-${local.account_id}-${environment}-" }
  state_buckets      = { for environment, settings in var.environments : environment => settings.state_bucket == null ? "${local.prefixes[environment]}state" : settings.state_bucket }
  state_objects      = { for environment, settings in var.environments : environment => "arn:${local.partition}:s3:::${local.state_buckets[environment]}/${settings.state_prefix}" }
  function_role_arns = { for environment, settings in var.environments : environment => [for role in sort(settings.function_roles) : "${local.iam}:role/${local.prefixes[environment]}${role}"] }

  # Keys that are no environment's: those that encrypt states and store, and the one that signs releases.
  kept_aliases = { for environment, bucket in local.state_buckets : environment => concat(
    ["alias/${bucket}", "alias/${var.artifact_store.bucket}"], var.artifact_store.signing_alias[*],
  ) }
  boundary_arns = { for environment, prefix in local.prefixes : environment => "${local.iam}:policy/${prefix}boundary" }

  # Each group of permissions makes one policy for each of the two roles, so that none outgrows IAM's
  # 6,144 characters.
  groups = {
    state     = local.state_permissions
    artifacts = { for environment, statements in local.artifact_permissions : environment => concat(statements, local.quota_permissions[environment]) }
    identity  = local.identity_permissions
    functions = local.function_permissions
    data      = local.data_permissions
    keys      = local.key_permissions
    watching  = local.watching_permissions
    network   = local.network_permissions
    kept      = local.kept_permissions
    extra     = local.extra_permissions
  }

  # A statement of a group holds what reads and what changes apart: the planning role gets the first,
  # the applying one both.
  policies = merge(flatten([for group, permissions in local.groups : [for environment, statements in permissions : {
    for role in ["plan", "apply"] : "${environment}/${role}/${group}" => {
      Version = "2012-10-17"
      Statement = [for statement in statements : {
        for key, value in {
          Sid       = statement.sid
          Effect    = try(statement.effect, "Allow")
          Action    = sort(setunion(try(statement.read, []), role == "apply" ? try(statement.write, []) : []))
          Resource  = statement.resources
          Condition = try(statement.condition, null)
        } : key => value if value != null
        } if(length(try(statement.read, [])) > 0 || (role == "apply" && length(try(statement.write, [])) > 0))
        # What is refused stays refused, whatever is switched off.
      && (try(statement.effect, "Allow") == "Deny" || !contains(local.switched_off[environment], statement.sid))]
    }
  }]])...)

  # By switch: the statements that it takes away.
  switches = {
    budgets        = ["Budgets"]
    chat           = ["FindChat", "Chat"]
    cloudformation = ["CloudFormation"]
    event_rules    = ["EventRules"]
    http_apis      = ["HttpApis", "CallHttpApis"]
    network        = [for statement in values(local.network_permissions)[0] : statement.sid]
    queues         = ["Queues"]
    secrets        = ["Secrets", "SecretValues"]
    streams        = ["Streams", "StreamsOfTheAccount", "KeysOfStreams"]
    tables         = ["Tables"]
    topics         = ["Topics", "Subscriptions"]
  }
  switched_off = { for environment, settings in var.environments : environment => flatten([for name in settings.without : local.switches[name]]) }

  # What a role has nothing to do with in a group makes no policy.
  made_policies = { for key, policy in local.policies : key => jsonencode(policy) if length(policy.Statement) > 0 }

  roles = merge([for environment in keys(var.environments) : { for role in ["plan", "apply"] : "${environment}/${role}" => {
    environment = environment
    role        = role
  } }]...)
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository != null && var.make_github_provider ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  path                 = local.path
  permissions_boundary = aws_iam_policy.ci_boundary[each.value.environment].arn
  name                 = "${local.prefixes[each.value.environment]}ci-${each.value.role}"
  description          = each.value.role == "plan" ? "Plans and reads ${each.value.environment} of ${var.project}" : "Applies and rolls out ${each.value.environment} of ${var.project}"
  assume_role_policy   = jsonencode(local.trust_policies[each.key])
  max_session_duration = var.session_seconds
  tags                 = var.tags

  lifecycle {
    precondition {
      condition     = length([for key in keys(local.made_policies) : key if startswith(key, "${each.key}/")]) <= 10
      error_message = "The role ${each.key} would have more than the 10 policies that IAM attaches to a role."
    }
    precondition {
      condition     = length("${local.prefixes[each.value.environment]}ci-${each.value.role}") <= 64
      error_message = "The name ${local.prefixes[each.value.environment]}ci-${each.value.role} has more than the 64 characters that IAM takes: shorten the project's or the environment's name."
    }
  }
}

resource "aws_iam_policy" "this" {
  for_each = local.made_policies

  path        = local.path
  name        = "${local.prefixes[split("/", each.key)[0]]}ci-${split("/", each.key)[1]}-${split("/", each.key)[2]}"
  description = "What the role that may ${split("/", each.key)[1]} has to do with ${split("/", each.key)[2]}"
  policy      = each.value
  tags        = var.tags

  lifecycle {
    precondition {
      condition     = length(each.value) <= 6144
      error_message = "The policy ${each.key} has ${length(each.value)} characters, and IAM takes 6144: name fewer or shorter registries."
    }
  }
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.made_policies

  role       = aws_iam_role.this["${split("/", each.key)[0]}/${split("/", each.key)[1]}"].name
  policy_arn = aws_iam_policy.this[each.key].arn
}

resource "aws_iam_policy" "ci_boundary" {
  for_each = local.ci_boundaries

  path        = local.path
  name        = "${local.prefixes[each.key]}ci-boundary"
  description = "The most that the roles which plan and apply ${each.key} may ever do"
  policy      = jsonencode(each.value)
  tags        = var.tags
}

resource "aws_iam_policy" "boundary" {
  for_each = local.boundaries

  name        = "${local.prefixes[each.key]}boundary"
  description = "The most that a role which a deployment makes in ${each.key} may ever do"
  policy      = jsonencode(each.value)
  tags        = var.tags
}
