//! Records of training runs: the request and the report, their API views, and finding a run by name.
//!
//! `training` drives runs and writes their files. `submissions` and `training` both read these records, so this module
//! depends on neither.

mod find;
mod notes;
mod record;
mod view;

pub(crate) use self::{
    find::{ResolvedRun, by_name, for_prediction, read_spec, target},
    record::{
        EpochRecord, GroupingRecord, RawErrors, RunReport, RunSpec, SkippedRecord, SplitRecord, TestRecord,
        TrainingSettings,
    },
    view::{get, list},
};
