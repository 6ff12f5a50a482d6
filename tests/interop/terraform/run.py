"""Terraform with the AWS provider makes, changes, imports and destroys main.tf; traffic obeys each of its rules. Beside it network/main.tf,
network load balancers: made, changed, destroyed, and a plan is empty after each; and alarms/main.tf, alarms and a dashboard, which are
imported as well; and access/main.tf, parameters, roles and policies; and queues/main.tf, queues and what their workers are given; and
functions/main.tf, functions and what invokes them, none of which is invoked here. Arguments name the configurations to run: first, network,
alarms, access, queues, functions; without any, all run.

The provider comes from a filesystem mirror: the directory in FOREBAY_TERRAFORM_MIRROR, else one found in the usual places.
Without Terraform or a mirror this fails, loudly; FOREBAY_TERRAFORM=skip turns that into a loud pass.
"""

import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = pathlib.Path(__file__).parent
PROVIDER = "registry.terraform.io/hashicorp/aws/5.100.0/linux_amd64"
REGION = "us-east-1"

# The API cannot be asked for one target, so provider 5.100 has no import for attachments: a plan after an import adds them, and
# to add them again changes nothing. Everything else is imported and must be equal, but for the form of a forward to one target
# group: AWS tells `target_group_arn` and a `forward` block, the provider cannot know on import which one the configuration has
# (a comment in its source says so), keeps both, then for rules the block alone, and is at rest after one more apply (its issues
# 37211 and 40916).
NO_IMPORT = {"aws_lb_target_group_attachment"}
# What no API tells: where a function's code came from and whether to publish it, and what only target groups of other kinds have. The
# provider's own tests leave it out when they compare what was imported.
NOT_TOLD = {
    "aws_lambda_function": {"filename", "publish", "source_code_hash"},
    "aws_lb_target_group": {"deregistration_delay", "proxy_protocol_v2", "slow_start"},
}
# The paths of the roles and profiles of queues/main.tf and functions/main.tf: those of access/main.tf are as global as they are, and made
# at the same time.
QUEUES, FUNCTIONS = "/queues/", "/functions/"


def mirror():
    """The directory under which the provider lies; none if there is none."""
    named = os.environ.get("FOREBAY_TERRAFORM_MIRROR")
    roots = [named] if named else [os.environ.get("TF_PLUGIN_CACHE_DIR")]
    if not named:
        with contextlib.suppress(KeyError, OSError):
            text = pathlib.Path(os.environ["TF_CLI_CONFIG_FILE"]).read_text()
            roots += re.findall(r'filesystem_mirror\s*{[^}]*path\s*=\s*"([^"]+)"', text)
            roots += re.findall(r'plugin_cache_dir\s*=\s*"([^"]+)"', text)
        roots += [pathlib.Path.home() / ".terraform.d", "/usr/local/share", "/usr/share", "/opt"]
    for root in filter(None, roots):
        root = pathlib.Path(root)
        # Three levels are enough for every customary layout, and keep the search of /usr/share short.
        for pattern in ("", "*/", "*/*/", "*/*/*/"):
            for found in sorted(root.glob(f"{pattern}{PROVIDER}")):
                if any(found.glob("terraform-provider-aws*")):
                    return pathlib.Path(str(found).removesuffix("/" + PROVIDER))
    return None


def not_checked(why):
    bar = "!" * 100
    print(f"{bar}\n!! Terraform was NOT checked: {why}.\n{bar}", flush=True)
    if os.environ.get("FOREBAY_TERRAFORM") == "skip":
        print("FOREBAY_TERRAFORM=skip: going on without it", flush=True)
        sys.exit(0)
    sys.exit("set FOREBAY_TERRAFORM_MIRROR to a provider mirror, or FOREBAY_TERRAFORM=skip to go on without")


