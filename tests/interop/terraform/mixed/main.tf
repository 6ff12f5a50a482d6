# A mixed instances policy as published for workers on a queue: spot instances chosen by attributes (2 to 4 processors, memory from 2 GiB),
# by the capacity-optimized strategy, from 0 to 100. `second` is the changed configuration.

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
  region                  = "eu-west-2"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "mixed" }
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
  name     = "mixed"
  image_id = var.image
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "mixed" }
  }
}

resource "aws_autoscaling_group" "main" {
  name                      = "mixed"
  min_size                  = 0
  max_size                  = 100
  desired_capacity          = var.second ? 4 : 3
  capacity_rebalance        = true
  vpc_zone_identifier       = data.aws_subnets.default.ids
  wait_for_capacity_timeout = "2m"
  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = var.second ? 1 : 0
      on_demand_percentage_above_base_capacity = 0
      spot_allocation_strategy                 = var.second ? "price-capacity-optimized" : "capacity-optimized"
    }
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.main.id
        version            = "$Latest"
      }
      override {
        instance_requirements {
          vcpu_count {
            min = 2
            max = 4
          }
          memory_mib {
            min = 2048
          }
        }
      }
    }
  }
}
