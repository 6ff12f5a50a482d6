# A load balancer as a Terraform user writes it: network, balancer, groups, targets, listener, and a rule for every
# condition type and every action that provider 5.100 can express. `second` is the changed configuration.

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

variable "targets" {
  description = "Target group to the targets in it."
  type        = map(list(object({ ip = string, port = number })))
}

provider "aws" {
  region                  = "us-east-1"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "interop" }
  }
}

data "aws_availability_zones" "all" {
  state = "available"
}

resource "aws_vpc" "main" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "interop" }
}

resource "aws_subnet" "main" {
  count                   = 3
  vpc_id                  = aws_vpc.main.id
  cidr_block              = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  availability_zone       = data.aws_availability_zones.all.names[count.index]
  map_public_ip_on_launch = true
  tags                    = { Name = "interop-${count.index}" }
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "interop" }
}

resource "aws_route_table" "main" {
  vpc_id = aws_vpc.main.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.main.id
  }
  tags = { Name = "interop" }
}

resource "aws_route_table_association" "main" {
  count          = 3
  subnet_id      = aws_subnet.main[count.index].id
  route_table_id = aws_route_table.main.id
}

resource "aws_security_group" "main" {
  name        = "interop"
  description = "Rules within the group"
  vpc_id      = aws_vpc.main.id
  ingress {
    description = "clients"
    protocol    = "tcp"
    from_port   = var.port
    to_port     = var.port
    cidr_blocks = var.second ? ["127.0.0.0/8", "10.0.0.0/8"] : ["127.0.0.0/8"]
  }
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "apart" {
  name        = "interop-apart"
  description = "Rules as resources of their own"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "apart" {
  security_group_id = aws_security_group.apart.id
  description       = var.second ? "clients, changed" : "clients"
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
  cidr_ipv4         = var.second ? "127.0.0.0/9" : "127.0.0.0/8"
}

resource "aws_vpc_security_group_egress_rule" "apart" {
  security_group_id            = aws_security_group.apart.id
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.main.id
}

resource "aws_lb" "main" {
  name                                        = "interop"
  load_balancer_type                          = "application"
  internal                                    = false
  subnets                                     = aws_subnet.main[*].id
  security_groups                             = var.second ? [aws_security_group.main.id, aws_security_group.apart.id] : [aws_security_group.main.id]
  idle_timeout                                = var.second ? 90 : 30
  client_keep_alive                           = var.second ? 7200 : 1800
  desync_mitigation_mode                      = var.second ? "strictest" : "monitor"
  drop_invalid_header_fields                  = var.second
  enable_http2                                = !var.second
  preserve_host_header                        = true
  enable_xff_client_port                      = true
  xff_header_processing_mode                  = var.second ? "preserve" : "append"
  enable_waf_fail_open                        = true
  enable_zonal_shift                          = true
  enable_deletion_protection                  = false
  enable_tls_version_and_cipher_suite_headers = true
  access_logs {
    bucket  = "interop-logs"
    prefix  = var.second ? "changed" : "access"
    enabled = true
  }
  connection_logs {
    bucket  = "interop-logs"
    prefix  = "connection"
    enabled = true
  }
  tags = var.second ? { Stage = "second", Added = "yes" } : { Stage = "first" }
}

resource "aws_lb_target_group" "first" {
  name                          = "interop-first"
  port                          = 80
  protocol                      = "HTTP"
  target_type                   = "ip"
  vpc_id                        = aws_vpc.main.id
  deregistration_delay          = var.second ? 5 : 10
  load_balancing_algorithm_type = "round_robin"
  health_check {
    path                = var.second ? "/health?second" : "/health"
    interval            = var.second ? 6 : 5
    timeout             = var.second ? 3 : 2
    healthy_threshold   = var.second ? 3 : 2
    unhealthy_threshold = 2
    matcher             = var.second ? "200-299" : "200"
  }
}

resource "aws_lb_target_group" "second" {
  name                 = "interop-second"
  port                 = 8080
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = aws_vpc.main.id
  deregistration_delay = 0
  slow_start           = var.second ? 30 : 0
  health_check {
    path     = "/"
    interval = 5
    timeout  = 2
  }
  stickiness {
    type            = "lb_cookie"
    enabled         = var.second
    cookie_duration = var.second ? 600 : 300
  }
  tags = { Stage = var.second ? "second" : "first" }
}

resource "aws_lb_target_group" "third" {
  name                              = "interop-third"
  port                              = 80
  protocol                          = "HTTP"
  protocol_version                  = "HTTP1"
  target_type                       = "ip"
  vpc_id                            = aws_vpc.main.id
  deregistration_delay              = 0
  load_balancing_algorithm_type     = var.second ? "least_outstanding_requests" : "round_robin"
  load_balancing_cross_zone_enabled = "true"
  target_group_health {
    dns_failover {
      minimum_healthy_targets_count      = "1"
      minimum_healthy_targets_percentage = "off"
    }
    unhealthy_state_routing {
      minimum_healthy_targets_count      = 1
      minimum_healthy_targets_percentage = var.second ? "10" : "off"
    }
  }
}

locals {
  groups = {
    first  = aws_lb_target_group.first.arn
    second = aws_lb_target_group.second.arn
    third  = aws_lb_target_group.third.arn
  }
  attachments = merge([
    for group, targets in var.targets : { for number, target in targets : "${group}-${number}" => merge(target, { group = group }) }
  ]...)
}

resource "aws_lb_target_group_attachment" "all" {
  for_each         = local.attachments
  target_group_arn = local.groups[each.value.group]
  target_id        = each.value.ip
  port             = each.value.port
}

resource "aws_lb_listener" "main" {
  load_balancer_arn                                  = aws_lb.main.arn
  port                                               = var.port
  protocol                                           = "HTTP"
  routing_http_response_x_frame_options_header_value = var.second ? "DENY" : "SAMEORIGIN"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.first.arn
  }
}

# Every condition type.

resource "aws_lb_listener_rule" "host" {
  listener_arn = aws_lb_listener.main.arn
  priority     = var.second ? 15 : 10
  condition {
    host_header {
      values = ["*.shop.example.com", "shop?.example.org"]
    }
  }
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = var.second ? "rule host, changed" : "rule host"
      status_code  = "200"
    }
  }
  tags = { Name = var.second ? "host rule changed" : "host rule" }
}