class Terraform:
    """A working directory with a configuration and a state of its own."""

    def __init__(self, directory, environment, variables, configuration="main.tf"):
        self.directory, self.environment = directory, environment
        directory.mkdir()
        shutil.copy(HERE / configuration, directory)
        (directory / "interop.auto.tfvars.json").write_text(json.dumps(variables))

    def run(self, *arguments, codes=(0,)):
        """Runs it; returns the exit code and what it printed."""
        began = time.monotonic()
        command = ["terraform", *arguments]
        done = subprocess.run(command, cwd=self.directory, env=self.environment, capture_output=True, text=True)
        print(f"terraform {self.directory.name}: {' '.join(arguments[:2])}: {done.returncode} in {time.monotonic() - began:.0f} s", flush=True)
        if done.returncode not in codes:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.returncode, done.stdout

    def plan(self, *arguments):
        """Plans into a file; returns the plan."""
        self.run("plan", "-input=false", "-no-color", "-parallelism=20", "-out=plan", *arguments)
        return json.loads(self.run("show", "-json", "plan")[1])

    def make(self):
        """Makes all that is configured, whatever the plan."""
        self.run("apply", "-auto-approve", "-input=false", "-no-color", "-parallelism=20")

    def apply(self):
        self.run("apply", "-input=false", "-no-color", "-parallelism=20", "plan")

    def assert_unchanged(self, when):
        code, text = self.run("plan", "-input=false", "-no-color", "-parallelism=20", "-detailed-exitcode", codes=(0, 2))
        assert code == 0, f"a plan {when} is not empty:\n{text}"

    def resources(self):
        state = json.loads((self.directory / "terraform.tfstate").read_text())
        for resource in state["resources"]:
            if resource["mode"] != "managed":
                continue
            for instance in resource["instances"]:
                key = instance.get("index_key")
                index = "" if key is None else f"[{json.dumps(key)}]"
                yield f"{resource['type']}.{resource['name']}{index}", resource["type"], instance["attributes"]


def changed_attributes(change):
    """Names of the attributes, nested ones by their block, that a planned change alters."""
    before, after = change["before"] or {}, change["after"] or {}
    unknown = change["after_unknown"]
    return {name for name in before.keys() | after.keys() if not unknown.get(name) and before.get(name) != after.get(name)}


def assert_in_place(plan):
    """Every change is an update, ten attributes at least."""
    attributes = set()
    for resource in plan["resource_changes"]:
        actions = resource["change"]["actions"]
        assert actions in (["no-op"], ["update"], ["read"]), f"{resource['address']} would not be changed in place: {actions}"
        if actions == ["update"]:
            names = changed_attributes(resource["change"]) - {"tags_all"}
            attributes |= {f"{resource['address']}.{name}" for name in names}
    assert len(attributes) >= 10, sorted(attributes)
    print(f"{len(attributes)} attributes change in place: {', '.join(sorted(attributes))}")


def import_blocks(resources):
    """An import block for each resource that provider 5.100 can import."""
    blocks = []
    for address, kind, attributes in resources:
        if kind in NO_IMPORT:
            continue
        if kind == "aws_route_table_association":
            name = f"{attributes['subnet_id']}/{attributes['route_table_id']}"
        elif kind == "aws_iam_role_policy_attachment":
            name = f"{attributes['role']}/{attributes['policy_arn']}"
        elif kind == "aws_lambda_permission":
            name = f"{attributes['function_name']}/{attributes['statement_id']}"
        elif kind == "aws_cloudwatch_event_target":
            name = f"{attributes['rule']}/{attributes['target_id']}"
        else:
            name = attributes["id"]
        blocks.append(f'import {{\n  to = {address}\n  id = "{name}"\n}}\n')
    return "".join(blocks)


def in_one_form(actions):
    """Actions in which a forward to one target group is told by its ARN alone."""
    told = []
    for action in actions:
        forward = action["forward"][0] if action["forward"] else {"target_group": [], "stickiness": []}
        groups, sticky = forward["target_group"], any(setting["enabled"] for setting in forward["stickiness"])
        if len(groups) == 1 and not sticky:
            action = {**action, "forward": [], "target_group_arn": groups[0]["arn"]}
        told.append({**action, "target_group_arn": action["target_group_arn"] or None})
    return told


def difference(resource):
    """Attributes in which an imported resource differs from its configuration, but for the form of a forward."""
    change = resource["change"]
    differing = changed_attributes(change)
    for name in differing & {"action", "default_action"}:
        if in_one_form(change["before"][name]) == in_one_form(change["after"][name]):
            print(f"  {resource['address']} differs, as on AWS, in the form of {name}", flush=True)
            differing = differing - {name}
    if resource["type"] == "aws_lambda_function" or change["after"].get("target_type") == "lambda":
        differing -= {name for name in NOT_TOLD[resource["type"]] if not change["before"].get(name)}
    return {name: (change["before"].get(name), change["after"].get(name)) for name in differing}


