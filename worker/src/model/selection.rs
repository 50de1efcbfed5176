//! Finds ResNet34's tensors in a weights file by name and shape, and reads only those.
//!
//! Owns the prefixes and wrappers that trainers add to names, and the choice among several copies of the model.
//! Invariant: if two different copies would do, neither is taken.

use std::{
    collections::{BTreeMap, HashSet},
    rc::Rc,
};

use super::{
    architecture::tensor_shapes,
    state_dict::{StateDict, Tensor},
};

/// Parts of names that wrappers of modules add anywhere: `torch.compile`, FSDP and activation checkpointing.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];
/// Most prefixes of a dict, and most copies of a file, that are considered.
const MAX_COPIES: usize = 64;
/// Most problems, names or copies listed in an error.
const MAX_LISTED: usize = 4;

/// A tensor that is not read yet.
pub(super) struct Unread<T> {
    pub(super) shape: Vec<i64>,
    /// Whether it holds floating-point numbers; counters and flags do not.
    pub(super) floating: bool,
    pub(super) source: T,
}

/// The tensors of one dict of a file, by name.
pub(super) struct Dict<T> {
    /// The keys that lead to it, such as `state_dict`; empty for the outermost dict.
    path: String,
    tensors: BTreeMap<Rc<str>, Unread<T>>,
}

impl<T> Dict<T> {
    pub(super) fn new(path: String, tensors: impl IntoIterator<Item = (Rc<str>, Unread<T>)>) -> Self {
        let tensors = tensors.into_iter().map(|(name, tensor)| (without_wrappers(name), tensor));
        Self { path, tensors: tensors.collect() }
    }

    /// Returns what may precede the model's names: whatever precedes `conv1.weight`.
    fn copies(&self) -> impl Iterator<Item = Candidate<'_, T>> {
        let prefixes = self.tensors.keys().filter_map(|name| name.strip_suffix("conv1.weight"));
        let prefixes = prefixes.filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
        prefixes.take(MAX_COPIES).map(|prefix| Candidate { dict: self, prefix })
    }
}

fn without_wrappers(name: Rc<str>) -> Rc<str> {
    if !WRAPPERS.iter().any(|wrapper| name.contains(wrapper)) {
        return name;
    }
    WRAPPERS.iter().fold(name.to_string(), |name, wrapper| name.replace(wrapper, "")).into()
}

/// A possible copy of the model: a dict, and what precedes the model's names in it.
struct Candidate<'a, T> {
    dict: &'a Dict<T>,
    prefix: &'a str,
}

impl<'a, T: PartialEq> Candidate<'a, T> {
    fn get(&self, name: &str) -> Option<&'a Unread<T>> {
        self.dict.tensors.get(format!("{}{name}", self.prefix).as_str())
    }

    /// Whether it is a running average of the weights, by the words that trainers use for it.
    fn is_average(&self) -> bool {
        let words = |text: &str| {
            let lower = text.to_lowercase();
            lower.split(['.', '_', '-']).any(|word| matches!(word, "ema" | "swa" | "averaged"))
        };
        words(&self.dict.path) || words(self.prefix)
    }

    fn is_same(&self, other: &Self, names: &BTreeMap<String, Vec<i64>>) -> bool {
        names.keys().all(|name| match (self.get(name), other.get(name)) {
            (Some(one), Some(two)) => one.shape == two.shape && one.source == two.source,
            _ => false,
        })
    }

    /// `'state_dict', names that begin with 'module.'`.
    fn describe(&self) -> String {
        match (self.dict.path.as_str(), self.prefix) {
            ("", prefix) => format!("names that begin with '{prefix}'"),
            (path, "") => format!("'{path}'"),
            (path, prefix) => format!("'{path}', names that begin with '{prefix}'"),
        }
    }
}

/// Reads the backbone from the one dict, and behind the one prefix, where its names are. The classifier, counters and
/// flags, and tensors elsewhere, are left out.
///
/// # Errors
/// If several different copies would do; if a tensor is missing, unexpected, or has a wrong shape or values that are not
/// finite. The error names the architecture if it is another known ResNet.
pub(super) fn read_backbone<T: PartialEq, E: From<String>>(
    dicts: &[Dict<T>],
    mut read: impl FnMut(&str, &T) -> Result<Vec<f32>, E>,
) -> Result<StateDict, E> {
    let expected = tensor_shapes();
    let (copy, others) = choose(dicts, &expected)?;
    let (mut state, mut problems) = (StateDict::default(), Vec::new());
    for (name, shape) in &expected {
        let Some(tensor) = copy.get(name) else {
            problems.push(format!("{name} is missing"));
            continue;
        };
        if !tensor.floating {
            problems.push(format!("{name} has another element type than F64, F32, F16 and BF16"));
        } else if tensor.shape != *shape {
            problems.push(format!("{name} has shape {:?} instead of {shape:?}", tensor.shape));
        } else {
            let values = read(name, &tensor.source)?;
            if !values.iter().all(|value| value.is_finite()) {
                problems.push(format!("{name} has values that are not finite"));
            }
            state.0.insert(name.clone(), Tensor { shape: shape.clone(), values });
        }
    }
    problems.extend(unexpected(&copy, &others, &expected).map(|name| format!("{name} is unexpected")));
    if problems.is_empty() {
        return Ok(state);
    }
    let guess = architecture(&copy).map(|name| format!(" (they look like {name})")).unwrap_or_default();
    Err(format!("the weights are not those of ResNet34{guess}: {}", list(problems.into_iter())).into())
}

