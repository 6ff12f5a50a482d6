# CloudWatch as a Terraform user writes it: alarms on the metrics of a load balancer, one by mathematics, an alarm on alarms, and a
# dashboard. `second` is the changed configuration.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "second" {
  description = "Whether the second configuration holds: the same resources, with changed attributes."
  type        = bool
  default     = false
}

provider "aws" {
  region                  = "eu-west-1"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "alarms" }
  }
}

data "aws_caller_identity" "me" {}

locals {
  topics = [for name in ["pager", "log"] : "arn:aws:sns:eu-west-1:${data.aws_caller_identity.me.account_id}:${name}"]
}

resource "aws_vpc" "main" {
  cidr_block = "10.50.0.0/16"
  tags       = { Name = "alarms" }
}

resource "aws_subnet" "main" {
  count             = 2
  vpc_id            = aws_vpc.main.id
  cidr_block        = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  availability_zone = "eu-west-1${["a", "b"][count.index]}"
}

resource "aws_lb" "main" {
  name     = "alarms"
  internal = true
  subnets  = aws_subnet.main[*].id
}

resource "aws_cloudwatch_metric_alarm" "requests" {
  alarm_name          = "alarms requests"
  alarm_description   = var.second ? "Far too many requests <& more>" : "Too many requests <& more>"
  comparison_operator = var.second ? "GreaterThanOrEqualToThreshold" : "GreaterThanThreshold"
  evaluation_periods  = var.second ? 3 : 2
  datapoints_to_alarm = var.second ? 2 : 1
  metric_name         = "RequestCount"
  namespace           = "AWS/ApplicationELB"
  period              = var.second ? 10 : 60
  statistic           = var.second ? "SampleCount" : "Sum"
  threshold           = var.second ? 1000.5 : 100
  unit                = var.second ? null : "Count"
  treat_missing_data  = var.second ? "breaching" : "notBreaching"
  actions_enabled     = !var.second
  alarm_actions       = var.second ? local.topics : [local.topics[0]]
  ok_actions          = var.second ? [] : [local.topics[1]]
  dimensions          = { LoadBalancer = aws_lb.main.arn_suffix }
  tags                = var.second ? { Kind = "plain", Changed = "yes" } : { Kind = "plain", Removed = "soon" }
}

# Everything that is not given has its default.
resource "aws_cloudwatch_metric_alarm" "least" {
  alarm_name          = "alarms-least"
  comparison_operator = "LessThanThreshold"
  evaluation_periods  = 1
  metric_name         = "HealthyHostCount"
  namespace           = "AWS/ApplicationELB"
  period              = 60
  statistic           = "Minimum"
  threshold           = var.second ? 0 : 1
  dimensions = {
    LoadBalancer     = aws_lb.main.arn_suffix
    AvailabilityZone = "eu-west-1a"
  }
}

resource "aws_cloudwatch_metric_alarm" "slow" {
  alarm_name                            = "alarms-slow"
  comparison_operator                   = "GreaterThanThreshold"
  evaluation_periods                    = 1
  metric_name                           = "TargetResponseTime"
  namespace                             = "AWS/ApplicationELB"
  period                                = 300
  extended_statistic                    = var.second ? "p99.9" : "p95"
  evaluate_low_sample_count_percentiles = var.second ? "evaluate" : "ignore"
  threshold                             = 0.25
  insufficient_data_actions             = [local.topics[var.second ? 1 : 0]]
  dimensions                            = { LoadBalancer = aws_lb.main.arn_suffix }
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "alarms-errors"
  alarm_description   = "Share of answers that are errors"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  evaluation_periods  = 2
  threshold           = var.second ? 5 : 10

  metric_query {
    id          = "share"
    expression  = var.second ? "IF(asked > 10, 100 * errors / asked, 0)" : "100 * errors / asked"
    label       = var.second ? "Share of errors, in percent" : "Share of errors"
    return_data = true
  }
  metric_query {
    id = "errors"
    metric {
      metric_name = var.second ? "HTTPCode_ELB_5XX_Count" : "HTTPCode_Target_5XX_Count"
      namespace   = "AWS/ApplicationELB"
      period      = var.second ? 120 : 60
      stat        = "Sum"
      unit        = "Count"
      dimensions  = { LoadBalancer = aws_lb.main.arn_suffix }
    }
  }
  metric_query {
    id = "asked"
    metric {
      metric_name = "RequestCount"
      namespace   = "AWS/ApplicationELB"
      period      = var.second ? 120 : 60
      stat        = "Sum"
      dimensions  = { LoadBalancer = aws_lb.main.arn_suffix }
    }
  }
}

resource "aws_cloudwatch_composite_alarm" "trouble" {
  alarm_name        = "alarms-trouble"
  alarm_description = var.second ? "Errors, or no speed" : "Errors"
  alarm_rule = join(var.second ? " OR " : " AND ", [
    "ALARM(\"${aws_cloudwatch_metric_alarm.requests.alarm_name}\")",
    "(ALARM(${aws_cloudwatch_metric_alarm.errors.arn}) OR NOT OK(${aws_cloudwatch_metric_alarm.slow.alarm_name}))",
  ])
  alarm_actions             = [local.topics[0]]
  ok_actions                = var.second ? local.topics : []
  insufficient_data_actions = var.second ? [] : [local.topics[1]]
  tags                      = { Kind = var.second ? "changed" : "composite" }
}

resource "aws_cloudwatch_composite_alarm" "never" {
  alarm_name      = "alarms-never"
  actions_enabled = false
  alarm_rule      = "FALSE AND INSUFFICIENT_DATA(${aws_cloudwatch_composite_alarm.trouble.alarm_name})"
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = "alarms"
  dashboard_body = jsonencode({
    widgets = concat([
      {
        type   = "metric"
        x      = 0
        y      = 0
        width  = 12
        height = 6
        properties = {
          metrics = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", aws_lb.main.arn_suffix]]
          period  = var.second ? 60 : 300
          stat    = "Sum"
          region  = "eu-west-1"
          title   = "Requests"
        }
      },
      {
        type       = "alarm"
        x          = 12
        y          = 0
        width      = 6
        height     = 6
        properties = { title = "Alarms", alarms = [aws_cloudwatch_metric_alarm.errors.arn] }
      },
      ], var.second ? [{
        type       = "text"
        x          = 0
        y          = 6
        width      = 18
        height     = 2
        properties = { markdown = "# Ünïcode <&>" }
    }] : [])
  })
}