def assert_imported(plan, count):
    """Each resource is imported, and nothing differs."""
    imported, problems = 0, []
    for resource in plan["resource_changes"]:
        change = resource["change"]
        if resource["mode"] != "managed":
            continue
        if resource["type"] in NO_IMPORT:
            assert change["actions"] == ["create"], resource
            continue
        imported += 1
        if "importing" not in change or change["actions"] not in (["no-op"], ["update"]):
            problems.append(f"{resource['address']} is not imported in place: {change['actions']}")
        elif found := difference(resource):
            problems.append(f"{resource['address']} differs after import: {found}")
    assert not problems, "\n".join(problems)
    assert imported == count, (imported, count)
    print(f"{imported} resources imported", flush=True)


def assert_settles(plan):
    """After an import has been applied, no more than the form of forwards is left to change."""
    for resource in plan["resource_changes"]:
        actions = resource["change"]["actions"]
        assert actions in (["no-op"], ["update"], ["read"]), f"{resource['address']}: {actions}"
        found = difference(resource) if actions == ["update"] else None
        assert not found, f"{resource['address']} differs after the import was applied: {found}"


# Traffic.


def ask(node, port, method="GET", target="/", host="elsewhere.test", headers=None, source=None):
    """One request on a connection of its own: status, headers by lower-case name, body."""
    connection = http.client.HTTPConnection(node, port, timeout=20, source_address=(source, 0) if source else None)
    with contextlib.closing(connection):
        connection.request(method, target, headers={"Host": host, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()


class Traffic:
    """Requests that each rule must take, and others that it must not."""

    def __init__(self, nodes, port, groups, second):
        self.nodes, self.port, self.groups, self.second = nodes, port, groups, second
        self.asked = 0

    def ask(self, *arguments, **named):
        self.asked += 1
        return ask(self.nodes[self.asked % len(self.nodes)], self.port, *arguments, **named)

    def fixed(self, status, kind, body, *arguments, **named):
        answer = self.ask(*arguments, **named)
        assert (answer[0], answer[1].get("content-type"), answer[2]) == (status, kind, body), (arguments, named, answer)

    def group(self, name, *arguments, **named):
        """The request reaches a target of this group."""
        status, headers, _ = self.ask(*arguments, **named)
        assert status == 200 and headers.get("x-target") in self.groups[name], (name, arguments, named, status, headers)
        return headers["x-target"]

    def redirected(self, status, location, *arguments, **named):
        answer = self.ask(*arguments, **named)
        assert (answer[0], answer[1].get("location")) == (status, location), (arguments, named, answer)

    def check(self):
        for check in (self.default, self.host, self.path, self.header, self.method, self.query, self.source, self.several,
                      self.weighted, self.redirect):
            check()
        return self.asked

    def default(self):
        seen = collections.Counter(self.group("first", target=f"/?n={n}") for n in range(20 * len(self.groups["first"])))
        assert set(seen) == set(self.groups["first"]), seen

    def host(self):
        body = "rule host, changed" if self.second else "rule host"
        for host in ("a.shop.example.com", "A.B.SHOP.example.COM:99", "shop1.example.org"):
            self.fixed(200, "text/plain", body, host=host)
        for host in ("shop.example.com", "shop.example.org", "shop12.example.org", "a.shop.example.com.evil.test"):
            self.group("first", host=host)

    def path(self):
        second = ["/pictures/a"] if self.second else ["/a/b.png", "/b.png?q=1"]
        for target in ["/img/a", "/img/", "/img/a/b?c=d", *second]:
            self.group("second", target=target)
        for target in ["/img", "/IMG/a", "/x?/img/", "/x/img/a", *(["/a/b.png"] if self.second else ["/pictures/a"])]:
            self.group("first", target=target)

    def header(self):
        for value in ("canary", "CANARY-7", "beta-1"):
            self.fixed(418, "application/json", '{"rule":"header"}', headers={"x-version": value})
        for headers in ({}, {"X-Version": "beta-12"}, {"X-Version": "a canary"}, {"X-Versions": "canary"}):
            self.group("first", headers=headers)

    def method(self):
        for method in ("PURGE", "DELETE"):
            self.fixed(405, "text/html", "<p>rule method</p>", method)
        self.group("first", "GET")
        self.group("first", "OPTIONS")

    def query(self):
        for query in ("version=v1", "a=b&VERSION=V2", "is=this-legacy-thing"):
            location = f"https://old.elsewhere.test:8443/legacy/a/b?{query}&from=query"
            self.redirected(301, location, target=f"/a/b?{query}")
        for query in ("version=v10", "versions=v1", "v1=version", "legac=y"):
            self.group("first", target=f"/a/b?{query}")

    def source(self):
        self.fixed(403, "text/plain", "rule source", source="127.9.1.2")
        self.group("first", source="127.10.1.2")
        self.group("first", headers={"X-Forwarded-For": "127.9.1.2"})

    def several(self):
        right = {"method": "POST", "target": "/several/a", "host": "several.example.com", "headers": {"X-Several": "yes"}}
        self.fixed(201, "text/css", "rule several", **right)
        for name, value in (("method", "GET"), ("target", "/severals"), ("host", "other.example.com"), ("headers", {})):
            self.group("first", **{**right, name: value})

    def weighted(self):
        targets = {target: name for name in ("second", "third") for target in self.groups[name]}
        seen = collections.Counter()
        for _ in range(400):
            status, headers, _ = self.ask(target="/weighted")
            assert status == 200, (status, headers)
            seen[targets[headers["x-target"]]] += 1
        share = 0.5 if self.second else 0.75
        # Five standard deviations of 400 draws: one run in a million goes beyond by chance.
        assert abs(seen["second"] / 400 - share) < 0.125, seen
        for _ in range(20):
            self.group("third", target="/never-second")

    def redirect(self):
        location = f"http://elsewhere.test:{self.port}/new/moved/a?b=c"
        self.redirected(302, location, target="/moved/a?b=c")
        self.group("first", target="/moved")


def refuses(node, port):
    with contextlib.closing(socket.socket()) as client:
        return client.connect_ex((node, port)) != 0


def nodes(elb):
    zones = elb.describe_load_balancers(Names=["interop"])["LoadBalancers"][0]["AvailabilityZones"]
    return [address["IpAddress"] for zone in zones for address in zone["LoadBalancerAddresses"]]


def assert_nothing_left(daemon, vpc, region=REGION, suite="interop"):
    elb, ec2 = (daemon.client(service, region=region) for service in ("elbv2", "ec2"))
    for groups in elb.get_paginator("describe_target_groups").paginate():
        assert not groups["TargetGroups"], groups
    for balancers in elb.get_paginator("describe_load_balancers").paginate():
        assert not balancers["LoadBalancers"], balancers
    here = [{"Name": "vpc-id", "Values": [vpc]}]
    left = {
        "Vpcs": ec2.describe_vpcs(Filters=here),
        "Subnets": ec2.describe_subnets(Filters=here),
        "SecurityGroups": ec2.describe_security_groups(Filters=here),
        "RouteTables": ec2.describe_route_tables(Filters=here),
        "NetworkInterfaces": ec2.describe_network_interfaces(Filters=here),
        "InternetGateways": ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}]),
        "Tags": ec2.describe_tags(Filters=[{"Name": "tag:Suite", "Values": [suite]}]),
    }
    for kind, described in left.items():
        assert not described[kind], (kind, described[kind])


