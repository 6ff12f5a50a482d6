# Network load balancers with every attribute that provider 5.100 has for them, but those that need what Forebay does not have:
# Elastic IP addresses and Outposts. They carry no traffic; what is judged is that the API tells what it was told. `second` is the
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

variable "certificates" {
  description = "Certificates with their keys, in PEM."
  type        = list(object({ body = string, key = string }))
}

provider "aws" {
  region                  = "eu-central-1"
  skip_metadata_api_check = true
  default_tags {
    tags = { Suite = "network" }
  }
}

resource "aws_vpc" "main" {
  cidr_block                       = "10.40.0.0/16"
  assign_generated_ipv6_cidr_block = true
  tags                             = { Name = "network" }
}

resource "aws_subnet" "main" {
  count             = 2
  vpc_id            = aws_vpc.main.id
  cidr_block        = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  ipv6_cidr_block   = cidrsubnet(aws_vpc.main.ipv6_cidr_block, 8, count.index)
  availability_zone = "eu-central-1${["a", "b"][count.index]}"
}

resource "aws_security_group" "main" {
  count  = 2
  name   = "network-${count.index}"
  vpc_id = aws_vpc.main.id
}

resource "aws_acm_certificate" "main" {
  count            = length(var.certificates)
  certificate_body = var.certificates[count.index].body
  private_key      = var.certificates[count.index].key
}

resource "aws_lb" "internal" {
  name                                                         = "network-internal"
  load_balancer_type                                           = "network"
  internal                                                     = true
  ip_address_type                                              = "ipv4"
  security_groups                                              = var.second ? aws_security_group.main[*].id : [aws_security_group.main[0].id]
  enforce_security_group_inbound_rules_on_private_link_traffic = var.second ? "on" : "off"
  dns_record_client_routing_policy                             = var.second ? "availability_zone_affinity" : "partial_availability_zone_affinity"
  enable_cross_zone_load_balancing                             = !var.second
  enable_deletion_protection                                   = !var.second
  enable_zonal_shift                                           = !var.second
  dynamic "subnet_mapping" {
    for_each = aws_subnet.main
    content {
      subnet_id            = subnet_mapping.value.id
      private_ipv4_address = cidrhost(subnet_mapping.value.cidr_block, 15)
    }
  }
  access_logs {
    bucket  = "network-logs"
    prefix  = var.second ? "changed" : "access"
    enabled = true
  }
  minimum_load_balancer_capacity {
    capacity_units = var.second ? 6000 : 5500
  }
  timeouts {
    create = "5m"
  }
  tags = var.second ? { Stage = "second", Added = "yes" } : { Stage = "first" }
}

# AWS reserves no capacity where there are TLS listeners, so they are here.
resource "aws_lb" "facing" {
  name               = "network-facing"
  load_balancer_type = "network"
  internal           = false
  ip_address_type    = "dualstack"
  security_groups    = [aws_security_group.main[0].id]
  dynamic "subnet_mapping" {
    for_each = aws_subnet.main
    content {
      subnet_id    = subnet_mapping.value.id
      ipv6_address = cidrhost(subnet_mapping.value.ipv6_cidr_block, 15)
    }
  }
}

# What has defaults only, without security groups, and a name that the provider makes up.
resource "aws_lb" "plain" {
  name_prefix        = "net-"
  load_balancer_type = "network"
  subnets            = aws_subnet.main[*].id
}

resource "aws_lb_target_group" "tcp" {
  name                              = "network-tcp"
  port                              = 9000
  protocol                          = "TCP"
  target_type                       = "ip"
  vpc_id                            = aws_vpc.main.id
  ip_address_type                   = "ipv4"
  deregistration_delay              = var.second ? 20 : 10
  connection_termination            = !var.second
  preserve_client_ip                = var.second
  proxy_protocol_v2                 = !var.second
  load_balancing_cross_zone_enabled = var.second ? "false" : "true"
  health_check {
    enabled             = true
    protocol            = "HTTP"
    port                = "8081"
    path                = var.second ? "/changed" : "/health"
    matcher             = var.second ? "200-299" : "200-399"
    interval            = var.second ? 20 : 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = var.second ? 3 : 2
  }
  stickiness {
    type    = "source_ip"
    enabled = !var.second
  }
  target_health_state {
    enable_unhealthy_connection_termination = false
    unhealthy_draining_interval             = var.second ? 120 : 60
  }
  target_group_health {
    dns_failover {
      minimum_healthy_targets_count      = var.second ? "off" : "2"
      minimum_healthy_targets_percentage = var.second ? "30" : "off"
    }
    unhealthy_state_routing {
      minimum_healthy_targets_count      = var.second ? 1 : 2
      minimum_healthy_targets_percentage = var.second ? "20" : "off"
    }
  }
  tags = { Stage = var.second ? "second" : "first" }
}

