//! Finds a run by ID, by its name, or by `latest` and `best`.
//!
//! Invariant: `latest` and `best` stand only for sound runs: they have succeeded, and their test MSE is below the baseline, and
//! their test split is large enough for that to mean something.

use std::collections::BTreeSet;

use common::{
    ids::SubmissionId,
    store::{RunDocument, State, StoreError, Submission, SubmissionKind},
};
use dataset::target::Target;

use super::record::{RunReport, RunSpec, TestRecord};
use crate::server::{context::Context, error::RequestError, lookup};

/// Fewer test samples say nothing about a run.
const MIN_TEST_SAMPLES: u64 = 5;

/// A run that was requested by ID or name.
pub(crate) struct ResolvedRun {
    pub(crate) run: SubmissionId,
    /// Why the name stands for this run; `None` if it was requested by its ID, or the start of it.
    pub(crate) chosen: Option<String>,
}

/// Finds a run to predict with. By ID or its own name, that may be any run that has ended with a head.
///
/// # Errors
/// `NotFound` if the run does not exist, or the name stands for none; `Invalid` if it has no head or another target.
pub(crate) async fn for_prediction(
    context: &Context,
    name: &str,
    target: Option<Target>,
) -> Result<ResolvedRun, RequestError> {
    if ["latest", "best"].contains(&name) {
        return by_name(context, name, Some(target.unwrap_or(Target::ViewsPerSubscriber))).await;
    }
    let id = lookup::id(context, name).await?;
    let run = context.store.submission(id).await?.filter(|run| run.kind == SubmissionKind::Train);
    let run = run.ok_or_else(|| unknown(name))?;
    let has_head = match run.state {
        State::Succeeded => true,
        State::Failed | State::Cancelled => context.store.blob(id, RunDocument::Head).await?.is_some(),
        _ => false,
    };
    if !has_head {
        return Err(RequestError::Invalid(format!(
            "only a run that has ended with a complete epoch can predict: the state of {id} is {}",
            run.state
        )));
    }
    let trained = self::target(&run)?;
    if let Some(target) = target.filter(|target| *target != trained) {
        return Err(RequestError::Invalid(format!("run {id} predicts {trained}, not {target}")));
    }
    let is_name = !id.to_string().starts_with(&name.to_ascii_lowercase());
    Ok(ResolvedRun { run: id, chosen: is_name.then(|| "the newest run of this name".to_owned()) })
}

/// Finds the run that `latest` or `best` stands for: the newest sound run, or the one with the lowest test MSE ÷ baseline
/// MSE. Runs of different targets are never compared: without a target, `latest` may have any, and `best` has views per
/// subscriber.
///
/// # Errors
/// `NotFound` if the name is unknown, or no run is sound.
pub(crate) async fn by_name(
    context: &Context,
    name: &str,
    target: Option<Target>,
) -> Result<ResolvedRun, RequestError> {
    match name {
        "latest" => latest(context, target).await,
        "best" => best(context, target.unwrap_or(Target::ViewsPerSubscriber)).await,
        _ => Err(unknown(name)),
    }
}

async fn latest(context: &Context, target: Option<Target>) -> Result<ResolvedRun, RequestError> {
    let mut rejected = Rejected::default();
    let mut runs = SucceededRuns::new(context);
    while let Some(candidate) = runs.next().await? {
        if rejected.accepts(&candidate, target) {
            let newer = match rejected.unsound + rejected.untested {
                0 => String::new(),
                1 => "; one newer run does not qualify".to_owned(),
                others => format!("; {others} newer runs do not qualify"),
            };
            let chosen = format!(
                "the newest run whose test MSE, on at least {MIN_TEST_SAMPLES} samples, is below the baseline{newer}"
            );
            return Ok(ResolvedRun { run: candidate.run, chosen: Some(chosen) });
        }
    }
    Err(rejected.error(target))
}

async fn best(context: &Context, target: Target) -> Result<ResolvedRun, RequestError> {
    let mut rejected = Rejected::default();
    let mut sound: Vec<Candidate> = Vec::new();
    let mut runs = SucceededRuns::new(context);
    while let Some(candidate) = runs.next().await? {
        if rejected.accepts(&candidate, Some(target)) {
            sound.push(candidate);
        }
    }
    choose_best(&sound).ok_or_else(|| rejected.error(Some(target)))
}