def environment_of_terraform(daemon, directory, plugins):
    (directory / "terraformrc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{plugins}"\n  }}\n}}\ndisable_checkpoint = true\n'
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    return {
        **kept,
        "TF_CLI_CONFIG_FILE": str(directory / "terraformrc"),
        "AWS_ENDPOINT_URL": daemon.api,
        "AWS_SHARED_CREDENTIALS_FILE": str(daemon.directory / "credentials"),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CHECKPOINT_DISABLE": "1",
        # A third of the time that Terraform and its provider take goes into collecting garbage of a process that ends soon.
        "GOGC": "off",
        "GOMEMLIMIT": "1GiB",
    }


def network(daemon, environment, directory):
    """Network load balancers; what was made, as the state tells it."""
    from tls import make

    pairs = [make([f"network-{n}.test"]) for n in range(3)]
    certificates = [{"body": body.decode(), "key": key.decode()} for body, key in pairs]
    terraform = Terraform(directory / "network", environment, {"certificates": certificates}, "network/main.tf")
    terraform.run("init", "-input=false", "-no-color")
    terraform.make()
    terraform.assert_unchanged("right after the network load balancers were made")
    (terraform.directory / "second.auto.tfvars.json").write_text('{"second": true}')
    assert_in_place(terraform.plan())
    terraform.apply()
    terraform.assert_unchanged("right after the network load balancers were changed")
    resources = list(terraform.resources())
    vpc = next(attributes["id"] for _, kind, attributes in resources if kind == "aws_vpc")
    terraform.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=20")
    assert_nothing_left(daemon, vpc, "eu-central-1", "network")
    print(f"network: {len(resources)} resources made, changed and destroyed; nothing is left", flush=True)


