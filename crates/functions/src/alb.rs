//! Functions as targets of a load balancer: the documents that ALB sends and accepts (user guide for Application Load
//! Balancers, "Use Lambda functions as targets of an Application Load Balancer").
//!
//! `event` makes the event for a request, `answer` reads the function's answer; `values` and `limits` are what both
//! depend on.

mod answer;
mod event;
mod limits;
mod values;

pub use answer::{Answer, BadAnswer, read_answer};
pub use event::{NotUtf8, Request, event, health_check_event};
pub use limits::{ANSWER_BYTES, BODY_BYTES};
pub use values::Values;

/// The function that a target's ARN names, without its qualifier; `None` if it is not a function's ARN.
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
