//! Metrics that AWS's load balancers report and Forebay does not.

/// Metrics of AWS/ApplicationELB that are not reported, and why.
pub const NOT_REPORTED: &[(&str, &str)] = &[
    (
        "ELBAuthError, ELBAuthFailure, ELBAuthSuccess, ELBAuthLatency, ELBAuthRefreshTokenSuccess, \
         ELBAuthUserClaimsSizeExceeded, JWTValidationFailureCount",
        "rules with authentication or token validation answer 500, because users cannot be authenticated",
    ),
    (
        "BYoIPUtilPercentage",
        "nodes have addresses of one local pool, never a customer's own",
    ),
    (
        "LowReputationPacketsDropped, ExcessiveLowReputationPackets, LowReputationRequestsDenied",
        "the reputation of addresses is not tracked",
    ),
    (
        "ForwardedInvalidHeaderRequestCount",
        "names of header lines are checked only where `routing.http.drop_invalid_header_fields.enabled` is true, and then \
         such lines are dropped",
    ),
    (
        "ReservedLCUs, CapacityUtilization",
        "capacity is that of the machine: a reservation is stored, but nothing is set aside for it",
    ),
    ("ActiveZonalShiftHostCount", "there are no zonal shifts"),
];
