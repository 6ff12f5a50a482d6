//! Label values of metrics.

/// CloudWatch's dimension value for an ARN: `app/NAME/ID`, `targetgroup/NAME/ID`.
pub(crate) fn dimension(arn: &str) -> &str {
    let tail = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    tail.strip_prefix("loadbalancer/").unwrap_or(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_cloudwatchs() {
        assert_eq!(
            dimension("arn:aws:elasticloadbalancing:r:0:loadbalancer/app/a/1"),
            "app/a/1"
        );
        assert_eq!(
            dimension("arn:aws:elasticloadbalancing:r:0:targetgroup/t/2"),
            "targetgroup/t/2"
        );
    }
}
