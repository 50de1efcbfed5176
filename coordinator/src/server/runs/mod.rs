//! Records of training runs: the request and the report, their API views, and finding a run by name.
//!
//! `training` drives runs and writes their files. `submissions` and `training` both read these records, so this module
//! depends on neither.

mod find;
mod record;
mod view;

pub(crate) use self::{
    find::{read_spec, resolve, target},
    record::{
        EpochRecord, RawErrors, RunReport, RunSpec, SkippedRecord, SplitRecord, TestRecord, TrainingSettings,
    },
    view::{get, list},
};
