//! Lambda's runtimes: the identifier of each, its family and the operating system that it provides.
//!
//! This is the only list of runtimes. A new one is one line of the table below; a new family is a variant of
//! [`RuntimeFamily`]. Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html>.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! runtimes {
    ($($variant:ident, $identifier:literal, $system:ident;)*) => {
        /// A runtime of Lambda, read from and written as its identifier.
        ///
        /// Any text can be read: an identifier that this version of Slipway does not list is kept as text
        /// ([`Runtime::Unlisted`]). So a manifest that names it stays readable and keeps its bytes, which its seal and
        /// its signature cover. Nothing is known of its operating system, so nothing is checked against it.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(from = "String", into = "String")]
        #[schemars(inline, with = "String")]
        pub enum Runtime {
            $(#[doc = concat!("`", $identifier, "`.")] $variant,)*
            /// An identifier that is not listed here.
            Unlisted(String),
        }

        impl Runtime {
            /// The listed runtimes, each family from its oldest to its newest.
            pub const LISTED: &[Self] = &[$(Self::$variant,)*];

            /// Returns Lambda's identifier, such as `provided.al2023`.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $identifier,)*
                    Self::Unlisted(identifier) => identifier,
                }
            }

            /// Returns the operating system that the runtime provides; `None` for an identifier that is not listed.
            pub fn operating_system(&self) -> Option<OperatingSystem> {
                match self {
                    $(Self::$variant => Some(OperatingSystem::$system),)*
                    Self::Unlisted(_) => None,
                }
            }
        }
    };
}

runtimes! {
    ProvidedAl2,    "provided.al2",    AmazonLinux2;
    ProvidedAl2023, "provided.al2023", AmazonLinux2023;

    Python38,  "python3.8",  AmazonLinux2;
    Python39,  "python3.9",  AmazonLinux2;
    Python310, "python3.10", AmazonLinux2;
    Python311, "python3.11", AmazonLinux2;
    Python312, "python3.12", AmazonLinux2023;
    Python313, "python3.13", AmazonLinux2023;
    Python314, "python3.14", AmazonLinux2023;

    Node10, "nodejs10.x", AmazonLinux2;
    Node12, "nodejs12.x", AmazonLinux2;
    Node14, "nodejs14.x", AmazonLinux2;
    Node16, "nodejs16.x", AmazonLinux2;
    Node18, "nodejs18.x", AmazonLinux2;
    Node20, "nodejs20.x", AmazonLinux2023;
    Node22, "nodejs22.x", AmazonLinux2023;
    Node24, "nodejs24.x", AmazonLinux2023;

    Java8,    "java8",     AmazonLinux2;
    Java8Al2, "java8.al2", AmazonLinux2;
    Java11,   "java11",    AmazonLinux2;
    Java17,   "java17",    AmazonLinux2;
    Java21,   "java21",    AmazonLinux2023;
    Java25,   "java25",    AmazonLinux2023;

    DotNet6,  "dotnet6",  AmazonLinux2;
    DotNet8,  "dotnet8",  AmazonLinux2023;
    DotNet10, "dotnet10", AmazonLinux2023;

    Ruby32, "ruby3.2", AmazonLinux2;
    Ruby33, "ruby3.3", AmazonLinux2023;
    Ruby34, "ruby3.4", AmazonLinux2023;
}

/// What runs a function's code: a language with its own form of handler, or the artifact itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuntimeFamily {
    /// `provided.*`: the operating system alone; the artifact brings its executable, `bootstrap`.
    Custom,
    /// `python3.*`.
    Python,
    /// `nodejs*`.
    Node,
    /// `java*`.
    Java,
    /// `dotnet*`.
    DotNet,
    /// `ruby*`.
    Ruby,
}

/// A Linux distribution of Amazon's, as far as compiled code depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperatingSystem {
    /// Amazon Linux 2.
    AmazonLinux2,
    /// Amazon Linux 2023.
    AmazonLinux2023,
}

impl OperatingSystem {
    /// Returns the version of its glibc: major, minor.
    pub const fn glibc(self) -> (u32, u32) {
        match self {
            Self::AmazonLinux2 => (2, 26),
            Self::AmazonLinux2023 => (2, 34),
        }
    }

