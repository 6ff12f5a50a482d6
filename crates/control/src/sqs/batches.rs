//! Batches: up to ten entries, each of which may fail by itself.

use super::errors::missing;
use crate::api::context::View;
use crate::api::errors::error;
use forebay_awswire::{ApiError, Blame};
use forebay_queues::limits;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The entries of a batch, each with its id.
pub(super) fn entries(view: &View<'_>) -> Result<Vec<(String, Value)>, ApiError> {
    let operation = view.request.operation.trim_end_matches("Batch");
    let given = view.request.input["Entries"].as_array();
    let entries = given.map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return Err(error(
            "AWS.SimpleQueueService.EmptyBatchRequest",
            format!("There should be at least one {operation}BatchRequestEntry in the request."),
        ));
    }
    if entries.len() > limits::BATCH_MAX {
        return Err(error(
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            format!(
                "Maximum number of entries per request are {}. You have sent {}.",
                limits::BATCH_MAX,
                entries.len()
            ),
        ));
    }
    let mut seen = BTreeSet::new();
    for entry in entries {
        let id = entry["Id"].as_str().unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.is_empty() || id.len() > 80 || !id.bytes().all(fits) {
            return Err(error(
                "AWS.SimpleQueueService.InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
            ));
        }
        if !seen.insert(id) {
            return Err(error(
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                format!("Id {id} repeated."),
            ));
        }
    }
    Ok(entries
        .iter()
        .map(|entry| (entry["Id"].as_str().unwrap_or_default().to_owned(), entry.clone()))
        .collect())
}

/// The results so far, in the order of the entries: an answer, an error, or none yet.
pub(super) struct Results(Vec<(String, Option<Result<Value, ApiError>>)>);

impl Results {
    /// Results for entries without any yet.
    pub(super) fn of(entries: &[(String, Value)]) -> Results {
        Results(entries.iter().map(|(id, _)| (id.clone(), None)).collect())
    }

    /// Sets an entry's result.
    fn put(&mut self, place: usize, result: Result<Value, ApiError>) {
        if let Some((_, slot)) = self.0.get_mut(place) {
            *slot = Some(result);
        }
    }

    /// What to order for each entry, with what its answer needs and the entry's index. Entries that cannot be ordered
    /// get their error here.
    pub(super) fn ready<T, K>(
        &mut self,
        entries: &[(String, Value)],
        mut each: impl FnMut(&Value) -> Result<(T, K), ApiError>,
    ) -> (Vec<T>, Vec<(usize, K)>) {
        let (mut asked, mut places) = (Vec::new(), Vec::new());
        for (place, (_, entry)) in entries.iter().enumerate() {
            match each(entry) {
                Ok((ask, known)) => {
                    asked.push(ask);
                    places.push((place, known));
                }
                Err(error) => self.put(place, Err(error)),
            }
        }
        (asked, places)
    }

    /// Sets the results of the entries that were ordered, in order.
    pub(super) fn done<K, T, E>(
        &mut self,
        places: Vec<(usize, K)>,
        done: Vec<Result<T, E>>,
        told: impl Fn(K, Result<T, E>) -> Result<Value, ApiError>,
    ) {
        for ((place, known), done) in places.into_iter().zip(done) {
            self.put(place, told(known, done));
        }
    }

    /// The answer. Entries without a result fail.
    pub(super) fn answer(self) -> Value {
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (id, result) in self.0 {
            match result.unwrap_or_else(|| Err(missing("Entries"))) {
                Ok(mut answer) => {
                    answer["Id"] = json!(id);
                    successful.push(answer);
                }
                Err(error) => failed.push(json!({
                    "Id": id,
                    "SenderFault": error.blame == Blame::Sender,
                    "Code": error.code,
                    "Message": error.message,
                })),
            }
        }
        json!({"Successful": successful, "Failed": failed})
    }
}
