//! What AWS's load balancers report and Forebay does not.

/// Metrics of AWS/ApplicationELB that are not reported, and why.
pub const NOT_REPORTED: &[(&str, &str)] = &[
    (
        "ELBAuthError, ELBAuthFailure, ELBAuthSuccess, ELBAuthLatency, ELBAuthRefreshTokenSuccess, \
         ELBAuthUserClaimsSizeExceeded, JWTValidationFailureCount",
        "rules with authentication or the validation of tokens answer 500: no user is authenticated",
    ),
    (
        "BYoIPUtilPercentage",
        "nodes have addresses of one local pool, none of a customer's",
    ),
    (
        "LowReputationPacketsDropped, ExcessiveLowReputationPackets, LowReputationRequestsDenied",
        "no reputation of addresses is kept",
    ),
    (
        "ForwardedInvalidHeaderRequestCount",
        "names of header lines are looked at only where `routing.http.drop_invalid_header_fields.enabled` is true, and then \
         such lines are dropped",
    ),
    (
        "ReservedLCUs, CapacityUtilization",
        "capacity is that of the machine: what is reserved is stored, and no part of it is set aside",
    ),
    ("ActiveZonalShiftHostCount", "there are no zonal shifts"),
];
