//! The tables of a region, and their rows in the store.

use crate::acm::records::Certificate;
use crate::autoscaling::records::{
    Activity, Group, Hook, LaunchConfiguration, Member, Notice, Policy, Refresh, Schedule,
};
use crate::cloudwatch::records::{Alarm, Dashboard, HistoryEntry, InsightRule};
use crate::ec2::records::{
    GroupRule, Instance, InternetGateway, LaunchTemplate, RouteTable, SecurityGroup, Subnet, Vpc,
};
use crate::elbv2::records::{Listener, LoadBalancer, Rule, Target, TargetGroup};
use crate::iam::records::{InstanceProfile, ManagedPolicy, Role, ServerCertificate};
use crate::lambda::records::{Function, Mapping};
use crate::records::{Address, Tags};
use crate::rows::{RowChange, RowError, json};
use crate::schedules::records::{EventRule, EventSchedule, ScheduleClock, ScheduleGroup, ScheduledRun};
use crate::sqs::records::Queue;
use crate::ssm::records::Parameter;
use imbl::ordmap::DiffItem;
use serde::Serialize;
use std::sync::Arc;

/// Records by key. Cloning costs O(1), lookups and changes O(log n).
pub type Table<T> = imbl::OrdMap<String, Arc<T>>;

macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident: $record:ty = $name:literal;)*) => {
        /// Everything in one region.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Region {
            $($(#[$doc])* pub $field: Table<$record>,)*
        }

        /// The names of all tables that hold a region's rows.
        pub(crate) const TABLES: &[&str] = &[$($name),*];

        impl Region {
            /// Reads one row into its table.
            pub(crate) fn take_row(&mut self, table: &str, key: &str, value: &[u8]) -> Result<(), RowError> {
                match table {
                    $($name => {
                        let record: $record = serde_json::from_slice(value).map_err(|cause| RowError::Unreadable {
                            table: table.to_owned(),
                            key: key.to_owned(),
                            cause,
                        })?;
                        self.$field.insert(key.to_owned(), Arc::new(record));
                    })*
                    _ => return Err(RowError::UnknownTable(table.to_owned())),
                }
                Ok(())
            }

            /// Appends the rows that differ between `old` and `self` to `changes`, their keys prefixed with the
            /// region's name.
            pub(crate) fn changes_since(&self, old: &Region, name: &str, changes: &mut Vec<RowChange>) {
                $(diff($name, name, &old.$field, &self.$field, changes);)*
            }
        }
    };
}

// To add a table: one line here, and a record that is Serialize + Deserialize + Clone + PartialEq + Debug.
tables! {
    /// VPCs by id.
    vpcs: Vpc = "ec2.vpc";
    /// Subnets by id.
    subnets: Subnet = "ec2.subnet";
    /// Security groups by id.
    security_groups: SecurityGroup = "ec2.security-group";
    /// Security group rules by id.
    group_rules: GroupRule = "ec2.security-group-rule";
    /// Internet gateways by id.
    internet_gateways: InternetGateway = "ec2.internet-gateway";
    /// Route tables by id.
    route_tables: RouteTable = "ec2.route-table";
    /// ACM certificates by ARN.
    certificates: Certificate = "acm.certificate";
    /// IAM server certificates by name, in the default region: IAM is global.
    server_certificates: ServerCertificate = "iam.server-certificate";
    /// IAM roles by name, in the default region like everything of IAM.
    roles: Role = "iam.role";
    /// IAM managed policies by ARN.
    policies: ManagedPolicy = "iam.policy";
    /// IAM instance profiles by name.
    instance_profiles: InstanceProfile = "iam.instance-profile";
    /// Systems Manager parameters by name.
    parameters: Parameter = "ssm.parameter";
    /// Queues by name.
    queues: Queue = "sqs.queue";
    /// Functions by name.
    functions: Function = "lambda.function";
    /// Event source mappings by id.
    mappings: Mapping = "lambda.event-source-mapping";
    /// EventBridge Scheduler's schedule groups by name, except the default one.
    schedule_groups: ScheduleGroup = "scheduler.group";
    /// EventBridge Scheduler's schedules by `GROUP/NAME`.
    event_schedules: EventSchedule = "scheduler.schedule";
    /// EventBridge's rules by name.
    event_rules: EventRule = "events.rule";
    /// Up to which time schedules and rules have been looked at, by ARN.
    schedule_clocks: ScheduleClock = "schedules.clock";
    /// Runs of schedules and rules that have not ended, by `ARN@TIME|TARGET`.
    scheduled_runs: ScheduledRun = "schedules.run";
    /// The most recent runs that have ended.
    ended_runs: ScheduledRun = "schedules.ended-run";
    /// Instances by id.
    instances: Instance = "ec2.instance";
    /// Launch templates by id.
    launch_templates: LaunchTemplate = "ec2.launch-template";
    /// Addresses in use, by address, with their owners.
    addresses: Address = "address";
    /// Tags by ARN (elbv2, acm, iam, cloudwatch) or id (ec2).
    tags: Tags = "tags";
    /// Load balancers by ARN.
    load_balancers: LoadBalancer = "elbv2.load-balancer";
    /// Listeners by ARN.
    listeners: Listener = "elbv2.listener";
    /// Rules by ARN, default rules included.
    rules: Rule = "elbv2.rule";
    /// Target groups by ARN.
    target_groups: TargetGroup = "elbv2.target-group";
    /// Targets by `GROUP_ARN|ID|PORT`.
    targets: Target = "elbv2.target";
    /// Alarms by name.
    alarms: Alarm = "cloudwatch.alarm";
    /// Alarm history entries by alarm name and number.
    alarm_history: HistoryEntry = "cloudwatch.alarm-history";
    /// Dashboards by name, in the default region: they are global.
    dashboards: Dashboard = "cloudwatch.dashboard";
    /// Contributor Insights rules by name.
    insight_rules: InsightRule = "cloudwatch.insight-rule";
    /// Auto Scaling groups by name.
    scaling_groups: Group = "autoscaling.group";
    /// Instances of Auto Scaling groups by id.
    members: Member = "autoscaling.instance";
    /// Activities of Auto Scaling groups by `GROUP|NUMBER`.
    activities: Activity = "autoscaling.activity";
    /// Launch configurations by name.
    launch_configurations: LaunchConfiguration = "autoscaling.launch-configuration";
    /// Scaling policies by `GROUP|NAME`.
    scaling_policies: Policy = "autoscaling.policy";
    /// Lifecycle hooks by `GROUP|NAME`.
    hooks: Hook = "autoscaling.hook";
    /// Scheduled actions by `GROUP|NAME`.
    schedules: Schedule = "autoscaling.schedule";
    /// Instance refreshes by `GROUP|NUMBER`.
    refreshes: Refresh = "autoscaling.refresh";
    /// Notifications that are still to be sent to topics, by number.
    notices: Notice = "autoscaling.notice";
}

fn diff<T: Serialize + PartialEq>(
    table: &'static str,
    region: &str,
    old: &Table<T>,
    new: &Table<T>,
    changes: &mut Vec<RowChange>,
) {
    if old.ptr_eq(new) {
        return;
    }
    for item in old.diff(new) {
        let (key, value) = match item {
            DiffItem::Add(key, value)
            | DiffItem::Update {
                new: (key, value), ..
            } => (key, Some(value)),
            DiffItem::Remove(key, _) => (key, None),
        };
        changes.push(RowChange {
            table,
            key: format!("{region}/{key}"),
            value: value.map(json),
        });
    }
}
