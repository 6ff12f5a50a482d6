//! How repeated headers and parameters are represented.

/// How several values of a header or parameter are represented (`lambda.multi_value_headers.enabled`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Only the last one: `headers`, `queryStringParameters`.
    Last,
    /// All of them, in arrays: `multiValueHeaders`, `multiValueQueryStringParameters`.
    All,
}

impl Values {
    /// The representation for this value of the attribute.
    pub fn of(multi_value_headers: bool) -> Values {
        if multi_value_headers {
            Values::All
        } else {
            Values::Last
        }
    }
}