def told_of_alarms(daemon):
    """The alarms of both kinds by their names, and the dashboard's body."""
    client = daemon.client("cloudwatch", region="eu-west-1")
    described = client.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    alarms = {alarm["AlarmName"]: alarm for kind in ("MetricAlarms", "CompositeAlarms") for alarm in described[kind]}
    return alarms, json.loads(client.get_dashboard(DashboardName="alarms")["DashboardBody"])


def assert_alarms(daemon, second):
    """The API tells of the alarms and the dashboard what the configuration says."""
    told, dashboard = told_of_alarms(daemon)
    names = {"alarms requests", "alarms-least", "alarms-slow", "alarms-errors", "alarms-trouble", "alarms-never"}
    assert set(told) == names, sorted(told)
    requests, queries = told["alarms requests"], told["alarms-errors"]["Metrics"]
    [dimension] = requests["Dimensions"]
    assert dimension["Name"] == "LoadBalancer" and dimension["Value"].startswith("app/alarms/"), dimension
    found = (requests["Threshold"], requests["Period"], requests["Statistic"], requests["ActionsEnabled"], len(requests["AlarmActions"]))
    assert found == ((1000.5, 10, "SampleCount", False, 2) if second else (100, 60, "Sum", True, 1)), requests
    expressions = {query["Id"]: query.get("Expression") for query in queries}
    wanted = "IF(asked > 10, 100 * errors / asked, 0)" if second else "100 * errors / asked"
    assert expressions == {"share": wanted, "errors": None, "asked": None}, queries
    assert told["alarms-slow"]["ExtendedStatistic"] == ("p99.9" if second else "p95"), told["alarms-slow"]
    rule = told["alarms-trouble"]["AlarmRule"]
    assert rule.startswith('ALARM("alarms requests") ' + ("OR (" if second else "AND (")), rule
    assert [widget["type"] for widget in dashboard["widgets"]] == ["metric", "alarm"] + ["text"] * second, dashboard