resource "aws_lb_listener_rule" "path" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 20
  condition {
    path_pattern {
      values = var.second ? ["/img/*", "/pictures/*"] : ["/img/*", "*.png"]
    }
  }
  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.second.arn
  }
}

resource "aws_lb_listener_rule" "header" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 30
  condition {
    http_header {
      http_header_name = "X-Version"
      values           = ["canary*", "beta-?"]
    }
  }
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "application/json"
      message_body = "{\"rule\":\"header\"}"
      status_code  = "418"
    }
  }
}

resource "aws_lb_listener_rule" "method" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 40
  condition {
    http_request_method {
      values = ["PURGE", "DELETE"]
    }
  }
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/html"
      message_body = "<p>rule method</p>"
      status_code  = "405"
    }
  }
}

resource "aws_lb_listener_rule" "query" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 50
  condition {
    query_string {
      key   = "version"
      value = "v?"
    }
    query_string {
      value = "*legacy*"
    }
  }
  action {
    type = "redirect"
    redirect {
      host        = "old.#{host}"
      path        = "/legacy/#{path}"
      port        = "8443"
      protocol    = "HTTPS"
      query       = "#{query}&from=query"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener_rule" "source" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 60
  condition {
    source_ip {
      values = ["127.9.0.0/16", "2001:db8::/32"]
    }
  }
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = "rule source"
      status_code  = "403"
    }
  }
}

# All six in one rule is more than five values; five kinds in one here, and the sixth above.
resource "aws_lb_listener_rule" "several" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 5
  condition {
    host_header {
      values = ["several.example.com"]
    }
  }
  condition {
    path_pattern {
      values = ["/several/*"]
    }
  }
  condition {
    http_request_method {
      values = ["POST"]
    }
  }
  condition {
    http_header {
      http_header_name = "X-Several"
      values           = ["yes"]
    }
  }
  condition {
    source_ip {
      values = ["127.0.0.0/8"]
    }
  }
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/css"
      message_body = "rule several"
      status_code  = "201"
    }
  }
}

# Every action; fixed-response and the plain forward are above. The authenticate actions need HTTPS; regular expressions and
# transforms came after provider 5.100.

resource "aws_lb_listener_rule" "weighted" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 70
  condition {
    path_pattern {
      values = ["/weighted"]
    }
  }
  action {
    type = "forward"
    forward {
      target_group {
        arn    = aws_lb_target_group.second.arn
        weight = var.second ? 1 : 3
      }
      target_group {
        arn    = aws_lb_target_group.third.arn
        weight = 1
      }
      stickiness {
        enabled  = true
        duration = var.second ? 120 : 60
      }
    }
  }
}

resource "aws_lb_listener_rule" "unweighted" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 80
  condition {
    path_pattern {
      values = ["/never-second"]
    }
  }
  action {
    type = "forward"
    forward {
      target_group {
        arn    = aws_lb_target_group.first.arn
        weight = 0
      }
      target_group {
        arn    = aws_lb_target_group.third.arn
        weight = 999
      }
    }
  }
}

resource "aws_lb_listener_rule" "redirect" {
  listener_arn = aws_lb_listener.main.arn
  priority     = 90
  condition {
    path_pattern {
      values = ["/moved/*"]
    }
  }
  action {
    type = "redirect"
    redirect {
      path        = "/new/#{path}"
      status_code = "HTTP_302"
    }
  }
}

output "balancer" {
  value = aws_lb.main.arn
}

output "vpc" {
  value = aws_vpc.main.id
}
