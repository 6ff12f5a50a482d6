//! Functions as targets of a load balancer: the documents that ALB sends and takes, as the Application Load Balancer guide's page
//! "Use Lambda functions as targets" has them.

mod answer;
mod event;

pub use answer::{Answer, BadAnswer, read_answer};
pub use event::{NotUtf8, Request, event, health_check_event};

/// Bytes of a request's body: more are answered with 413.
pub const BODY_BYTES: usize = 1024 * 1024;
/// Bytes of the JSON document that a function answers with.
pub const ANSWER_BYTES: usize = 1024 * 1024;

/// Whether several values of a header or a parameter are told apart (`lambda.multi_value_headers.enabled`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// The last one counts: `headers`, `queryStringParameters`.
    Last,
    /// All of them, in arrays: `multiValueHeaders`, `multiValueQueryStringParameters`.
    All,
}

impl Values {
    /// By what the attribute says.
    pub fn of(multi_value_headers: bool) -> Values {
        if multi_value_headers {
            Values::All
        } else {
            Values::Last
        }
    }
}

/// The function that a target's ARN names, without its qualifier; none if it is no function's ARN.
pub fn function_of(target: &str) -> Option<&str> {
    let parts: Vec<&str> = target.split(':').collect();
    let [
        "arn",
        _,
        "lambda",
        region,
        account,
        "function",
        name,
        qualifier @ ..,
    ] = &parts[..]
    else {
        return None;
    };
    let named = |part: &str| {
        let mut letters = part.bytes();
        !part.is_empty() && letters.all(|byte| byte.is_ascii_alphanumeric() || b"-_$.".contains(&byte))
    };
    let given = [region, account, name].into_iter().chain(qualifier);
    if qualifier.len() > 1 || !given.into_iter().all(|part| named(part)) {
        return None;
    }
    let end = qualifier.first().map_or(0, |qualifier| qualifier.len() + 1);
    target.get(..target.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_function_perhaps_qualified() {
        let plain = "arn:aws:lambda:local-1:123456789012:function:f-1_x";
        assert_eq!(function_of(plain), Some(plain));
        assert_eq!(function_of(&format!("{plain}:live")), Some(plain));
        assert_eq!(function_of(&format!("{plain}:$LATEST")), Some(plain));
        for wrong in [
            "",
            "f",
            "arn:aws:lambda:local-1:123456789012:layer:f",
            "arn:aws:sqs:local-1:123456789012:function:f",
            "arn:aws:lambda:local-1:123456789012:function:",
            "arn:aws:lambda:local-1:123456789012:function:f:",
            "arn:aws:lambda:local-1:123456789012:function:f:1:2",
            "arn:aws:lambda:local-1:123456789012:function:a b",
        ] {
            assert_eq!(function_of(wrong), None, "{wrong}");
        }
    }
}