def alarms(daemon, environment, directory):
    """Alarms on metrics, an alarm on alarms and a dashboard; what was made is imported as well, and destroyed from there."""
    made = Terraform(directory / "alarms", environment, {}, "alarms/main.tf")
    made.run("init", "-input=false", "-no-color")
    made.make()
    made.assert_unchanged("right after the alarms were made")
    assert_alarms(daemon, False)
    arns = {address: attributes["arn"] for address, kind, attributes in made.resources() if kind.endswith("_alarm")}

    (made.directory / "second.auto.tfvars.json").write_text('{"second": true}')
    plan = made.plan()
    assert_in_place(plan)
    updated = {resource["type"] for resource in plan["resource_changes"] if resource["change"]["actions"] == ["update"]}
    assert updated == {"aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm", "aws_cloudwatch_dashboard"}, updated
    made.apply()
    made.assert_unchanged("right after the alarms were changed")
    assert_alarms(daemon, True)
    client = daemon.client("cloudwatch", region="eu-west-1")
    tags = client.list_tags_for_resource(ResourceARN=arns["aws_cloudwatch_metric_alarm.requests"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"Suite": "alarms", "Kind": "plain", "Changed": "yes"}, tags

    # What somebody else deleted is missed, and made again.
    client.delete_dashboards(DashboardNames=["alarms"])
    client.delete_alarms(AlarmNames=["alarms-never"])
    client.delete_alarms(AlarmNames=["alarms-least"])
    made_again = {resource["address"] for resource in made.plan()["resource_changes"] if resource["change"]["actions"] == ["create"]}
    missed = {"aws_cloudwatch_dashboard.main", "aws_cloudwatch_composite_alarm.never", "aws_cloudwatch_metric_alarm.least"}
    assert made_again == missed, made_again
    made.apply()
    made.assert_unchanged("right after the deleted were made again")
    assert_alarms(daemon, True)

    resources = list(made.resources())
    imported = Terraform(directory / "alarms-imported", environment, {"second": True}, "alarms/main.tf")
    blocks = import_blocks(resources)
    (imported.directory / "imports.tf").write_text(blocks)
    imported.run("init", "-input=false", "-no-color")
    assert_imported(imported.plan(), len(resources))
    imported.apply()
    imported.assert_unchanged("right after the alarms were imported")
    assert {address for address, _, _ in imported.resources()} == {address for address, _, _ in resources}

    vpc = next(attributes["id"] for _, kind, attributes in resources if kind == "aws_vpc")
    imported.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=20")
    assert_nothing_left(daemon, vpc, "eu-west-1", "alarms")
    left = client.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert not left["MetricAlarms"] and not left["CompositeAlarms"], left
    left = client.list_dashboards()["DashboardEntries"]
    assert not left, left
    print(f"alarms: {len(resources)} resources made, changed, imported and destroyed; nothing is left", flush=True)


def access(daemon, environment, directory):
    """Parameters, a role with policies and an instance profile, which are imported as well, and destroyed from there."""
    made = Terraform(directory / "access", environment, {}, "access/main.tf")
    made.run("init", "-input=false", "-no-color")
    made.make()
    made.assert_unchanged("right after parameters and roles were made")
    (made.directory / "second.auto.tfvars.json").write_text('{"second": true}')
    assert_in_place(made.plan())
    made.apply()
    made.assert_unchanged("right after parameters and roles were changed")
    parameters, roles = daemon.client("ssm", region="eu-west-3"), daemon.client("iam")
    assert parameters.get_parameter(Name="/workers/queue")["Parameter"]["Value"] == "images"
    assert parameters.get_parameter(Name="/workers/secret", WithDecryption=True)["Parameter"]["Value"] == "two"
    role = roles.get_role(RoleName="worker")["Role"]
    trusted = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
    assert sorted(trusted) == ["ec2.amazonaws.com", "lambda.amazonaws.com"] and role["MaxSessionDuration"] == 7200, role
    resources = list(made.resources())
    imported = Terraform(directory / "access-imported", environment, {"second": True}, "access/main.tf")
    (imported.directory / "imports.tf").write_text(import_blocks(resources))
    imported.run("init", "-input=false", "-no-color")
    assert_imported(imported.plan(), len(resources))
    imported.apply()
    imported.assert_unchanged("right after parameters and roles were imported")
    imported.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=20")
    left = [parameters.describe_parameters()["Parameters"], roles.list_policies(Scope="Local")["Policies"],
            *(whatever for whatever in (*roles.list_roles()["Roles"], *roles.list_instance_profiles()["InstanceProfiles"]) if whatever["Path"] not in (QUEUES, FUNCTIONS))]
    assert not any(left), left
    print(f"access: {len(resources)} resources made, changed, imported and destroyed; nothing is left", flush=True)


def assert_queues(daemon, second):
    """The API tells of queues what the configuration says, and they work so."""
    sqs = daemon.client("sqs", region="eu-west-2")
    told = lambda name: sqs.get_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=["All"])["Attributes"]
    images, orders, dead = told("images"), told("orders.fifo"), told("images-dead")
    names = ("VisibilityTimeout", "DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds")
    found = tuple(int(images[name]) for name in names)
    assert found == ((120, 0, 2048, 86400, 20) if second else (60, 5, 65536, 345600, 10)), images
    assert json.loads(images["RedrivePolicy"]) == {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": 5 if second else 3}, images
    assert len(json.loads(dead["RedriveAllowPolicy"])["sourceQueueArns"]) == (2 if second else 1), dead
    [statement] = json.loads(images["Policy"])["Statement"]
    assert statement["Sid"] == "notices" and ("sqs:GetQueueUrl" in statement["Action"]) == second, images
    found = tuple(orders[name] for name in ("ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"))
    assert found == (("false", "messageGroup", "perMessageGroupId") if second else ("true", "queue", "perQueue")), orders
    sources = sqs.list_dead_letter_source_queues(QueueUrl=sqs.get_queue_url(QueueName="orders-dead.fifo")["QueueUrl"])["queueUrls"]
    assert [url.rsplit("/", 1)[1] for url in sources] == ["orders.fifo"], sources
    tags = sqs.list_queue_tags(QueueUrl=sqs.get_queue_url(QueueName="images")["QueueUrl"])["Tags"]
    assert tags == {"Suite": "queues", **({"Changed": "yes", "New": "yes"} if second else {"Changed": "no"})}, tags
    parameter = daemon.client("ssm", region="eu-west-2").get_parameter(Name="ProcessingQueueName")["Parameter"]
    assert parameter["Value"] == ("images" if second else "orders.fifo"), parameter


def queues(daemon, environment, directory):
    """Queues, their dead letters and policies, and what their workers are given; imported as well, and destroyed from there."""
    made = Terraform(directory / "queues", environment, {}, "queues/main.tf")
    made.run("init", "-input=false", "-no-color")
    made.make()
    made.assert_unchanged("right after the queues were made")
    assert_queues(daemon, False)
    (made.directory / "second.auto.tfvars.json").write_text('{"second": true}')
    assert_in_place(made.plan())
    made.apply()
    made.assert_unchanged("right after the queues were changed")
    assert_queues(daemon, True)
    resources = list(made.resources())
    imported = Terraform(directory / "queues-imported", environment, {"second": True}, "queues/main.tf")
    (imported.directory / "imports.tf").write_text(import_blocks(resources))
    imported.run("init", "-input=false", "-no-color")
    assert_imported(imported.plan(), len(resources))
    imported.apply()
    imported.assert_unchanged("right after the queues were imported")
    assert json.loads((imported.directory / "terraform.tfstate").read_text())["outputs"]["same"]["value"] is True
    imported.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=20")
    roles = daemon.client("iam")
    left = [daemon.client("sqs", region="eu-west-2").list_queues().get("QueueUrls"), roles.list_roles(PathPrefix=QUEUES)["Roles"],
            daemon.client("ssm", region="eu-west-2").describe_parameters()["Parameters"], roles.list_instance_profiles(PathPrefix=QUEUES)["InstanceProfiles"]]
    assert not any(left), left
    print(f"queues: {len(resources)} resources made, changed, imported and destroyed; nothing is left", flush=True)


def archive(path, text):
    """An archive with a function's code."""
    with zipfile.ZipFile(path, "w") as made:
        # At a time of its own: the same code is the same archive.
        made.writestr(zipfile.ZipInfo("index.py", (2020, 1, 1, 0, 0, 0)), text)
    return str(path)


def import_what_is_there(daemon):
    """A network with a load balancer, and queues, that others made; blocks to import them. The provider waits for a minute when it makes a
    load balancer, and half a minute when it makes a queue; that it can is seen with other configurations."""
    ec2, elb, sqs = (daemon.client(service, region="eu-north-1") for service in ("ec2", "elbv2", "sqs"))
    tags = [{"Key": "Suite", "Value": "functions"}]
    tagged = lambda kind: [{"ResourceType": kind, "Tags": tags}]
    vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.60.{n}.0/24", AvailabilityZone=f"eu-north-1{zone}",
                                 TagSpecifications=tagged("subnet"))["Subnet"]["SubnetId"] for n, zone in enumerate("ab")]
    made = elb.create_load_balancer(Name="functions", Scheme="internal", Subnets=subnets, Tags=tags)["LoadBalancers"][0]
    there = {"aws_vpc.main": vpc, "aws_lb.main": made["LoadBalancerArn"], **{f"aws_subnet.main[{n}]": subnet for n, subnet in enumerate(subnets)}}
    for name, visible in (("failed", "30"), ("work", "120")):
        # The provider still has the default of messages' size that SQS had once.
        attributes = {"VisibilityTimeout": visible, "MaximumMessageSize": "262144"}
        queue = sqs.create_queue(QueueName=f"functions-{name}", Attributes=attributes, tags={"Suite": "functions"})
        there[f"aws_sqs_queue.{name}"] = queue["QueueUrl"]
    return "".join(f'import {{\n  to = {address}\n  id = "{name}"\n}}\n' for address, name in there.items())


