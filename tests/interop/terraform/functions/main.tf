# Functions as a Terraform user writes them: behind a load balancer, on a queue, on schedules and on rules. `second` is the changed configuration.

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

variable "port" {
  description = "The listener's port."
  type        = number
}

variable "archives" {
  description = "The function's code, as it is first and as it is then: paths of archives."
  type        = list(string)
}

provider "aws" {
  region                  = "eu-north-1"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "functions" }
  }
}

# In whose name it all runs.

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com", "scheduler.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "works" {
  statement {
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.work.arn]
  }
  statement {
    actions   = ["elasticloadbalancing:ModifyCapacityReservation", "lambda:InvokeFunction", "sqs:SendMessage"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "run" {
  name               = "functions-run"
  path               = "/functions/"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "works" {
  name   = "works"
  role   = aws_iam_role.run.id
  policy = data.aws_iam_policy_document.works.json
}

# The function, and who may invoke it.

resource "aws_sqs_queue" "failed" {
  name = "functions-failed"
}

resource "aws_lambda_function" "web" {
  function_name                  = "functions-web"
  description                    = var.second ? "Answers, changed" : "Answers"
  role                           = aws_iam_role.run.arn
  runtime                        = "python3.11"
  handler                        = "index.handler"
  filename                       = var.archives[var.second ? 1 : 0]
  source_code_hash               = filebase64sha256(var.archives[var.second ? 1 : 0])
  timeout                        = var.second ? 20 : 10
  memory_size                    = var.second ? 512 : 256
  reserved_concurrent_executions = var.second ? 7 : 5
  environment {
    variables = var.second ? { GREETING = "hello again", NEW = "yes" } : { GREETING = "hello", OLD = "yes" }
  }
  dead_letter_config {
    target_arn = aws_sqs_queue.failed.arn
  }
  tags = var.second ? { Changed = "yes", New = "yes" } : { Changed = "no", Old = "yes" }
}

# What may be said of a function is said first, and then no more.
resource "aws_lambda_function" "least" {
  function_name                  = "functions-least"
  description                    = var.second ? null : "With everything"
  role                           = aws_iam_role.run.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  filename                       = var.archives[0]
  architectures                  = ["arm64"]
  timeout                        = var.second ? null : 10
  memory_size                    = var.second ? null : 256
  reserved_concurrent_executions = var.second ? null : 0
  logging_config {
    log_format            = "JSON"
    application_log_level = var.second ? "DEBUG" : "INFO"
    system_log_level      = "WARN"
  }
  tracing_config {
    mode = var.second ? "PassThrough" : "Active"
  }
  ephemeral_storage {
    size = var.second ? 512 : 1024
  }
  dynamic "environment" {
    for_each = var.second ? [] : ["said"]
    content {
      variables = { OLD = "yes" }
    }
  }
  dynamic "dead_letter_config" {
    for_each = var.second ? [] : ["said"]
    content {
      target_arn = aws_sqs_queue.failed.arn
    }
  }
}

resource "aws_lambda_permission" "balancer" {
  statement_id  = "balancer"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.web.function_name
  principal     = "elasticloadbalancing.amazonaws.com"
  source_arn    = aws_lb_target_group.web.arn
}

resource "aws_lambda_permission" "rule" {
  statement_id_prefix = "rule-"
  action              = "lambda:InvokeFunction"
  function_name       = aws_lambda_function.web.function_name
  principal           = "events.amazonaws.com"
  source_arn          = aws_cloudwatch_event_rule.minutes.arn
}

resource "aws_lambda_permission" "organization" {
  statement_id     = "organization"
  action           = "lambda:GetFunction"
  function_name    = aws_lambda_function.web.function_name
  principal        = "*"
  principal_org_id = "o-functions0"
}

data "aws_lambda_function" "web" {
  function_name = aws_lambda_function.web.function_name
}

# Behind a load balancer.

resource "aws_vpc" "main" {
  cidr_block = "10.60.0.0/16"
}

resource "aws_subnet" "main" {
  count             = 2
  vpc_id            = aws_vpc.main.id
  cidr_block        = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  availability_zone = "eu-north-1${["a", "b"][count.index]}"
}

resource "aws_lb" "main" {
  name     = "functions"
  internal = true
  subnets  = aws_subnet.main[*].id
}

resource "aws_lb_target_group" "web" {
  name                               = "functions-web"
  target_type                        = "lambda"
  lambda_multi_value_headers_enabled = var.second
  health_check {
    enabled             = true
    path                = var.second ? "/healthy" : "/health"
    interval            = var.second ? 60 : 40
    timeout             = var.second ? 25 : 35
    healthy_threshold   = 2
    unhealthy_threshold = 3
    matcher             = var.second ? "200-299" : "200"
  }
}

resource "aws_lb_target_group_attachment" "web" {
  target_group_arn = aws_lb_target_group.web.arn
  target_id        = aws_lambda_function.web.arn
  depends_on       = [aws_lambda_permission.balancer]
}

resource "aws_lb_listener" "main" {
  load_balancer_arn = aws_lb.main.arn
  port              = var.port
  protocol          = "HTTP"
  default_action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = "no function"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "web" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 10
  action {
    type = "forward"
    # As a block: so the provider knows it after an import as well.
    forward {
      target_group {
        arn = aws_lb_target_group.web.arn
      }
    }
  }
  condition {
    path_pattern {
      values = var.second ? ["/web/*", "/app/*"] : ["/web/*"]
    }
  }
}

# On a queue.

resource "aws_sqs_queue" "work" {
  name                       = "functions-work"
  visibility_timeout_seconds = 120
}

resource "aws_lambda_event_source_mapping" "work" {
  event_source_arn                   = aws_sqs_queue.work.arn
  function_name                      = aws_lambda_function.web.arn
  batch_size                         = var.second ? 200 : 100
  maximum_batching_window_in_seconds = var.second ? 10 : 5
  function_response_types            = ["ReportBatchItemFailures"]
  enabled                            = !var.second
  scaling_config {
    maximum_concurrency = var.second ? 4 : 2
  }
  tags = { Changed = var.second ? "yes" : "no" }
}

resource "aws_lambda_event_source_mapping" "least" {
  event_source_arn                   = aws_sqs_queue.work.arn
  function_name                      = aws_lambda_function.least.function_name
  batch_size                         = var.second ? 10 : 5
  maximum_batching_window_in_seconds = var.second ? null : 1
  function_response_types            = var.second ? [] : ["ReportBatchItemFailures"]
  enabled                            = false
  dynamic "scaling_config" {
    for_each = var.second ? [] : ["said"]
    content {
      maximum_concurrency = 3
    }
  }
}

# On schedules.

resource "aws_scheduler_schedule_group" "main" {
  name = "functions"
  tags = { Changed = var.second ? "yes" : "no" }
}

resource "aws_scheduler_schedule" "capacity" {
  name                         = "capacity"
  group_name                   = aws_scheduler_schedule_group.main.name
  description                  = "More room in the morning"
  schedule_expression          = var.second ? "cron(30 7 ? * MON-FRI *)" : "cron(0 8 ? * MON-FRI *)"
  schedule_expression_timezone = var.second ? "Europe/Berlin" : "Europe/Stockholm"
  state                        = var.second ? "DISABLED" : "ENABLED"
  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = var.second ? 30 : 15
  }
  target {
    arn      = "arn:aws:scheduler:::aws-sdk:elasticloadbalancingv2:modifyCapacityReservation"
    role_arn = aws_iam_role.run.arn
    input = jsonencode({
      LoadBalancerArn             = aws_lb.main.arn
      MinimumLoadBalancerCapacity = { CapacityUnits = var.second ? 300 : 200 }
    })
    retry_policy {
      maximum_event_age_in_seconds = var.second ? 600 : 3600
      maximum_retry_attempts       = var.second ? 2 : 10
    }
    dead_letter_config {
      arn = aws_sqs_queue.failed.arn
    }
  }
}

resource "aws_scheduler_schedule" "function" {
  name                = "function"
  description         = var.second ? null : "Calls the function"
  schedule_expression = var.second ? "rate(2 hours)" : "rate(1 hours)"
  start_date          = "2100-01-01T00:00:00Z"
  end_date            = var.second ? "2102-01-01T00:00:00Z" : "2101-01-01T00:00:00Z"
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_lambda_function.web.arn
    role_arn = aws_iam_role.run.arn
    input    = var.second ? null : jsonencode({ from = "schedule" })
    dynamic "dead_letter_config" {
      for_each = var.second ? [] : ["said"]
      content {
        arn = aws_sqs_queue.failed.arn
      }
    }
  }
}

# On rules.

resource "aws_cloudwatch_event_rule" "minutes" {
  name                = "functions-minutes"
  description         = var.second ? "Every so often" : "Often"
  schedule_expression = var.second ? "rate(3 hours)" : "rate(90 minutes)"
  tags                = { Changed = var.second ? "yes" : "no" }
}

resource "aws_cloudwatch_event_rule" "nightly" {
  name_prefix         = "functions-nightly-"
  description         = var.second ? null : "In the night"
  schedule_expression = var.second ? "cron(30 2 * * ? *)" : "cron(0 2 * * ? *)"
  state               = var.second ? "DISABLED" : "ENABLED"
}

resource "aws_cloudwatch_event_target" "function" {
  rule      = aws_cloudwatch_event_rule.minutes.name
  target_id = "function"
  arn       = aws_lambda_function.web.arn
  input     = jsonencode({ from = var.second ? "rule, changed" : "rule" })
  retry_policy {
    maximum_event_age_in_seconds = 600
    maximum_retry_attempts       = var.second ? 3 : 4
  }
  dead_letter_config {
    arn = aws_sqs_queue.failed.arn
  }
}

resource "aws_cloudwatch_event_target" "queue" {
  rule = aws_cloudwatch_event_rule.minutes.name
  arn  = aws_sqs_queue.failed.arn
  input_transformer {
    input_paths    = var.second ? { at = "$.time", of = "$.resources[0]" } : { at = "$.time" }
    input_template = var.second ? "{\"at\": \"<at>\", \"of\": \"<of>\"}" : "{\"at\": \"<at>\"}"
  }
}

resource "aws_cloudwatch_event_target" "nightly" {
  rule       = aws_cloudwatch_event_rule.nightly.name
  target_id  = "function"
  arn        = aws_lambda_function.web.arn
  input_path = var.second ? "$.detail" : "$.time"
  dynamic "dead_letter_config" {
    for_each = var.second ? [] : ["said"]
    content {
      arn = aws_sqs_queue.failed.arn
    }
  }
}

output "same" {
  value = alltrue([
    data.aws_lambda_function.web.arn == aws_lambda_function.web.arn,
    data.aws_lambda_function.web.invoke_arn == aws_lambda_function.web.invoke_arn,
    data.aws_lambda_function.web.code_sha256 == filebase64sha256(var.archives[var.second ? 1 : 0]),
    data.aws_lambda_function.web.reserved_concurrent_executions == (var.second ? 7 : 5),
    data.aws_lambda_function.web.tags == aws_lambda_function.web.tags_all,
  ])
}
