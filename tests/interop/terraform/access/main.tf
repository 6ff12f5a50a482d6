# What workers and functions are given, as a Terraform user writes it: parameters, a role with policies, an instance profile. `second` is the
# changed configuration.

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
  region                  = "eu-west-3"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "access" }
  }
}

resource "aws_ssm_parameter" "queue" {
  name            = "/workers/queue"
  description     = var.second ? "The queue of images" : "The queue"
  type            = "String"
  value           = var.second ? "images" : "queue"
  allowed_pattern = "[a-z]+"
  tags            = { Changed = var.second ? "yes" : "no" }
}

resource "aws_ssm_parameter" "secret" {
  name  = "/workers/secret"
  type  = "SecureString"
  value = var.second ? "two" : "one"
}

resource "aws_ssm_parameter" "zones" {
  name  = "zones"
  type  = "StringList"
  value = var.second ? "a,b,c" : "a,b"
  tier  = var.second ? "Advanced" : "Standard"
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = var.second ? ["ec2.amazonaws.com", "lambda.amazonaws.com"] : ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "receives" {
  statement {
    actions   = var.second ? ["sqs:ReceiveMessage", "sqs:DeleteMessage"] : ["sqs:ReceiveMessage"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "worker" {
  name                 = "worker"
  path                 = "/workers/"
  description          = var.second ? "Does the work" : "Works"
  max_session_duration = var.second ? 7200 : 3600
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  tags                 = { Changed = var.second ? "yes" : "no" }
}

resource "aws_iam_role_policy" "receives" {
  name   = "receives"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.receives.json
}

resource "aws_iam_policy" "measures" {
  name        = "measures"
  description = "Puts metrics"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = var.second ? ["cloudwatch:PutMetricData", "cloudwatch:GetMetricData"] : ["cloudwatch:PutMetricData"]
      Resource = "*"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "measures" {
  role       = aws_iam_role.worker.name
  policy_arn = aws_iam_policy.measures.arn
}

resource "aws_iam_role_policy_attachment" "reads" {
  role       = aws_iam_role.worker.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess"
}

resource "aws_iam_instance_profile" "worker" {
  name = "worker"
  role = aws_iam_role.worker.name
  tags = { Changed = var.second ? "yes" : "no" }
}

data "aws_ssm_parameter" "queue" {
  name = aws_ssm_parameter.queue.name
}

output "queue" {
  value     = data.aws_ssm_parameter.queue.value
  sensitive = true
}
