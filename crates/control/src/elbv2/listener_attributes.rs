//! The attributes of listeners (API reference, `ListenerAttribute`), in the order in which they are described.

use crate::settings::holder::Holder::{self, Listener, PlainListener, SecureListener};
use crate::settings::setting::{Setting, put};
use crate::settings::values::Given;
use crate::settings::values::Values::{Bool, HeaderName, HeaderValue, Range};
use forebay_model::ListenerSettings;

const SECURE: &[Holder] = &[SecureListener];
const LISTEN: &[Holder] = &[Listener, SecureListener];

/// Sets a header's name. An empty name leaves the default.
fn renamed(name: &mut String, value: Given<'_>) -> Option<()> {
    let given = value.text()?;
    if !given.is_empty() {
        given.clone_into(name);
    }
    Some(())
}

/// Adds a header to every response, unless its value is empty. Headers are kept in the order of their names.
fn response_header(listener: &mut ListenerSettings, name: &str, value: Given<'_>) -> Option<()> {
    let value = value.text()?;
    if !value.is_empty() {
        let headers = &mut listener.response_headers;
        let place = headers.partition_point(|header| *header.0 < *name);
        headers.insert(place, (name.to_owned(), value.to_owned()));
    }
    Some(())
}

/// The attributes, in the order of DescribeListenerAttributes.
pub(crate) const ATTRIBUTES: &[Setting<ListenerSettings>] = &[
    Setting::stored(
        "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
        SECURE,
        (HeaderName, ""),
        "the name of the header that has the serial number of the client certificate",
    ),
    Setting::stored(
        "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name",
        SECURE,
        (HeaderName, ""),
        "the name of the header that has the issuer of the client certificate",
    ),
    Setting::stored(
        "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
        SECURE,
        (HeaderName, ""),
        "the name of the header that has the subject of the client certificate",
    ),
    Setting::stored(
        "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
        SECURE,
        (HeaderName, ""),
        "the name of the header that has the validity period of the client certificate",
    ),
    Setting::stored(
        "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name",
        SECURE,
        (HeaderName, ""),
        "the name of the header that has the client certificate",
    ),
    Setting::stored(
        "routing.http.request.x_amzn_mtls_clientcert.header_name",
        SECURE,
        (HeaderName, ""),
        "the name of the header that has the client certificate and its chain",
    ),
    Setting::new(
        "routing.http.request.x_amzn_tls_version.header_name",
        SECURE,
        (HeaderName, ""),
        "the name of the header that has the TLS version, in place of `X-Amzn-Tls-Version`",
        |listener, value| renamed(&mut listener.tls_header_names[0], value),
    ),
    Setting::new(
        "routing.http.request.x_amzn_tls_cipher_suite.header_name",
        SECURE,
        (HeaderName, ""),
        "the name of the header that has the cipher, in place of `X-Amzn-Tls-Cipher-Suite`",
        |listener, value| renamed(&mut listener.tls_header_names[1], value),
    ),
    Setting::new(
        "routing.http.response.server.enabled",
        LISTEN,
        (Bool, "true"),
        "responses that Forebay makes carry `Server: awselb/2.0`",
        |listener, value| put(&mut listener.server_header, value.flag()),
    ),
    Setting::new(
        "routing.http.response.strict_transport_security.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `Strict-Transport-Security` with this value",
        |listener, value| response_header(listener, "Strict-Transport-Security", value),
    ),
    Setting::new(
        "routing.http.response.access_control_allow_origin.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `Access-Control-Allow-Origin` with this value",
        |listener, value| response_header(listener, "Access-Control-Allow-Origin", value),
    ),
    Setting::new(
        "routing.http.response.access_control_allow_methods.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `Access-Control-Allow-Methods` with this value",
        |listener, value| response_header(listener, "Access-Control-Allow-Methods", value),
    ),
    Setting::new(
        "routing.http.response.access_control_allow_headers.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `Access-Control-Allow-Headers` with this value",
        |listener, value| response_header(listener, "Access-Control-Allow-Headers", value),
    ),
    Setting::new(
        "routing.http.response.access_control_allow_credentials.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `Access-Control-Allow-Credentials` with this value",
        |listener, value| response_header(listener, "Access-Control-Allow-Credentials", value),
    ),
    Setting::new(
        "routing.http.response.access_control_expose_headers.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `Access-Control-Expose-Headers` with this value",
        |listener, value| response_header(listener, "Access-Control-Expose-Headers", value),
    ),
    Setting::new(
        "routing.http.response.access_control_max_age.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `Access-Control-Max-Age` with this value",
        |listener, value| response_header(listener, "Access-Control-Max-Age", value),
    ),
    Setting::new(
        "routing.http.response.content_security_policy.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `Content-Security-Policy` with this value",
        |listener, value| response_header(listener, "Content-Security-Policy", value),
    ),
    Setting::new(
        "routing.http.response.x_content_type_options.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `X-Content-Type-Options` with this value",
        |listener, value| response_header(listener, "X-Content-Type-Options", value),
    ),
    Setting::new(
        "routing.http.response.x_frame_options.header_value",
        LISTEN,
        (HeaderValue, ""),
        "every response carries `X-Frame-Options` with this value",
        |listener, value| response_header(listener, "X-Frame-Options", value),
    ),
    Setting::stored(
        "tcp.idle_timeout.seconds",
        &[PlainListener],
        (Range(60, 6000), "350"),
        "seconds of silence after which a connection is closed",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::setting::count_of;

    /// There are as many as on the page "Listener attributes" of the user guide.
    #[test]
    fn all_published_keys_are_there() {
        let count = |holder| count_of(ATTRIBUTES, holder);
        assert_eq!(count(SecureListener), 8 + 11);
        assert_eq!(count(Listener), 11);
    }
}
