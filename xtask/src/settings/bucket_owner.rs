//! The probable owner of a state bucket that belongs to another account.

use super::{CloudAccount, EnvironmentAccount, Project};

impl Project {
    /// Returns the probable owner of an environment's state bucket, by another environment's settings or by the bucket's
    /// name, and how it is known. S3 does not reveal the owner.
    pub(crate) fn probable_bucket_owner(&self, cloud: &CloudAccount) -> String {
        let bucket = &cloud.state_bucket;
        let mut others = self.environments.iter().filter_map(|(name, other)| match &other.account {
            EnvironmentAccount::Cloud(other) => Some((name, other)),
            EnvironmentAccount::Emulated => None,
        });
        if let Some((name, other)) =
            others.find(|(_, other)| other.state_bucket == *bucket && other.account != cloud.account)
        {
            return format!("{}, according to the environment {name}", other.account);
        }
        let is_account = |part: &&str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit());
        match bucket.split(['-', '.']).find(is_account).filter(|account| *account != cloud.account) {
            Some(account) => format!("{account}, according to its name"),
            None => "unknown".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{project, write};
    use super::*;

    fn owner(bucket: &str, other_bucket: &str) -> String {
        let folder = project();
        let environment = |account: &str, bucket: &str| {
            format!("account = \"{account}\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"{bucket}\"\n")
        };
        let path = |name: &str| format!("terraform/environments/{name}/environment.toml");
        write(folder.path(), &path("dev"), &environment("111111111111", bucket));
        write(folder.path(), &path("live"), &environment("222222222222", other_bucket));
        let project = Project::load(folder.path()).unwrap();
        let EnvironmentAccount::Cloud(cloud) = &project.environments[&"dev".parse().unwrap()].account else {
            panic!("dev is not a cloud environment");
        };
        project.probable_bucket_owner(cloud)
    }

    #[test]
    fn owner_is_named_by_another_environment_or_by_the_buckets_name() {
        assert_eq!(owner("state", "state"), "222222222222, according to the environment live");
        assert_eq!(owner("shop-333333333333-state", "other"), "333333333333, according to its name");
        assert_eq!(owner("shop-111111111111-state", "other"), "unknown");
        assert_eq!(owner("state", "other"), "unknown");
    }
}
