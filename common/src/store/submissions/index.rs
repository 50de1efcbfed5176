//! The indexes: all submissions, all runs, and the active submissions that the leader drives.

use super::record::{Submission, SubmissionKind};
use crate::{
    ids::SubmissionId,
    store::{Store, StoreError},
};

impl Store {
    /// Adds a submission to the index of [`Store::submissions`], and a run to that of [`Store::runs`]. Repeating it
    /// changes nothing: the leader does so, in case the creator died or Redis was restored from a backup.
    pub async fn index_submission(&self, id: SubmissionId, kind: SubmissionKind) -> Result<(), StoreError> {
        let run = (kind == SubmissionKind::Train).then(|| self.keys.runs());
        for index in [self.keys.submissions()].into_iter().chain(run) {
            // All scores are 0: IDs sort by creation time, so the index is read in lexicographic order.
            let mut command = redis::cmd("ZADD");
            command.arg(index).arg(0).arg(id.to_string());
            command.query_async::<()>(&mut self.connection.clone()).await?;
        }
        Ok(())
    }

    pub async fn active_submission_count(&self) -> Result<u64, StoreError> {
        Ok(redis::cmd("SCARD").arg(self.keys.active()).query_async(&mut self.connection.clone()).await?)
    }

    /// Makes a submission active and notifies the leader.
    pub async fn set_active(&self, id: SubmissionId) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        pipe.sadd(self.keys.active(), id.to_string()).ignore();
        pipe.publish(self.keys.notifications(), id.to_string()).ignore();
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }

    /// Returns the active submissions, oldest first.
    pub async fn active_submissions(&self) -> Result<Vec<SubmissionId>, StoreError> {
        let key = self.keys.active();
        let ids: Vec<String> =
            redis::cmd("SMEMBERS").arg(&key).query_async(&mut self.connection.clone()).await?;
        let parsed: Result<Vec<SubmissionId>, _> = ids.iter().map(|id| id.parse()).collect();
        let mut ids = parsed.map_err(|error| StoreError::corrupt(&key, &error))?;
        ids.sort();
        Ok(ids)
    }

    /// Makes a finished submission inactive. One that was reopened in the meantime stays active.
    pub async fn set_inactive(&self, id: SubmissionId) -> Result<(), StoreError> {
        let mut command = redis::cmd("SREM");
        command.arg(self.keys.active()).arg(id.to_string());
        command.query_async::<()>(&mut self.connection.clone()).await?;
        match self.state(id).await? {
            Some(state) if !state.is_terminal() => self.set_active(id).await,
            _ => Ok(()),
        }
    }

    /// Returns up to `limit` IDs of submissions that start with `prefix`, oldest first.
    pub async fn submissions_starting_with(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<SubmissionId>, StoreError> {
        let index = self.keys.submissions();
        let mut command = redis::cmd("ZRANGE");
        // '~' sorts after all characters of an ID.
        command.arg(&index).arg(format!("[{prefix}")).arg(format!("[{prefix}~")).arg("BYLEX");
        let ids: Vec<String> =
            command.arg("LIMIT").arg(0).arg(limit).query_async(&mut self.connection.clone()).await?;
        let parsed: Result<_, _> = ids.iter().map(|id| id.parse()).collect();
        parsed.map_err(|error| StoreError::corrupt(&index, &error))
    }

    /// Returns up to `limit` submissions older than `before`, newest first. Removes index entries whose record has
    /// expired, and skips records of unknown kinds.
    pub async fn submissions(
        &self,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Submission>, StoreError> {
        self.read_index(&self.keys.submissions(), before, limit).await
    }

    /// Like [`Store::submissions`], for runs only.
    pub async fn runs(
        &self,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Submission>, StoreError> {
        self.read_index(&self.keys.runs(), before, limit).await
    }

    async fn read_index(
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
                    Err(error @ StoreError::Corrupt { .. }) => {
                        tracing::debug!(%error, "skipped an unreadable submission");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}