/// Chooses the lowest ratio; of equal ones the newest, which is first.
fn choose_best(sound: &[Candidate]) -> Option<ResolvedRun> {
    let best =
        sound.iter().min_by(|a, b| a.ratio.unwrap_or(f64::NAN).total_cmp(&b.ratio.unwrap_or(f64::NAN)))?;
    let conditions: BTreeSet<&str> = sound.iter().map(|run| run.conditions.as_str()).collect();
    let across = match conditions.len() {
        1 => "",
        _ => ", which differ in dataset, split or transform",
    };
    let among = match sound.len() {
        1 => "the only run".to_owned(),
        runs => format!("the lowest test MSE ÷ baseline of {runs} runs"),
    };
    Some(ResolvedRun {
        run: best.run,
        chosen: Some(format!(
            "{among} whose test MSE, on at least {MIN_TEST_SAMPLES} samples, is below the baseline{across}"
        )),
    })
}

/// A run that has succeeded.
struct Candidate {
    run: SubmissionId,
    target: Target,
    /// Test MSE ÷ baseline MSE; `None` unless it is below 1.
    ratio: Option<f64>,
    /// Whether the test split has [`MIN_TEST_SAMPLES`], and R² and the rank correlation are defined.
    is_tested: bool,
    /// Dataset, split and transform. Errors of runs with equal conditions can be compared directly.
    conditions: String,
}

impl Candidate {
    fn of(run: SubmissionId, spec: &RunSpec, report: &RunReport) -> Self {
        let test = report.test.as_ref();
        let settings = &spec.settings;
        Self {
            run,
            target: settings.target,
            ratio: test.and_then(TestRecord::ratio).filter(|ratio| *ratio < 1.0),
            is_tested: test.is_some_and(|test| test.r2.is_finite() && test.spearman.is_finite())
                && report.split.as_ref().is_some_and(|split| split.test >= MIN_TEST_SAMPLES),
            conditions: format!(
                "{} {} {} {:?} {:?}",
                spec.dataset,
                settings.transform,
                settings.seed,
                report.split,
                report.grouping.as_ref().map_or(settings.split_by, |grouping| Some(grouping.split_by))
            ),
        }
    }
}

/// The runs that have succeeded, newest first.
struct SucceededRuns<'a> {
    context: &'a Context,
    page: std::vec::IntoIter<Submission>,
    before: Option<SubmissionId>,
}

impl<'a> SucceededRuns<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, page: Vec::new().into_iter(), before: None }
    }

    /// Skips runs that this version cannot read, so that one run cannot hide the others.
    async fn next(&mut self) -> Result<Option<Candidate>, RequestError> {
        const PAGE: usize = 100;
        loop {
            let Some(run) = self.page.next() else {
                let page = self.context.store.runs(self.before, PAGE).await?;
                let Some(last) = page.last() else { return Ok(None) };
                self.before = Some(last.id);
                self.page = page.into_iter();
                continue;
            };
            if run.state != State::Succeeded {
                continue;
            }
            if let (Ok(spec), Some(report)) = (read_spec(&run), report(self.context, run.id).await?) {
                return Ok(Some(Candidate::of(run.id, &spec, &report)));
            }
        }
    }
}

/// Counts the runs that were passed over, to explain why none was chosen.
#[derive(Default)]
struct Rejected {
    unsound: usize,
    untested: usize,
    other_targets: BTreeSet<&'static str>,
}

impl Rejected {
    /// Returns whether a run is sound and has the target, and remembers it otherwise.
    fn accepts(&mut self, candidate: &Candidate, target: Option<Target>) -> bool {
        let has_target = target.is_none_or(|target| target == candidate.target);
        match (has_target, candidate.ratio) {
            (true, Some(_)) if candidate.is_tested => return true,
            (true, Some(_)) => self.untested += 1,
            (true, None) => self.unsound += 1,
            (false, Some(_)) => drop(self.other_targets.insert(candidate.target.name())),
            (false, None) => {}
        }
        false
    }