/// Returns the copy to read, and the others.
fn choose<'a, T: PartialEq>(
    dicts: &'a [Dict<T>],
    expected: &BTreeMap<String, Vec<i64>>,
) -> Result<(Candidate<'a, T>, Vec<Candidate<'a, T>>), String> {
    let mut whole: Vec<Candidate<'a, T>> = Vec::new();
    for copy in dicts.iter().flat_map(Dict::copies) {
        // A module may be registered under two names, which refer to the same tensors.
        if expected.keys().all(|name| copy.get(name).is_some())
            && !whole.iter().any(|other| other.is_same(&copy, expected))
        {
            whole.push(copy);
        }
        if whole.len() == MAX_COPIES {
            break;
        }
    }
    let weights = whole.iter().filter(|copy| !copy.is_average()).count();
    let chosen = match (weights, whole.len()) {
        (_, 0) => return closest(dicts, expected).map(|copy| (copy, Vec::new())),
        (1, _) => whole.iter().position(|copy| !copy.is_average()),
        (_, 1) => Some(0),
        _ => None,
    };
    let Some(chosen) = chosen else {
        return Err(format!(
            "the file has {} different copies of the model: {}; save the one to use in a file of its own",
            whole.len(),
            list(whole.iter().map(Candidate::describe))
        ));
    };
    let copy = whole.remove(chosen);
    if !whole.is_empty() {
        let left_out = list(whole.iter().map(Candidate::describe));
        tracing::warn!(used = copy.describe(), left_out, "the weights file also has averaged weights");
    }
    Ok((copy, whole))
}

/// Returns the copy that has the most names of the model, to say what it lacks.
fn closest<'a, T: PartialEq>(
    dicts: &'a [Dict<T>],
    expected: &BTreeMap<String, Vec<i64>>,
) -> Result<Candidate<'a, T>, String> {
    let found = |copy: &Candidate<'_, T>| expected.keys().filter(|name| copy.get(name).is_some()).count();
    let copies = dicts.iter().flat_map(Dict::copies).take(MAX_COPIES);
    copies.max_by_key(found).ok_or_else(|| {
        let names = dicts.iter().flat_map(|dict| dict.tensors.keys()).map(ToString::to_string);
        match list(names) {
            names if names.is_empty() => "the file has no tensors".to_owned(),
            names => format!(
                "the weights are not those of ResNet34: no tensor is named conv1.weight, only {names}"
            ),
        }
    })
}

/// Returns names of layers that ResNet34 does not have, without the prefix.
fn unexpected<'a, T: PartialEq>(
    copy: &Candidate<'a, T>,
    others: &[Candidate<'a, T>],
    expected: &BTreeMap<String, Vec<i64>>,
) -> impl Iterator<Item = &'a str> {
    let other_prefixes: HashSet<&str> = others
        .iter()
        .filter(|other| std::ptr::eq(other.dict, copy.dict) && other.prefix.len() > copy.prefix.len())
        .map(|other| other.prefix)
        .collect();
    let layers = copy.dict.tensors.iter().filter(|(_, tensor)| tensor.floating);
    let layers =
        layers.filter(move |(name, _)| !other_prefixes.iter().any(|prefix| name.starts_with(prefix)));
    let names = layers.filter_map(|(name, _)| name.strip_prefix(copy.prefix));
    let ignored = |name: &str| name.starts_with("fc.") || name.ends_with(".num_batches_tracked");
    names.filter(move |name| !expected.contains_key(*name) && !ignored(name))
}

