//! The indexes: which submissions and runs there are, and which of them a coordinator looks after.

use super::record::{Submission, SubmissionKind};
use crate::{
    ids::SubmissionId,
    store::{Store, StoreError},
};

impl Store {
    /// Puts a submission into the index that [`Store::submissions`] reads, and a run into that of
    /// [`Store::runs`]; doing it twice changes nothing. Whoever leads does it again for a maker that died, or a
    /// store that was put back, in between.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn put_in_index(&self, id: SubmissionId, kind: SubmissionKind) -> Result<(), StoreError> {
        let run = (kind == SubmissionKind::Train).then(|| self.keys.runs());
        for index in [self.keys.submissions()].into_iter().chain(run) {
            // All scores are equal: ids sort by time, so an index is read in lexicographic order.
            let mut command = redis::cmd("ZADD");
            command.arg(index).arg(0).arg(id.to_string());
            command.query_async::<()>(&mut self.connection.clone()).await?;
        }
        Ok(())
    }

    /// Returns how many submissions a coordinator has to look after.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn active_count(&self) -> Result<u64, StoreError> {
        Ok(redis::cmd("SCARD").arg(self.keys.active()).query_async(&mut self.connection.clone()).await?)
    }

    /// Puts a submission on the list of those to look after, and wakes whoever does.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn set_active(&self, id: SubmissionId) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        pipe.sadd(self.keys.active(), id.to_string()).ignore();
        pipe.publish(self.keys.notifications(), id.to_string()).ignore();
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the submissions that a coordinator has to look after, oldest first.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn active_submissions(&self) -> Result<Vec<SubmissionId>, StoreError> {
        let key = self.keys.active();
        let ids: Vec<String> =
            redis::cmd("SMEMBERS").arg(&key).query_async(&mut self.connection.clone()).await?;
        let parsed: Result<Vec<SubmissionId>, _> = ids.iter().map(|id| id.parse()).collect();
        let mut ids = parsed.map_err(|error| StoreError::corrupt(&key, &error))?;
        ids.sort();
        Ok(ids)
    }

    /// Takes a submission that reached its end off the list of those to look after. One that was opened
    /// again meanwhile stays on it.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn set_inactive(&self, id: SubmissionId) -> Result<(), StoreError> {
        let mut command = redis::cmd("SREM");
        command.arg(self.keys.active()).arg(id.to_string());
        command.query_async::<()>(&mut self.connection.clone()).await?;
        match self.state(id).await? {
            Some(state) if !state.is_terminal() => self.set_active(id).await,
            _ => Ok(()),
        }
    }

    /// Returns up to `limit` submissions, newest first, older than `before`. Entries whose record has
    /// expired leave the index on the way; a record of a kind that is not known here is left out.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn submissions(
        &self,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Submission>, StoreError> {
        self.listed(&self.keys.submissions(), before, limit).await
    }

    /// Likewise, of the runs alone.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn runs(
        &self,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Submission>, StoreError> {
        self.listed(&self.keys.runs(), before, limit).await
    }

    async fn listed(
        &self,
        index: &str,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Submission>, StoreError> {
        let mut connection = self.connection.clone();
        let mut found = Vec::new();
        let mut cursor = before.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        while found.len() < limit {
            let mut page = redis::cmd("ZRANGE");
            page.arg(index).arg(&cursor).arg("-").arg("BYLEX").arg("REV").arg("LIMIT").arg(0).arg(limit);
            let ids: Vec<String> = page.query_async(&mut connection).await?;
            let Some(last) = ids.last() else { break };
            cursor = format!("({last}");
            for text in &ids {
                let id = text.parse().map_err(|error| StoreError::corrupt(index, &error))?;
                match self.submission(id).await {
                    Ok(Some(submission)) => found.push(submission),
                    Ok(None) => {
                        redis::cmd("ZREM").arg(index).arg(text).query_async::<()>(&mut connection).await?;
                    }
                    Err(error @ StoreError::Corrupt { .. }) => tracing::debug!(%error, "not listed"),
                    Err(error) => return Err(error),
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}
