//! The AWS resource types that hold data, with what is lost where one is deleted, replaced or forgotten.
//!
//! Only what cannot be made again from the repository counts: a role, a function or a rule is not in the list.

/// Resource type and what it holds, in the order of the types.
const DATA_TYPES: &[(&str, &str)] = &[
    ("aws_backup_vault", "its backups"),
    ("aws_cloudwatch_log_group", "its logs"),
    ("aws_cognito_identity_pool", "the identities of its users"),
    ("aws_cognito_user_pool", "the accounts of its users"),
    ("aws_db_instance", "its databases"),
    ("aws_docdb_cluster", "its databases"),
    ("aws_dynamodb_global_table", "its items"),
    ("aws_dynamodb_table", "its items"),
    ("aws_ebs_volume", "its files"),
    ("aws_ecr_repository", "the images that versions run from"),
    ("aws_ecrpublic_repository", "its images"),
    ("aws_efs_file_system", "its files"),
    ("aws_elasticache_cluster", "what it has in memory"),
    ("aws_elasticache_replication_group", "what it has in memory"),
    ("aws_elasticache_serverless_cache", "what it has in memory"),
    ("aws_elasticsearch_domain", "its indexes"),
    ("aws_fsx_lustre_file_system", "its files"),
    ("aws_fsx_ontap_file_system", "its files"),
    ("aws_fsx_openzfs_file_system", "its files"),
    ("aws_fsx_windows_file_system", "its files"),
    ("aws_glacier_vault", "its archives"),
    ("aws_glue_catalog_database", "its catalogue"),
    ("aws_keyspaces_keyspace", "its tables"),
    ("aws_keyspaces_table", "its rows"),
    ("aws_kinesis_stream", "records that were not read yet"),
    ("aws_kms_external_key", "all that was encrypted with it"),
    ("aws_kms_key", "all that was encrypted with it"),
    ("aws_kms_replica_key", "all that was encrypted with it"),
    ("aws_lightsail_database", "its databases"),
    ("aws_memorydb_cluster", "its data"),
    ("aws_mq_broker", "messages that were not handled yet"),
    ("aws_msk_cluster", "its topics"),
    ("aws_msk_serverless_cluster", "its topics"),
    ("aws_neptune_cluster", "its graphs"),
    ("aws_opensearch_domain", "its indexes"),
    ("aws_opensearchserverless_collection", "its indexes"),
    ("aws_rds_cluster", "its databases"),
    ("aws_rds_global_cluster", "its databases"),
    ("aws_redshift_cluster", "its databases"),
    ("aws_redshiftserverless_namespace", "its databases"),
    ("aws_route53_zone", "its names, and the name servers that others refer to"),
    ("aws_s3_bucket", "its objects"),
    ("aws_s3_directory_bucket", "its objects"),
    ("aws_s3tables_table", "its rows"),
    ("aws_s3tables_table_bucket", "its tables"),
    ("aws_secretsmanager_secret", "its value"),
    ("aws_sqs_queue", "messages that were not handled yet"),
    ("aws_timestreamwrite_database", "its tables"),
    ("aws_timestreamwrite_table", "its records"),
];

/// Returns what a resource of a type holds; `None` if it holds no data.
pub(crate) fn data_in(resource_type: &str) -> Option<&'static str> {
    let found = DATA_TYPES.binary_search_by(|(name, _)| (*name).cmp(resource_type)).ok()?;
    Some(DATA_TYPES[found].1)
}

/// Returns the resource type in an address: `aws_s3_bucket` of `module.a["x.y"].aws_s3_bucket.this[0]`; `None` for data sources
/// and outputs.
pub(crate) fn resource_type(address: &str) -> Option<String> {
    let mut words = words(address).into_iter();
    loop {
        match words.next()?.as_str() {
            "module" => drop(words.next()?),
            "data" | "output" => return None,
            kind => return words.next().map(|_| kind.to_owned()),
        }
    }
}

/// Splits an address at the dots that are outside brackets and quotes, and drops the brackets.
fn words(address: &str) -> Vec<String> {
    let (mut words, mut word, mut depth, mut quoted, mut escaped) =
        (Vec::new(), String::new(), 0_u32, false, false);
    for c in address.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if depth > 0 => quoted = !quoted,
            _ if quoted => {}
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => words.push(std::mem::take(&mut word)),
            c if depth == 0 => word.push(c),
            _ => {}
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_order_and_named_once() {
        assert!(DATA_TYPES.is_sorted_by(|a, b| a.0 < b.0), "they are found by halving the list");
        assert_eq!(data_in("aws_dynamodb_table"), Some("its items"));
        assert_eq!(data_in("aws_iam_role"), None);
    }

    #[test]
    fn type_is_found_behind_modules_and_keys_of_any_text() {
        for (address, expected) in [
            ("aws_s3_bucket.this", Some("aws_s3_bucket")),
            ("module.a[\"x.aws_kms_key.y\"].module.b[0].aws_sqs_queue.q[\"]\\\".z\"]", Some("aws_sqs_queue")),
            ("module.a.data.aws_s3_bucket.b", None),
            ("data.aws_s3_bucket.b", None),
            ("output.x", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(resource_type(address).as_deref(), expected, "{address}");
        }
    }
}
