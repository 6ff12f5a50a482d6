# A group that is renewed when its launch template changes, with hooks, a warm pool and a schedule. `second` is the changed configuration.

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

provider "aws" {
  region                  = "eu-west-3"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "refresh" }
  }
}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_launch_template" "main" {
  name          = "refresh"
  image_id      = var.image
  instance_type = var.second ? "m5.large" : "c6i.large"
}

resource "aws_autoscaling_group" "main" {
  name                      = "refresh"
  min_size                  = 1
  max_size                  = 4
  desired_capacity          = 2
  vpc_zone_identifier       = data.aws_subnets.default.ids
  wait_for_capacity_timeout = "2m"
  launch_template {
    id      = aws_launch_template.main.id
    version = aws_launch_template.main.latest_version
  }
  initial_lifecycle_hook {
    name                 = "ready"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 30
    default_result       = "CONTINUE"
  }
  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 50
      instance_warmup        = 0
      auto_rollback          = true
    }
  }
  instance_maintenance_policy {
    min_healthy_percentage = 50
    max_healthy_percentage = 150
  }
  warm_pool {
    pool_state                  = "Stopped"
    min_size                    = 0
    max_group_prepared_capacity = var.second ? 4 : 3
    instance_reuse_policy {
      reuse_on_scale_in = var.second
    }
  }
  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

resource "aws_autoscaling_lifecycle_hook" "down" {
  name                   = "down"
  autoscaling_group_name = aws_autoscaling_group.main.name
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout      = var.second ? 60 : 30
  default_result         = "CONTINUE"
}

resource "aws_autoscaling_schedule" "evening" {
  scheduled_action_name  = "evening"
  autoscaling_group_name = aws_autoscaling_group.main.name
  recurrence             = "0 20 * * MON-FRI"
  time_zone              = var.second ? "America/New_York" : "Europe/Paris"
  min_size               = 1
  max_size               = var.second ? 5 : 4
  desired_capacity       = 1
}

resource "aws_autoscaling_notification" "main" {
  group_names   = [aws_autoscaling_group.main.name]
  topic_arn     = "arn:aws:sns:eu-west-3:000000000000:scaling"
  notifications = concat(["autoscaling:EC2_INSTANCE_LAUNCH"], var.second ? ["autoscaling:EC2_INSTANCE_TERMINATE"] : [])
}