resource "aws_lb_target_group" "udp" {
  name                 = "network-udp"
  port                 = 5300
  protocol             = "UDP"
  target_type          = "instance"
  vpc_id               = aws_vpc.main.id
  preserve_client_ip   = true
  deregistration_delay = var.second ? 0 : 30
  health_check {
    protocol            = "TCP"
    port                = "traffic-port"
    interval            = var.second ? 15 : 10
    timeout             = 6
    healthy_threshold   = 3
    unhealthy_threshold = 3
  }
  stickiness {
    type    = "source_ip"
    enabled = var.second
  }
}

resource "aws_lb_target_group" "tls" {
  name_prefix            = "tls-"
  port                   = 8443
  protocol               = "TLS"
  target_type            = "ip"
  vpc_id                 = aws_vpc.main.id
  connection_termination = var.second
  preserve_client_ip     = false
  health_check {
    protocol = "HTTPS"
    path     = "/"
    matcher  = "200"
  }
  target_health_state {
    enable_unhealthy_connection_termination = !var.second
  }
}

resource "aws_lb_target_group" "both" {
  name        = "network-both"
  port        = 53
  protocol    = "TCP_UDP"
  target_type = "ip"
  vpc_id      = aws_vpc.main.id
}

resource "aws_lb_target_group" "six" {
  name            = "network-six"
  port            = 9006
  protocol        = "TCP"
  target_type     = "ip"
  vpc_id          = aws_vpc.main.id
  ip_address_type = "ipv6"
}

resource "aws_lb_target_group" "spare" {
  name        = "network-spare"
  port        = 9000
  protocol    = "TCP"
  target_type = "alb"
  vpc_id      = aws_vpc.main.id
  health_check {
    protocol = "HTTP"
  }
}

resource "aws_lb_target_group_attachment" "tcp" {
  target_group_arn = aws_lb_target_group.tcp.arn
  target_id        = cidrhost(aws_subnet.main[0].cidr_block, 20)
  port             = 9001
}

# Not of the VPC, so of no zone.
resource "aws_lb_target_group_attachment" "elsewhere" {
  target_group_arn  = aws_lb_target_group.tcp.arn
  target_id         = "192.168.40.1"
  port              = 9001
  availability_zone = "all"
}

# An application load balancer behind a network load balancer.
resource "aws_lb" "behind" {
  name            = "network-behind"
  internal        = true
  subnets         = aws_subnet.main[*].id
  security_groups = [aws_security_group.main[0].id]
}

resource "aws_lb_listener" "behind" {
  load_balancer_arn = aws_lb.behind.arn
  port              = 9000
  protocol          = "HTTP"
  default_action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = "behind"
      status_code  = "200"
    }
  }
}

resource "aws_lb_target_group_attachment" "behind" {
  target_group_arn = aws_lb_target_group.spare.arn
  target_id        = aws_lb.behind.arn
  port             = aws_lb_listener.behind.port
}

resource "aws_lb_listener" "tcp" {
  load_balancer_arn        = aws_lb.internal.arn
  port                     = 9000
  protocol                 = "TCP"
  tcp_idle_timeout_seconds = var.second ? 600 : 120
  default_action {
    type             = "forward"
    target_group_arn = var.second ? aws_lb_target_group.spare.arn : aws_lb_target_group.tcp.arn
  }
  tags = { Stage = var.second ? "second" : "first" }
}

resource "aws_lb_listener" "tls" {
  load_balancer_arn = aws_lb.facing.arn
  port              = 9443
  protocol          = "TLS"
  certificate_arn   = aws_acm_certificate.main[var.second ? 1 : 0].arn
  ssl_policy        = var.second ? "ELBSecurityPolicy-TLS13-1-3-2021-06" : "ELBSecurityPolicy-TLS13-1-2-2021-06"
  alpn_policy       = var.second ? "HTTP2Only" : "HTTP2Preferred"
  default_action {
    type = "forward"
    forward {
      target_group {
        arn = aws_lb_target_group.tls.arn
      }
    }
  }
}

resource "aws_lb_listener_certificate" "tls" {
  listener_arn    = aws_lb_listener.tls.arn
  certificate_arn = aws_acm_certificate.main[2].arn
}

resource "aws_lb_listener" "six" {
  load_balancer_arn = aws_lb.facing.arn
  port              = 9006
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.six.arn
  }
}

resource "aws_lb_listener" "udp" {
  load_balancer_arn = aws_lb.internal.arn
  port              = var.second ? 5301 : 5300
  protocol          = "UDP"
  default_action {
    type             = "forward"
    order            = 1
    target_group_arn = aws_lb_target_group.udp.arn
  }
}

resource "aws_lb_listener" "both" {
  load_balancer_arn = aws_lb.plain.arn
  port              = 53
  protocol          = "TCP_UDP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.both.arn
  }
}
