//! Item results, by submission-wide index.

use crate::{
    ids::SubmissionId,
    job::outcome::ItemResult,
    store::{Store, StoreError},
};

impl Store {
    /// Writes the results of items that failed during preparation. They are counted when the submission is opened.
    /// Repeating it changes nothing.
    pub async fn reject_items(
        &self,
        id: SubmissionId,
        results: &[(u64, ItemResult)],
    ) -> Result<(), StoreError> {
        if results.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("HSET");
        command.arg(self.keys.of_submission(id, "results"));
        for (index, result) in results {
            let json = serde_json::to_string(result).expect("a result is plain data");
            command.arg(*index).arg(json);
        }
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the results of the items `first .. first + count`; `None` for unresolved items.
    pub async fn results(
        &self,
        id: SubmissionId,
        first: u64,
        count: u64,
    ) -> Result<Vec<Option<ItemResult>>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let key = self.keys.of_submission(id, "results");
        let mut command = redis::cmd("HMGET");
        command.arg(&key);
        for index in first..first + count {
            command.arg(index);
        }
        let raw: Vec<Option<String>> = command.query_async(&mut self.connection.clone()).await?;
        raw.into_iter()
            .map(|json| json.map(|json| serde_json::from_str(&json)).transpose())
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::corrupt(&key, &error))
    }
}
