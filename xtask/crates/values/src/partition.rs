//! AWS partitions: the name in ARNs and the DNS suffix of endpoints, by region; and the hosts of ECR registries.
//!
//! Source: `partitions.json`, which every AWS SDK carries
//! (<https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json>).

use std::fmt;

/// A group of regions with accounts, ARNs and endpoints of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// `aws`: the commercial regions, and any region that no other partition claims.
    Aws,
    /// `aws-cn`: the regions in China.
    China,
    /// `aws-us-gov`: GovCloud.
    GovCloud,
    /// `aws-eusc`: the European Sovereign Cloud.
    EuropeanSovereign,
    /// `aws-iso`.
    Iso,
    /// `aws-iso-b`.
    IsoB,
    /// `aws-iso-e`.
    IsoE,
    /// `aws-iso-f`.
    IsoF,
}

/// Each partition but `aws`: its name, how the names of its regions begin, its DNS suffix.
const OTHERS: [(Partition, &str, &str, &str); 7] = [
    (Partition::China, "aws-cn", "cn-", "amazonaws.com.cn"),
    (Partition::GovCloud, "aws-us-gov", "us-gov-", "amazonaws.com"),
    (Partition::EuropeanSovereign, "aws-eusc", "eusc-", "amazonaws.eu"),
    (Partition::Iso, "aws-iso", "us-iso-", "c2s.ic.gov"),
    (Partition::IsoB, "aws-iso-b", "us-isob-", "sc2s.sgov.gov"),
    (Partition::IsoE, "aws-iso-e", "eu-isoe-", "cloud.adc-e.uk"),
    (Partition::IsoF, "aws-iso-f", "us-isof-", "csp.hci.ic.gov"),
];

impl Partition {
    /// Returns the partition of a region.
    pub fn of_region(region: &str) -> Self {
        let found = OTHERS.iter().find(|(_, _, prefix, _)| region.starts_with(prefix));
        found.map_or(Self::Aws, |(partition, ..)| *partition)
    }

    /// Returns the partition that an ARN names; `None` for a text that is not an ARN of a known partition.
    pub fn of_arn(arn: &str) -> Option<Self> {
        let (named, _) = arn.strip_prefix("arn:")?.split_once(':')?;
        if named == Self::Aws.name() {
            return Some(Self::Aws);
        }
        OTHERS.iter().find(|(_, name, ..)| *name == named).map(|(partition, ..)| *partition)
    }

    /// Returns the name in ARNs, `aws` or `aws-cn`.
    pub fn name(self) -> &'static str {
        self.row().map_or("aws", |(_, name, ..)| name)
    }

    /// Returns what the hosts of endpoints end with, `amazonaws.com` or `amazonaws.com.cn`.
    pub fn dns_suffix(self) -> &'static str {
        self.row().map_or("amazonaws.com", |(.., suffix)| suffix)
    }

    /// Returns an ARN. Region and account are empty for services that leave them out.
    pub fn arn(self, service: &str, region: &str, account: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{region}:{account}:{resource}", self.name())
    }

    /// Returns the host of a service's endpoint in a region of this partition.
    pub fn host(self, service: &str, region: &str) -> String {
        format!("{service}.{region}.{}", self.dns_suffix())
    }

    fn row(self) -> Option<&'static (Self, &'static str, &'static str, &'static str)> {
        OTHERS.iter().find(|(partition, ..)| *partition == self)
    }
}

/// The host of an account's private ECR registry, `<account>.dkr.ecr[-fips].<region>.<DNS suffix>`.
///
/// Source: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrHost {
    /// The account's 12 digits.
    pub account: String,
    /// The region.
    pub region: String,
    fips: bool,
}

impl EcrHost {
    /// Returns the host of an account's registry in a region.
    pub fn new(account: &str, region: &str) -> Self {
        Self { account: account.to_owned(), region: region.to_owned(), fips: false }
    }

    /// Reads a host; `None` where it is not an ECR registry's.
    pub fn parse(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once(".dkr.ecr")?;
        let (fips, rest) = match rest.strip_prefix("-fips") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (region, suffix) = rest.strip_prefix('.')?.split_once('.')?;
        let is_account = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
        let is_ecr = is_account && suffix == Partition::of_region(region).dns_suffix();
        is_ecr.then(|| Self { account: account.to_owned(), region: region.to_owned(), fips })
    }
}

impl fmt::Display for EcrHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, region, fips } = self;
        let service = if *fips { "ecr-fips" } else { "ecr" };
        write!(f, "{account}.dkr.{service}.{region}.{}", Partition::of_region(region).dns_suffix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_follows_from_the_region() {
        for (region, name, suffix) in [
            ("eu-central-1", "aws", "amazonaws.com"),
            ("us-east-1", "aws", "amazonaws.com"),
            ("cn-northwest-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
        ] {
            let partition = Partition::of_region(region);
            assert_eq!((partition.name(), partition.dns_suffix()), (name, suffix), "{region}");
            let arn = partition.arn("iam", "", "111111111111", "role/deploy");
            assert_eq!(arn, format!("arn:{name}:iam::111111111111:role/deploy"));
            assert_eq!(Partition::of_arn(&arn), Some(partition));
        }
        for wrong in ["", "arn:", "arn:other:iam::1:role/a", "role/aws"] {
            assert_eq!(Partition::of_arn(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ecr_hosts_name_account_and_region() {
        for (host, region) in [
            ("111111111111.dkr.ecr.eu-central-1.amazonaws.com", "eu-central-1"),
            ("111111111111.dkr.ecr-fips.us-gov-east-1.amazonaws.com", "us-gov-east-1"),
            ("111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ] {
            let read = EcrHost::parse(host).unwrap();
            assert_eq!((read.account.as_str(), read.region.as_str()), ("111111111111", region));
            assert_eq!(read.to_string(), host);
        }
        let made = EcrHost::new("111111111111", "cn-north-1").to_string();
        assert_eq!(made, "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn");
        for other in [
            "127.0.0.1:5000",
            "public.ecr.aws",
            "shop.dkr.ecr.eu-central-1.amazonaws.com",
            "x.dkr.ecr.example.com",
            "111111111111.dkr.ecr.cn-north-1.amazonaws.com",
        ] {
            assert_eq!(EcrHost::parse(other), None, "{other}");
        }
    }
}
