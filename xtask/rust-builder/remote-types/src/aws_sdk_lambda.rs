//! The Lambda types that cargo-lambda-build and cargo-lambda-metadata name.

/// Types of Lambda's API.
pub mod types {
    use std::collections::HashMap;

    /// Instruction set of a function.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Architecture {
        /// 64-bit Arm.
        Arm64,
        /// 64-bit x86.
        X8664,
        /// Any other word, as it was given.
        Other(String),
    }

    impl From<&str> for Architecture {
        fn from(word: &str) -> Self {
            match word {
                "arm64" => Self::Arm64,
                "x86_64" => Self::X8664,
                other => Self::Other(other.to_owned()),
            }
        }
    }

    /// Whether X-Ray samples the invocations.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum TracingMode {
        /// Lambda samples.
        Active,
        /// The caller's decision is followed.
        PassThrough,
        /// Any other word, as it was given.
        Other(String),
    }

    impl From<&str> for TracingMode {
        fn from(word: &str) -> Self {
            match word {
                "Active" => Self::Active,
                "PassThrough" => Self::PassThrough,
                other => Self::Other(other.to_owned()),
            }
        }
    }

    /// Tracing of a function; made by [`TracingConfig::builder`].
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct TracingConfig {
        /// The mode, where one is set.
        pub mode: Option<TracingMode>,
    }

    impl TracingConfig {
        /// Starts a configuration.
        pub fn builder() -> Self {
            Self::default()
        }

        /// Sets the mode.
        pub fn mode(mut self, mode: TracingMode) -> Self {
            self.mode = Some(mode);
            self
        }

        /// Ends the configuration.
        pub fn build(self) -> Self {
            self
        }
    }

    /// Environment variables of a function; made by [`Environment::builder`].
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Environment {
        /// The variables by name, where any are set.
        pub variables: Option<HashMap<String, String>>,
    }

    impl Environment {
        /// Starts an environment.
        pub fn builder() -> Self {
            Self::default()
        }

        /// Sets all variables.
        pub fn set_variables(mut self, variables: Option<HashMap<String, String>>) -> Self {
            self.variables = variables;
            self
        }

        /// Ends the environment.
        pub fn build(self) -> Self {
            self
        }
    }
}