    fn error(&self, target: Option<Target>) -> RequestError {
        let Self { unsound, untested, other_targets } = self;
        let mut reasons = Vec::new();
        if *unsound > 0 {
            reasons.push(format!("{unsound} succeeded with a test MSE that is not below the baseline"));
        }
        if *untested > 0 {
            reasons.push(format!("{untested} succeeded with fewer than {MIN_TEST_SAMPLES} test samples"));
        }
        if reasons.is_empty() && other_targets.is_empty() {
            let none = "no run has succeeded yet: train one with `subwatch train DATASET`";
            return RequestError::NotFound(none.to_owned());
        }
        if !other_targets.is_empty() {
            let targets: Vec<&str> = other_targets.iter().copied().collect();
            reasons.push(format!("other runs predict {}, choose one with --target", targets.join(" or ")));
        }
        let target = target.map_or_else(String::new, |target| format!(" that predicts {target}"));
        RequestError::NotFound(format!(
            "there is no sound run{target}: {}; `subwatch runs` lists all, and any can be named by its ID",
            reasons.join("; ")
        ))
    }
}

fn unknown(name: &str) -> RequestError {
    RequestError::NotFound(format!("run '{name}' does not exist; `subwatch runs` lists all"))
}

/// Reads a run's report; `None` if this version cannot read it, so that one run cannot break the list.
pub(super) async fn report(context: &Context, run: SubmissionId) -> Result<Option<RunReport>, StoreError> {
    match context.store.document::<RunReport>(run, RunDocument::Report).await {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(%run, %error, "cannot read the run's report");
            Ok(None)
        }
        report => Ok(report?.map(RunReport::with_defined_metrics)),
    }
}

/// Reads the stored request of a run.
pub(crate) fn read_spec(submission: &Submission) -> Result<RunSpec, String> {
    serde_json::from_value(submission.spec.clone())
        .map_err(|error| format!("cannot read the run's stored request: {error}"))
}

/// Returns the target of a run.
pub(crate) fn target(submission: &Submission) -> Result<Target, RequestError> {
    Ok(read_spec(submission).map_err(RequestError::Unavailable)?.settings.target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(target: Target, ratio: Option<f64>, is_tested: bool, conditions: &str) -> Candidate {
        Candidate { run: SubmissionId::now(), target, ratio, is_tested, conditions: conditions.to_owned() }
    }

    #[test]
    fn best_has_the_lowest_ratio() {
        let views = Target::Views;
        let runs = [
            candidate(views, Some(0.9), true, "a"),
            candidate(views, Some(0.5), true, "a"),
            candidate(views, Some(0.5), true, "a"),
        ];
        let best = choose_best(&runs).unwrap();
        assert_eq!(best.run, runs[1].run);
        let reason = "the lowest test MSE ÷ baseline of 3 runs whose test MSE, on at least 5 samples, is \
                      below the baseline";
        assert_eq!(best.chosen.as_deref(), Some(reason));
        let mixed = [candidate(views, Some(0.9), true, "a"), candidate(views, Some(0.8), true, "b")];
        let chosen = choose_best(&mixed).unwrap().chosen.unwrap();
        assert!(chosen.ends_with(", which differ in dataset, split or transform"), "{chosen}");
        assert!(choose_best(&[]).is_none());
    }

    #[test]
    fn error_explains_why_no_run_is_chosen() {
        let check = |runs: &[(Target, Option<f64>)], expected: &str| {
            let mut rejected = Rejected::default();
            let target = Some(Target::ViewsPerSubscriber);
            for (of, ratio) in runs {
                assert!(!rejected.accepts(&candidate(*of, *ratio, true, ""), target));
            }
            assert!(
                !Rejected::default()
                    .accepts(&candidate(Target::ViewsPerSubscriber, Some(0.1), false, ""), target)
            );
            let RequestError::NotFound(error) = rejected.error(target) else {
                panic!("not found is expected")
            };
            assert!(error.contains(expected), "{error}");
        };
        check(&[], "no run has succeeded yet");
        check(
            &[(Target::ViewsPerSubscriber, None)],
            "no sound run that predicts views-per-subscriber: 1 succeeded",
        );
        check(&[(Target::Views, Some(0.5))], "other runs predict views, choose one with --target");
        check(
            &[
                (Target::ViewsPerSubscriber, None),
                (Target::Views, Some(0.5)),
                (Target::Subscribers, Some(0.5)),
            ],
            "the baseline; other runs predict subscribers or views",
        );
    }
}