/// Recognises other ResNets by their blocks.
fn architecture<T: PartialEq>(copy: &Candidate<'_, T>) -> Option<&'static str> {
    let has = |name: &str| copy.get(name).is_some();
    if !has("layer1.0.conv1.weight") {
        return None;
    }
    let bottleneck = has("layer1.0.conv3.weight");
    Some(
        match (
            bottleneck,
            has("layer3.22.conv1.weight"),
            has("layer3.5.conv1.weight"),
            has("layer3.35.conv1.weight"),
        ) {
            (true, _, _, true) => "ResNet152",
            (true, true, _, _) => "ResNet101",
            (true, _, _, _) => "ResNet50",
            (false, _, true, _) => "a modified ResNet34",
            (false, _, false, _) => "ResNet18",
        },
    )
}

/// Joins the first texts, and says how many more there are.
fn list(mut texts: impl Iterator<Item = String>) -> String {
    let mut listed = texts.by_ref().take(MAX_LISTED).collect::<Vec<_>>().join(", ");
    match texts.count() {
        0 => {}
        more => listed.push_str(&format!(", and {more} more")),
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    type Values = BTreeMap<String, (Vec<i64>, f32)>;

    fn model(value: f32) -> Values {
        tensor_shapes().into_iter().map(|(name, shape)| (name, (shape, value))).collect()
    }

    fn prefixed(prefix: &str, values: &Values) -> Values {
        values.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect()
    }

    fn dict(path: &str, values: &Values) -> Dict<f32> {
        let tensors = values.iter().map(|(name, (shape, value))| {
            let unread = Unread { shape: shape.clone(), floating: !name.contains("flag"), source: *value };
            (Rc::from(name.as_str()), unread)
        });
        Dict::new(path.to_owned(), tensors)
    }

    /// Returns the value of every tensor that was read.
    fn read(dicts: &[Dict<f32>]) -> Result<f32, String> {
        // One value stands for all of a tensor.
        let state = read_backbone(dicts, |_, value| Ok::<_, String>(vec![*value]))?;
        assert_eq!(state.0.len(), tensor_shapes().len());
        Ok(state.get("bn1.bias").values[0])
    }

    #[test]
    fn weights_of_other_architectures_are_rejected_by_name() {
        let check = |change: &dyn Fn(&mut Values), want: &str| {
            let mut values = model(0.0);
            change(&mut values);
            let error = read(&[dict("", &values)]).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check(&|t| drop(t.remove("bn1.bias")), "bn1.bias is missing");
        check(&|t| drop(t.insert("extra".to_owned(), (vec![1], 0.0))), "extra is unexpected");
        check(
            &|t| drop(t.insert("bn1.bias".to_owned(), (vec![3], 0.0))),
            "bn1.bias has shape [3] instead of [64]",
        );
        check(&|t| t.get_mut("bn1.bias").unwrap().1 = f32::NAN, "bn1.bias has values that are not finite");
        check(&|t| t.retain(|name, _| !name.contains("layer3.5")), "look like ResNet18");
        check(&|t| drop(t.insert("layer1.0.conv3.weight".to_owned(), (vec![1], 0.0))), "look like ResNet50");
        check(&|t| t.retain(|name, _| name == "bn1.bias"), "no tensor is named conv1.weight, only bn1.bias");
        check(&|t| t.clear(), "no tensors");
    }

    #[test]
    fn prefixes_wrappers_and_extras_are_left_out() {
        let check =
            |values: &Values| assert_eq!(read(&[dict("", values)]), Ok(1.0), "{:?}", values.keys().next());
        for prefix in ["", "module.", "_orig_mod.", "model.", "net.backbone.", "module._orig_mod.encoder."] {
            check(&prefixed(prefix, &model(1.0)));
        }
        let infix = model(1.0).into_iter();
        check(&infix.map(|(name, tensor)| (name.replace("layer1.", "layer1._orig_mod."), tensor)).collect());
        let mut extras = prefixed("backbone.", &model(1.0));
        for (name, size) in
            [("backbone.fc.weight", 10), ("head.weight", 3), ("backbone.flag", 1), ("loss.weight", 1)]
        {
            extras.insert(name.to_owned(), (vec![size], 7.0));
        }
        extras.insert("backbone.bn1.num_batches_tracked".to_owned(), (vec![], 7.0));
        check(&extras);
    }

    #[test]
    fn of_several_copies_the_averaged_ones_are_left_out_and_others_are_refused() {
        let (one, two) = (model(1.0), model(2.0));
        let pair = |first: &str, second: &str| read(&[dict(first, &one), dict(second, &two)]);
        assert_eq!(pair("model_ema", "model"), Ok(2.0));
        assert_eq!(pair("state_dict", "state_dict_ema"), Ok(1.0));
        let error = pair("student", "teacher").unwrap_err();
        assert!(error.contains("2 different copies") && error.contains("'student', 'teacher'"), "{error}");
        // The same tensors under two names.
        assert_eq!(read(&[dict("model", &one), dict("net", &one)]), Ok(1.0));
        assert_eq!(read(&[dict("ema", &one)]), Ok(1.0));
        let mut both = prefixed("encoder_q.", &one);
        both.extend(prefixed("encoder_k.", &two));
        let error = read(&[dict("state_dict", &both)]).unwrap_err();
        assert!(error.contains("'state_dict', names that begin with 'encoder_k.'"), "{error}");
        let mut nested = one.clone();
        nested.extend(prefixed("ema.module.", &two));
        assert_eq!(read(&[dict("", &nested)]), Ok(1.0));
    }
}
