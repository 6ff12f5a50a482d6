# A group of instances behind a load balancer as a Terraform user writes it: target tracking, step scaling with alarms, apply waits until
# the instances serve. `second` is the changed configuration.

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

variable "image" {
  description = "The image that instances are started from."
  type        = string
}

variable "port" {
  description = "The listener's port."
  type        = number
}

provider "aws" {
  region                  = "eu-west-1"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "groups" }
  }
}

resource "aws_vpc" "main" {
  cidr_block = "10.60.0.0/16"
}

resource "aws_subnet" "main" {
  count             = 2
  vpc_id            = aws_vpc.main.id
  cidr_block        = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  availability_zone = "eu-west-1${["a", "b"][count.index]}"
}

resource "aws_lb" "main" {
  name     = "groups"
  internal = true
  subnets  = aws_subnet.main[*].id
}

resource "aws_lb_target_group" "main" {
  name                 = "groups"
  port                 = 8000
  protocol             = "HTTP"
  vpc_id               = aws_vpc.main.id
  deregistration_delay = 10
  health_check {
    interval = 5
    timeout  = 2
  }
}

resource "aws_lb_listener" "main" {
  load_balancer_arn = aws_lb.main.arn
  port              = var.port
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.main.arn
  }
}

resource "aws_launch_template" "main" {
  name                   = "groups"
  image_id               = var.image
  instance_type          = var.second ? "m5.large" : "c6i.large"
  update_default_version = true
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "groups" }
  }
}

resource "aws_autoscaling_group" "main" {
  name                      = "groups"
  min_size                  = var.second ? 1 : 2
  max_size                  = var.second ? 6 : 5
  desired_capacity          = var.second ? 3 : 2
  health_check_type         = "ELB"
  health_check_grace_period = var.second ? 60 : 30
  default_cooldown          = var.second ? 120 : 300
  default_instance_warmup   = var.second ? 20 : 10
  vpc_zone_identifier       = aws_subnet.main[*].id
  target_group_arns         = [aws_lb_target_group.main.arn]
  termination_policies      = var.second ? ["OldestInstance"] : ["OldestLaunchTemplate", "Default"]
  enabled_metrics           = var.second ? ["GroupInServiceInstances"] : ["GroupInServiceInstances", "GroupDesiredCapacity"]
  suspended_processes       = var.second ? ["AZRebalance"] : []
  protect_from_scale_in     = false
  # Apply waits until so many are healthy.
  wait_for_elb_capacity     = var.second ? 3 : 2
  wait_for_capacity_timeout = "2m"
  launch_template {
    id      = aws_launch_template.main.id
    version = "$Latest"
  }
  tag {
    key                 = "team"
    value               = var.second ? "api" : "web"
    propagate_at_launch = true
  }
  depends_on = [aws_lb_listener.main]
}

resource "aws_autoscaling_policy" "requests" {
  name                      = "requests"
  autoscaling_group_name    = aws_autoscaling_group.main.name
  policy_type               = "TargetTrackingScaling"
  estimated_instance_warmup = var.second ? 30 : 60
  target_tracking_configuration {
    target_value     = var.second ? 2000 : 1000
    disable_scale_in = var.second
    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${aws_lb.main.arn_suffix}/${aws_lb_target_group.main.arn_suffix}"
    }
  }
}

resource "aws_autoscaling_policy" "queue" {
  name                   = "queue"
  autoscaling_group_name = aws_autoscaling_group.main.name
  policy_type            = "TargetTrackingScaling"
  target_tracking_configuration {
    target_value = 12
    customized_metric_specification {
      metrics {
        id          = "waiting"
        return_data = false
        metric_stat {
          stat = "Sum"
          metric {
            namespace   = "App"
            metric_name = "Waiting"
            dimensions {
              name  = "Queue"
              value = "main"
            }
          }
        }
      }
      metrics {
        id          = "instances"
        return_data = false
        metric_stat {
          stat = "Average"
          metric {
            namespace   = "AWS/AutoScaling"
            metric_name = "GroupInServiceInstances"
            dimensions {
              name  = "AutoScalingGroupName"
              value = aws_autoscaling_group.main.name
            }
          }
        }
      }
      metrics {
        id          = "backlog"
        expression  = "waiting / instances"
        return_data = true
      }
    }
  }
}

resource "aws_autoscaling_policy" "rejects" {
  name                    = "rejects"
  autoscaling_group_name  = aws_autoscaling_group.main.name
  policy_type             = "StepScaling"
  adjustment_type         = var.second ? "PercentChangeInCapacity" : "ChangeInCapacity"
  metric_aggregation_type = var.second ? "Maximum" : "Average"
  step_adjustment {
    metric_interval_lower_bound = 0
    metric_interval_upper_bound = 10
    scaling_adjustment          = 1
  }
  step_adjustment {
    metric_interval_lower_bound = 10
    scaling_adjustment          = var.second ? 50 : 3
  }
}

resource "aws_autoscaling_policy" "nightly" {
  name                   = "nightly"
  autoscaling_group_name = aws_autoscaling_group.main.name
  adjustment_type        = "ExactCapacity"
  scaling_adjustment     = var.second ? 2 : 1
  cooldown               = var.second ? 30 : 60
}

resource "aws_cloudwatch_metric_alarm" "rejects" {
  alarm_name          = "groups-rejects"
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = 1
  metric_name         = "TargetControlRequestRejectCount"
  namespace           = "AWS/ApplicationELB"
  period              = 60
  statistic           = "Sum"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_autoscaling_policy.rejects.arn]
  dimensions          = { LoadBalancer = aws_lb.main.arn_suffix }
}

output "address" {
  value = aws_lb.main.dns_name
}