    /// Returns the newest platform tag that wheels are commonly built for and that its glibc can load
    /// ([PEP 600](https://peps.python.org/pep-0600/)).
    pub const fn manylinux(self) -> &'static str {
        match self {
            Self::AmazonLinux2 => "manylinux2014",
            Self::AmazonLinux2023 => "manylinux_2_28",
        }
    }
}

impl Runtime {
    /// Returns the family, also of an identifier that is not listed: its beginning names the family.
    pub fn family(&self) -> Option<RuntimeFamily> {
        [
            ("provided.", RuntimeFamily::Custom),
            ("python3.", RuntimeFamily::Python),
            ("nodejs", RuntimeFamily::Node),
            ("java", RuntimeFamily::Java),
            ("dotnet", RuntimeFamily::DotNet),
            ("ruby", RuntimeFamily::Ruby),
        ]
        .into_iter()
        .find_map(|(prefix, family)| self.as_str().starts_with(prefix).then_some(family))
    }

    /// Returns whether the artifact brings its own executable, `bootstrap`.
    pub fn is_custom(&self) -> bool {
        self.family() == Some(RuntimeFamily::Custom)
    }

    /// Returns the version of Python, such as `3.13`; `None` for another family.
    pub fn python_version(&self) -> Option<&str> {
        self.as_str().strip_prefix("python").filter(|version| version.starts_with("3."))
    }
}

impl From<&str> for Runtime {
    fn from(identifier: &str) -> Self {
        let listed = Self::LISTED.iter().find(|runtime| runtime.as_str() == identifier);
        listed.cloned().unwrap_or_else(|| Self::Unlisted(identifier.to_owned()))
    }
}

impl From<String> for Runtime {
    fn from(identifier: String) -> Self {
        identifier.as_str().into()
    }
}

impl From<Runtime> for String {
    fn from(runtime: Runtime) -> String {
        runtime.as_str().to_owned()
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_runtimes_are_read_from_their_identifiers_and_have_a_family() {
        for runtime in Runtime::LISTED {
            assert_eq!(Runtime::from(runtime.as_str()), *runtime);
            assert!(runtime.family().is_some(), "{runtime}");
            assert!(runtime.operating_system().is_some(), "{runtime}");
        }
    }

    #[test]
    fn unlisted_runtime_keeps_its_text_and_has_no_operating_system() {
        for identifier in ["", "provided", "python3.7", "python4.1", "python3.x", "nodejs", "go1.x", "java99"]
        {
            let text = serde_json::to_string(identifier).unwrap();
            let runtime: Runtime = serde_json::from_str(&text).unwrap();
            assert_eq!(runtime, Runtime::Unlisted(identifier.into()));
            assert_eq!(serde_json::to_string(&runtime).unwrap(), text);
            assert_eq!(runtime.operating_system(), None, "{identifier}");
        }
        assert_eq!(Runtime::from("java99").family(), Some(RuntimeFamily::Java));
        assert_eq!(Runtime::from("go1.x").family(), None);
    }

    #[test]
    fn operating_system_changes_with_the_runtimes_version() {
        let system = |identifier: &str| Runtime::from(identifier).operating_system();
        for new in
            ["provided.al2023", "python3.12", "python3.14", "nodejs22.x", "java21", "ruby3.4", "dotnet8"]
        {
            assert_eq!(system(new), Some(OperatingSystem::AmazonLinux2023), "{new}");
        }
        for old in ["provided.al2", "python3.9", "python3.11", "nodejs18.x", "java17", "java8.al2", "ruby3.2"]
        {
            assert_eq!(system(old), Some(OperatingSystem::AmazonLinux2), "{old}");
        }
        assert_eq!(OperatingSystem::AmazonLinux2023.glibc(), (2, 34));
        assert_eq!(OperatingSystem::AmazonLinux2.glibc(), (2, 26));
    }

    #[test]
    fn python_version_is_known_for_python_alone() {
        assert_eq!(Runtime::Python313.python_version(), Some("3.13"));
        assert_eq!(Runtime::from("python3.99").python_version(), Some("3.99"));
        assert_eq!(Runtime::ProvidedAl2023.python_version(), None);
        assert_eq!(Runtime::from("python2.7").python_version(), None);
    }
}
