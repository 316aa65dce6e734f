# What no role of CI does, whatever the other groups allow or somebody adds to them.
locals {
  kept_permissions = { for environment, prefix in local.prefixes : environment => concat(
    [
      {
        # Releases are signed by the publisher.
        sid       = "NeverSign"
        effect    = "Deny"
        read      = ["kms:GenerateMac", "kms:Sign"]
        resources = ["*"]
      },
      {
        # The keys of states, of the store and of releases, by their aliases.
        sid       = "KeepKeys"
        effect    = "Deny"
        read      = local.key_changes
        resources = ["${local.arns.kms}:key/*"]
        condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = local.kept_aliases[environment] } }
      },
      {
        # And by their tag, which no environment is called.
        sid       = "KeepKeysOfTheStore"
        effect    = "Deny"
        read      = local.key_changes
        resources = ["${local.arns.kms}:key/*"]
        condition = { StringEquals = { "aws:ResourceTag/Environment" = "_store" } }
      },
      {
        sid       = "KeepAliases"
        effect    = "Deny"
        read      = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
        resources = [for alias in local.kept_aliases[environment] : "arn:${local.partition}:kms:*:${local.account_id}:${alias}"]
      },
      {
        # The store is read, and published to by the publisher.
        sid       = "KeepStore"
        effect    = "Deny"
        read      = local.bucket_changes
        resources = ["arn:${local.partition}:s3:::${var.artifact_store.bucket}", "arn:${local.partition}:s3:::${var.artifact_store.bucket}/*"]
      },
      {
        # Archived states of the account are its administrator's, and hold what a role may do.
        sid       = "KeepArchive"
        effect    = "Deny"
        read      = concat(["s3:GetObject", "s3:GetObjectVersion"], local.bucket_changes)
        resources = [for key in ["archive/*", "*/archive/*"] : "arn:${local.partition}:s3:::${local.state_buckets[environment]}/${key}"]
      },
      {
        # A state and its lock are `<stack>.tfstate` and `<stack>.tfstate.tflock`: in a pattern of S3 `*` is a slash, too.
        sid       = "KeepFolders"
        effect    = "Deny"
        read      = ["s3:DeleteObject", "s3:PutObject"]
        resources = [for kind in ["tfstate", "tflock"] : "${local.state_objects[environment]}*/*.${kind}"]
      },
    ],
    length(var.artifact_store.repository_arns) == 0 ? [] : [{
      sid       = "KeepImages"
      effect    = "Deny"
      read      = ["ecr:BatchDeleteImage", "ecr:CompleteLayerUpload", "ecr:DeleteRepository*", "ecr:InitiateLayerUpload", "ecr:Put*", "ecr:SetRepositoryPolicy", "ecr:UploadLayerPart"]
      resources = var.artifact_store.repository_arns
    }],
  ) }

  key_changes = [
    "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:CreateGrant", "kms:DeleteAlias", "kms:DisableKey*", "kms:EnableKey*", "kms:PutKeyPolicy",
    "kms:RetireGrant", "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:Update*",
  ]
  bucket_changes = ["s3:AbortMultipartUpload", "s3:Bypass*", "s3:Delete*", "s3:Put*", "s3:RestoreObject"]
}
