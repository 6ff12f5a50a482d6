# Workers on queues, as a Terraform user writes them: a queue with a dead-letter queue, a FIFO queue, their policies, and what workers are given.
# `second` is the changed configuration.

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
  region                  = "eu-west-2"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "queues" }
  }
}

resource "aws_sqs_queue" "dead" {
  name                      = "images-dead"
  message_retention_seconds = var.second ? 1209600 : 604800
}

resource "aws_sqs_queue" "images" {
  name                       = "images"
  visibility_timeout_seconds = var.second ? 120 : 60
  delay_seconds              = var.second ? 0 : 5
  max_message_size           = var.second ? 2048 : 65536
  message_retention_seconds  = var.second ? 86400 : 345600
  receive_wait_time_seconds  = var.second ? 20 : 10
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = var.second ? 5 : 3
  })
  tags = var.second ? { Changed = "yes", New = "yes" } : { Changed = "no" }
}

# Beside the queue, for each names the other.
resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id
  redrive_allow_policy = jsonencode(var.second ? {
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.images.arn, aws_sqs_queue.thumbnails.arn]
    } : {
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.images.arn]
  })
}

resource "aws_sqs_queue" "dead_fifo" {
  name       = "orders-dead.fifo"
  fifo_queue = true
}

resource "aws_sqs_queue" "orders" {
  name                        = "orders.fifo"
  fifo_queue                  = true
  content_based_deduplication = var.second ? false : true
  deduplication_scope         = var.second ? "messageGroup" : "queue"
  fifo_throughput_limit       = var.second ? "perMessageGroupId" : "perQueue"
}

resource "aws_sqs_queue" "fast" {
  name                        = "fast.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  deduplication_scope         = "messageGroup"
  fifo_throughput_limit       = "perMessageGroupId"
  tags                        = { Changed = var.second ? "yes" : "no" }
}

resource "aws_sqs_queue_redrive_policy" "orders" {
  queue_url = aws_sqs_queue.orders.id
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_fifo.arn
    maxReceiveCount     = var.second ? 1000 : 1
  })
}

# With nothing said of it.
resource "aws_sqs_queue" "thumbnails" {
  name_prefix = "thumbnails-"
}

data "aws_iam_policy_document" "images" {
  statement {
    sid       = "notices"
    actions   = var.second ? ["sqs:SendMessage", "sqs:GetQueueUrl"] : ["sqs:SendMessage"]
    resources = [aws_sqs_queue.images.arn]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = ["arn:aws:s3:::images"]
    }
  }
}

resource "aws_sqs_queue_policy" "images" {
  queue_url = aws_sqs_queue.images.id
  policy    = data.aws_iam_policy_document.images.json
}

resource "aws_ssm_parameter" "queue" {
  name  = "ProcessingQueueName"
  type  = "String"
  value = var.second ? aws_sqs_queue.images.name : aws_sqs_queue.orders.name
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "works" {
  statement {
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueUrl"]
    resources = var.second ? [aws_sqs_queue.images.arn, aws_sqs_queue.orders.arn] : [aws_sqs_queue.images.arn]
  }
  statement {
    actions   = ["ssm:GetParameter", "cloudwatch:PutMetricData"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "worker" {
  name               = "queue-worker"
  path               = "/queues/"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "works" {
  name   = "works"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.works.json
}

resource "aws_iam_instance_profile" "worker" {
  name = "queue-worker"
  path = "/queues/"
  role = aws_iam_role.worker.name
}

data "aws_sqs_queue" "images" {
  name       = aws_sqs_queue.images.name
  depends_on = [aws_sqs_queue_policy.images]
}

output "same" {
  value = data.aws_sqs_queue.images.arn == aws_sqs_queue.images.arn && data.aws_sqs_queue.images.url == aws_sqs_queue.images.url
}
