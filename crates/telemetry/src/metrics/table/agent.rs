//! An agent's metrics.

use super::row::{counter, gauge};
use crate::metrics::dimension::Dimension::Reason;
use crate::metrics::metric::{Metric, Read};

pub(super) const ROWS: &[Metric] = &[
    gauge(
        "forebay_agent_limit",
        "Most requests that may be at the application at once",
        Read::Agent(|of, to| to.add(u64::from(of.permit_issuer.permits.limit))),
    ),
    gauge(
        "forebay_agent_in_flight",
        "Requests at the application",
        Read::Agent(|of, to| to.add(u64::from(of.permit_issuer.permits.in_flight))),
    ),
    gauge(
        "forebay_agent_permits",
        "Permits that nodes hold and have not used",
        Read::Agent(|of, to| to.add(u64::from(of.permit_issuer.permits.outstanding))),
    ),
    gauge(
        "forebay_agent_channels",
        "Nodes with a control channel",
        Read::Agent(|of, to| to.add(u64::from(of.permit_issuer.permits.sessions))),
    ),
    gauge(
        "forebay_agent_waiting",
        "Requests that wait at nodes, as the nodes last reported",
        Read::Agent(|of, to| to.add(of.permit_issuer.permits.waiting)),
    ),
    counter(
        "forebay_agent_permits_granted",
        "Permits granted to nodes",
        Read::Agent(|of, to| to.add(of.permit_issuer.permits.granted)),
    ),
    counter(
        "forebay_agent_permits_returned",
        "Permits that nodes gave back",
        Read::Agent(|of, to| to.add(of.permit_issuer.permits.returned)),
    ),
    counter(
        "forebay_agent_permits_revoked",
        "Permits recalled and not given back in time",
        Read::Agent(|of, to| to.add(of.permit_issuer.permits.revoked)),
    ),
    counter(
        "forebay_agent_requests",
        "Requests let in with a permit",
        Read::Agent(|of, to| to.add(of.permit_issuer.permits.used)),
    ),
    counter(
        "forebay_agent_probes",
        "Health checks let in without a permit",
        Read::Agent(|of, to| to.add(of.permit_issuer.probes)),
    ),
    counter(
        "forebay_agent_refused",
        "Requests rejected, by reason",
        Read::Agent(|of, to| {
            let permits = &of.permit_issuer.permits;
            to.add_of(["missing"], of.permit_issuer.missing);
            to.add_of(["unknown"], permits.refused_unknown);
            to.add_of(["revoked"], permits.refused_revoked);
            to.add_of(["above-limit"], permits.refused_above_limit);
        }),
    )
    .by(&[Reason]),
    counter(
        "forebay_agent_log_lines_dropped",
        "Lines of its own log left out because there were too many of a kind, or because standard error was too slow",
        Read::Agent(|of, to| to.add(of.log_lines_dropped)),
    ),
    counter(
        "forebay_agent_application_failures",
        "Connections to the application that failed",
        Read::Agent(|of, to| {
            let counts = || {
                of.node
                    .target_groups
                    .iter()
                    .flat_map(|group| &group.targets)
                    .map(|target| &target.counts)
            };
            to.add_of(
                ["connect"],
                counts().map(|counts| counts.connect_errors).sum::<u64>(),
            );
            to.add_of(["closed"], counts().map(|counts| counts.died).sum::<u64>());
        }),
    )
    .by(&[Reason]),
];
