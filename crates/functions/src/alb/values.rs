//! What a target group's attribute says of headers and parameters that come several times.

/// Whether several values of a header or a parameter are told apart (`lambda.multi_value_headers.enabled`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// The last one counts: `headers`, `queryStringParameters`.
    Last,
    /// All of them, in arrays: `multiValueHeaders`, `multiValueQueryStringParameters`.
    All,
}

impl Values {
    /// By what the attribute says.
    pub fn of(multi_value_headers: bool) -> Values {
        if multi_value_headers {
            Values::All
        } else {
            Values::Last
        }
    }
}
