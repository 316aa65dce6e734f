# Who may assume which role.
locals {
  github_issuer       = "token.actions.githubusercontent.com"
  github_provider_arn = var.make_github_provider ? one(aws_iam_openid_connect_provider.github[*].arn) : var.github_provider_arn

  # https://docs.github.com/en/actions/reference/security/oidc#example-subject-claims
  github_subjects = { for environment, settings in var.environments : environment => {
    # Not protected: any branch, tag, pull request or environment. What a plan may read, whoever may push may read.
    plan = settings.protected || var.github_repository == null ? [] : ["repo:${var.github_repository}:*"]
    # A job in a GitHub environment says that environment and no branch: who approves is the environment's rule.
    plan_environments  = settings.protected ? [for name in local.plan_environments[environment] : "repo:${var.github_repository}:environment:${name}"] : []
    apply              = []
    apply_environments = [for name in settings.github_environment[*] : "repo:${var.github_repository}:environment:${name}"]
    branches           = [for branch in settings.github_branches : "repo:${var.github_repository}:ref:refs/heads/${branch}"]
  } }

  plan_environments = { for environment, settings in var.environments : environment =>
    settings.github_plan_environment != null ? [settings.github_plan_environment] : [for name in settings.github_environment[*] : "${name}-plan"]
  }

  # GitHub makes an environment at its first mention, without any rule. So the branch is a condition of its own, which no
  # setting on GitHub changes. STS knows these claims since January 2026:
  # https://aws.amazon.com/about-aws/whats-new/2026/01/aws-sts-supports-validation-identity-provider-claims/
  bound_branches = { for environment, settings in var.environments : environment =>
    settings.github_branch == null ? (settings.protected ? "main" : "") : settings.github_branch
  }
  github_equals = merge(
    { "${local.github_issuer}:aud" = ["sts.amazonaws.com"] },
    var.github_repository_id == null ? {} : { "${local.github_issuer}:repository_id" = [var.github_repository_id] },
  )

  trusts = { for key, role in local.roles : key => {
    # By statement: its subjects, whether they are patterns, and the branch that the job must be of.
    github = { for sid, trust in {
      GitHubActions     = { subjects = local.github_subjects[role.environment][role.role], like = true, branch = "" }
      GitHubEnvironment = { subjects = local.github_subjects[role.environment]["${role.role}_environments"], like = false, branch = local.bound_branches[role.environment] }
      GitHubBranches    = { subjects = role.role == "apply" || var.environments[role.environment].protected ? local.github_subjects[role.environment].branches : [], like = false, branch = "" }
    } : sid => trust if length(trust.subjects) > 0 }
    jenkins_roles     = role.role == "plan" ? var.environments[role.environment].jenkins.plan_role_arns : var.environments[role.environment].jenkins.apply_role_arns
    jenkins_subjects  = role.role == "plan" ? var.environments[role.environment].jenkins.plan_subjects : var.environments[role.environment].jenkins.apply_subjects
    people            = role.role == "plan" ? var.environments[role.environment].people.plan_role_arns : var.environments[role.environment].people.apply_role_arns
    external_id       = var.environments[role.environment].jenkins.external_id
    subject_condition = role.role == "plan" && !var.environments[role.environment].protected ? "StringLike" : "StringEquals"
  } }

  trust_policies = { for key, trust in local.trusts : key => {
    Version = "2012-10-17"
    Statement = concat(
      [for sid, github in trust.github : {
        Sid       = sid
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = local.github_provider_arn }
        Condition = merge(
          { StringEquals = merge(
            local.github_equals,
            github.like ? {} : { "${local.github_issuer}:sub" = github.subjects },
            github.branch == "" ? {} : { "${local.github_issuer}:ref" = ["refs/heads/${github.branch}"] },
          ) },
          github.like ? { StringLike = { "${local.github_issuer}:sub" = github.subjects } } : {},
        )
      }],
      length(trust.jenkins_roles) == 0 ? [] : [{
        Sid       = "JenkinsRole"
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { AWS = trust.jenkins_roles }
        Condition = { StringEquals = { "sts:ExternalId" = trust.external_id } }
      }],
      # By the role's ARN and not as a principal: the name of a role that IAM Identity Center makes ends in characters that
      # change when it is made again.
      length(trust.people) == 0 ? [] : [{
        Sid       = "People"
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { AWS = sort(distinct([for arn in trust.people : "arn:${local.partition}:iam::${split(":", arn)[4]}:root"])) }
        Condition = { ArnLike = { "aws:PrincipalArn" = sort(trust.people) } }
      }],
      length(trust.jenkins_subjects) == 0 ? [] : [{
        Sid       = "JenkinsJobs"
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = var.jenkins_issuer.provider_arn }
        Condition = { for operator in distinct(["StringEquals", trust.subject_condition]) : operator => merge(
          operator == "StringEquals" ? { "${var.jenkins_issuer.issuer}:aud" = [var.jenkins_issuer.audience] } : {},
          operator == trust.subject_condition ? { "${var.jenkins_issuer.issuer}:sub" = trust.jenkins_subjects } : {},
        ) }
      }],
    )
  } }
}
