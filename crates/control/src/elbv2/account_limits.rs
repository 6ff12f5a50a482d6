//! Quotas of the account.

use crate::api::context::View;
use crate::api::paging::{PageInput, answer, page};
use forebay_awswire::ApiError;
use forebay_model::limits::QUOTAS;
use serde_json::{Value, json};

pub(crate) fn describe_account_limits(view: &View<'_>) -> Result<Value, ApiError> {
    let input: PageInput = view.input()?;
    let mut quotas: Vec<_> = QUOTAS.iter().collect();
    quotas.sort_by_key(|quota| quota.name);
    let (held, next) = page(view, quotas, |quota| quota.name.to_owned(), &input, 400)?;
    let value = |quota: &forebay_model::limits::Quota| json!({"Name": quota.name, "Max": view.state.quota(*quota).to_string()});
    Ok(answer("Limits", held.into_iter().map(value).collect(), next))
}
