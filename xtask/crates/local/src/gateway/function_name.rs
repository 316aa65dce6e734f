//! Function names in all forms that Lambda accepts.

use super::lambda_error::LambdaError;

/// The qualifier of the version that is not published yet.
pub(crate) const LATEST: &str = "$LATEST";

/// A function's name: `name`, `name:qualifier`, `account:function:name`, or an ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionName {
    pub(crate) account: Option<String>,
    pub(crate) name: String,
    pub(crate) qualifier: Option<String>,
}

impl FunctionName {
    /// Parses a name and the request's `Qualifier` parameter; if both have a qualifier, they must be equal.
    pub(crate) fn parse(text: &str, parameter: Option<&str>) -> Result<Self, LambdaError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (account, rest) = match parts.as_slice() {
            ["arn", _, "lambda", _, account, "function", rest @ ..] => (Some(*account), rest),
            [account, "function", rest @ ..] if account.len() == 12 => (Some(*account), rest),
            ["function", rest @ ..] => (None, rest),
            rest => (None, rest),
        };
        let (name, in_name) = match *rest {
            [name] => (name, None),
            [name, qualifier] => (name, Some(qualifier)),
            _ => {
                return Err(LambdaError::invalid_parameter(format!(
                    "`{text}` is not a function's name or ARN"
                )));
            }
        };
        let has_only = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || more.contains(char))
        };
        if name.len() > 140 || !has_only(name, "-_") {
            return Err(LambdaError::invalid_parameter(format!("`{name}` is not a function's name")));
        }
        let qualifier = match (in_name, parameter) {
            (Some(in_name), Some(parameter)) if in_name != parameter => {
                return Err(LambdaError::invalid_parameter(
                    "The derived qualifier from the function name does not match the specified qualifier.",
                ));
            }
            (in_name, parameter) => in_name.or(parameter),
        };
        if let Some(qualifier) = qualifier
            && !has_only(qualifier, "-_$")
        {
            let message = format!("`{qualifier}` is neither a version nor an alias");
            return Err(LambdaError::invalid_parameter(message));
        }
        let owned = |text: &str| text.to_owned();
        Ok(Self { account: account.map(owned), name: owned(name), qualifier: qualifier.map(owned) })
    }
}

/// Returns whether a qualifier is a version's number.
pub(crate) fn is_version_number(qualifier: &str) -> bool {
    qualifier.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_name_is_parsed_in_all_forms() {
        let parse = |text, parameter| FunctionName::parse(text, parameter).unwrap();
        let named = |account: Option<&str>, qualifier: Option<&str>| FunctionName {
            account: account.map(str::to_owned),
            name: "my-fn".to_owned(),
            qualifier: qualifier.map(str::to_owned),
        };
        let account = Some("111111111111");
        assert_eq!(parse("my-fn", None), named(None, None));
        assert_eq!(parse("my-fn", Some("live")), named(None, Some("live")));
        assert_eq!(parse("my-fn:live", None), named(None, Some("live")));
        assert_eq!(parse("my-fn:live", Some("live")), named(None, Some("live")));
        assert_eq!(parse("111111111111:function:my-fn", Some("7")), named(account, Some("7")));
        assert_eq!(parse("function:my-fn:$LATEST", None), named(None, Some("$LATEST")));
        let arn = "arn:aws:lambda:eu-central-1:111111111111:function:my-fn";
        assert_eq!(parse(arn, None), named(account, None));
        assert_eq!(parse(&format!("{arn}:live"), None), named(account, Some("live")));
        for (invalid, parameter) in
            [("a:b:c", None), ("a/b", None), ("", None), ("a:1", Some("2")), ("a", Some("x y"))]
        {
            assert!(FunctionName::parse(invalid, parameter).is_err(), "{invalid}");
        }
    }
}