def functions(daemon, environment, directory):
    """Functions and what invokes them: a load balancer, a queue, schedules, rules; imported as well, and destroyed from there."""
    from daemon import free_port
    from functions_told import assert_functions, assert_no_functions

    archives = [archive(directory / f"code-{n}.zip", f"def handler(event, context):\n    return {n}\n") for n in range(2)]
    variables = {"archives": archives, "port": free_port()}
    made = Terraform(directory / "functions", environment, variables, "functions/main.tf")
    (made.directory / "imports.tf").write_text(import_what_is_there(daemon))
    made.run("init", "-input=false", "-no-color")
    plan = made.plan()
    adopted = [resource["change"]["actions"] for resource in plan["resource_changes"] if "importing" in resource["change"]]
    assert adopted == [["no-op"]] * 6, adopted
    made.apply()
    made.assert_unchanged("right after the functions were made")
    assert_functions(daemon, False, archives)
    (made.directory / "second.auto.tfvars.json").write_text('{"second": true}')
    assert_in_place(made.plan())
    made.apply()
    assert_functions(daemon, True, archives)
    resources = list(made.resources())
    imported = Terraform(directory / "functions-imported", environment, {**variables, "second": True}, "functions/main.tf")
    blocks = import_blocks(resources)
    (imported.directory / "imports.tf").write_text(blocks)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        unchanged = pool.submit(made.assert_unchanged, "right after the functions were changed")
        imported.run("init", "-input=false", "-no-color")
        assert_imported(imported.plan(), blocks.count("import {"))
        unchanged.result()
    imported.apply()
    imported.assert_unchanged("right after the functions were imported")
    assert_functions(daemon, True, archives)
    assert json.loads((imported.directory / "terraform.tfstate").read_text())["outputs"]["same"]["value"] is True
    vpc = next(attributes["id"] for _, kind, attributes in resources if kind == "aws_vpc")
    imported.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=20")
    assert_nothing_left(daemon, vpc, "eu-north-1", "functions")
    assert_no_functions(daemon, FUNCTIONS)
    print(f"functions: {len(resources)} resources made, changed, imported and destroyed; nothing is left", flush=True)


