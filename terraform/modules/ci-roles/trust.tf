# Who may assume which role.
locals {
  github_issuer       = "token.actions.githubusercontent.com"
  github_provider_arn = var.make_github_provider ? one(aws_iam_openid_connect_provider.github[*].arn) : var.github_provider_arn

  # https://docs.github.com/en/actions/reference/security/oidc#example-subject-claims
  github_subjects = { for environment, settings in var.environments : environment => {
    # Any branch, tag, pull request or environment: what a plan may read, whoever may push may read.
    plan = var.github_repository == null ? [] : ["repo:${var.github_repository}:*"]
    # A job in a GitHub environment says that environment and no branch: which branches it takes, and
    # who approves, are the environment's rules.
    apply = concat(
      [for name in settings.github_environment[*] : "repo:${var.github_repository}:environment:${name}"],
      [for branch in settings.github_branches : "repo:${var.github_repository}:ref:refs/heads/${branch}"],
    )
  } }

  trusts = { for key, role in local.roles : key => {
    github_subjects   = local.github_subjects[role.environment][role.role]
    jenkins_roles     = role.role == "plan" ? var.environments[role.environment].jenkins.plan_role_arns : var.environments[role.environment].jenkins.apply_role_arns
    jenkins_subjects  = role.role == "plan" ? var.environments[role.environment].jenkins.plan_subjects : var.environments[role.environment].jenkins.apply_subjects
    external_id       = var.environments[role.environment].jenkins.external_id
    subject_condition = role.role == "plan" ? "StringLike" : "StringEquals"
  } }

  trust_policies = { for key, trust in local.trusts : key => {
    Version = "2012-10-17"
    Statement = concat(
      length(trust.github_subjects) == 0 ? [] : [{
        Sid       = "GitHubActions"
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = local.github_provider_arn }
        # Merged: one operator can stand only once, and for the applying role both are equalities.
        Condition = { for operator in distinct(["StringEquals", trust.subject_condition]) : operator => merge(
          operator == "StringEquals" ? { "${local.github_issuer}:aud" = ["sts.amazonaws.com"] } : {},
          operator == trust.subject_condition ? { "${local.github_issuer}:sub" = trust.github_subjects } : {},
        ) }
      }],
      length(trust.jenkins_roles) == 0 ? [] : [{
        Sid       = "JenkinsRole"
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { AWS = trust.jenkins_roles }
        Condition = { StringEquals = { "sts:ExternalId" = trust.external_id } }
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