def suite(daemon, samples, directory, port, environment):
    from daemon import wait

    targets = {group: [{"ip": sample.ip, "port": sample.port} for sample in members] for group, members in samples.items()}
    names = {group: {sample.name for sample in members} for group, members in samples.items()}
    variables = {"port": port, "targets": targets}
    elb = daemon.client("elbv2", region=REGION)

    def healthy():
        groups = elb.describe_target_groups()["TargetGroups"]
        states = [target["TargetHealth"]["State"] for group in groups
                  for target in elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]]
        return len(states) == sum(map(len, samples.values())) and set(states) == {"healthy"}

    def traffic(second):
        wait(healthy, "all targets are healthy")
        asked = Traffic(nodes(elb), port, names, second).check()
        print(f"{asked} requests obeyed the rules of the {'second' if second else 'first'} configuration", flush=True)

    first = Terraform(directory / "first", environment, variables)
    first.run("init", "-input=false", "-no-color")
    first.make()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        obeyed = pool.submit(traffic, False)
        first.assert_unchanged("right after the first apply")
        obeyed.result()

    (first.directory / "second.auto.tfvars.json").write_text('{"second": true}')
    assert_in_place(first.plan())
    first.apply()
    resources = list(first.resources())
    addresses = nodes(elb)
    imported = Terraform(directory / "imported", environment, {**variables, "second": True})
    blocks = import_blocks(resources)
    (imported.directory / "imports.tf").write_text(blocks)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        obeyed = pool.submit(traffic, True)
        first.assert_unchanged("right after the changes")
        imported.run("init", "-input=false", "-no-color")
        assert_imported(imported.plan(), blocks.count("import {"))
        imported.apply()
        assert_settles(imported.plan())
        imported.apply()
        imported.assert_unchanged("right after the import")
        obeyed.result()
    assert {address for address, _, _ in imported.resources()} == {address for address, _, _ in resources}

    # What was imported destroys what was made.
    vpc = next(attributes["id"] for _, kind, attributes in resources if kind == "aws_vpc")
    assert not any(refuses(node, port) for node in addresses)
    imported.run("destroy", "-auto-approve", "-input=false", "-no-color", "-parallelism=20")
    assert_nothing_left(daemon, vpc)
    wait(lambda: all(refuses(node, port) for node in addresses), "the listener's port refuses")
    print(f"{len(resources)} resources made, changed, imported and destroyed; nothing is left")


def main():
    known = ["first", "network", "alarms", "access", "queues", "functions"]
    wanted = sys.argv[1:] or known
    if unknown := set(wanted) - set(known):
        sys.exit(f"there is no configuration {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if shutil.which("terraform") is None:
        not_checked("there is no terraform on PATH")
    plugins = mirror()
    if plugins is None:
        not_checked(f"no directory holds {PROVIDER}")
    from daemon import Daemon, Sample, free_port

    with contextlib.ExitStack() as stack:
        samples = {
            "first": [stack.enter_context(Sample(f"first-{n}", f"127.0.10.{n}:0")) for n in (1, 2)],
            "second": [stack.enter_context(Sample(f"second-{n}", f"127.0.11.{n}:0")) for n in (1, 2)],
            "third": [stack.enter_context(Sample("third-1", "127.0.12.1:0"))],
        }
        daemon = stack.enter_context(Daemon(pool="127.188.0.0/14"))
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forebay-terraform-")))
        environment = environment_of_terraform(daemon, directory, plugins)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            others = [other for other in (network, alarms, access, queues, functions) if other.__name__ in wanted]
            beside = [pool.submit(other, daemon, environment, directory) for other in others]
            if "first" in wanted:
                suite(daemon, samples, directory, free_port(), environment)
            for other in beside:
                other.result()
    print("terraform: good")


if __name__ == "__main__":
    main()
