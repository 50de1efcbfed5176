//! Checkpoints as trainers write them, compared with `torch.load(weights_only=True)` at test time.

use std::{collections::BTreeMap, fs, path::Path, str::FromStr};

use serde_json::Value;
use tests::python;
use worker::model::{StateDict, WeightsSource};

fn load(folder: &Path, name: &str) -> Result<StateDict, String> {
    let path = folder.join(name).display().to_string();
    let loaded = WeightsSource::from_str(&path).unwrap().load(folder).map_err(|error| error.to_string());
    assert!(loaded.as_ref().err().is_none_or(|error| error.starts_with(&path)), "{loaded:?}");
    loaded
}

/// What is wrong with files for which torch.load has no state dict to compare.
const REFUSED: [(&str, &str); 15] = [
    ("student-and-teacher.pth", "2 different copies of the model: 'student', 'teacher'"),
    ("two-encoders.pth", "'state_dict', names that begin with 'module.encoder_k.'"),
    ("integer-weights.pth", "bn1.bias has another element type"),
    ("negated-view.pth", "bn1.bias has another element type"),
    ("list.pth", "the root is not a dict"),
    ("no-tensors.pth", "the file has no tensors"),
    (
        "namespace.pth",
        "'argparse.Namespace', which is not a tensor, and torch.load(weights_only=True) refuses it",
    ),
    ("numpy-scalar.pth", "'numpy._core.multiarray.scalar', which is not a tensor"),
    ("date.pth", "'datetime.date', which is not a tensor"),
    ("default-dict.pth", "'collections.defaultdict', which is not a tensor"),
    (
        "torchscript.pt",
        "TorchScript archive; convert it with: python -c \"import torch; torch.save(torch.jit.load(",
    ),
    ("legacy.pth", "before PyTorch 1.6; convert it with: python -c"),
    ("pointer.safetensors", "a Git LFS pointer, not the weights: run `git lfs pull`"),
    ("page.pth", "a page of HTML or XML, not the weights: download the file itself"),
    ("folder.pth", "a folder, not a file"),
];

#[test]
fn checkpoints_load_as_torch_loads_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let printed = python::run("checkpoints.py", &[&folder.display().to_string()]);
    let files: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    fs::write(
        folder.join("pointer.safetensors"),
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 87278696\n", "0".repeat(64)),
    )
    .unwrap();
    fs::write(folder.join("page.pth"), "\n<!DOCTYPE html>\n<html><title>Sign in</title></html>").unwrap();
    fs::create_dir(folder.join("folder.pth")).unwrap();

    // Many files have the same backbone, and a digest takes a while.
    let mut by_digest: BTreeMap<&str, StateDict> = BTreeMap::new();
    let (mut loaded, mut refused) = (0, 0);
    for file in &files {
        let name = file["file"].as_str().unwrap();
        if let Some(digest) = file["digest"].as_str() {
            let state = load(folder, name).unwrap();
            let seen = by_digest.entry(digest).or_insert_with(|| {
                assert_eq!(state.digest().to_string(), digest, "{name}");
                state.clone()
            });
            assert!(*seen == state, "{name} differs from torch.load");
            loaded += 1;
        } else if name == "protocol-4.pth" {
            // torch.load reads this protocol only without `weights_only`.
            assert!(load(folder, name).unwrap() == load(folder, "base.pth").unwrap());
        } else {
            assert!(REFUSED.iter().any(|(refused, _)| *refused == name), "{name}: {file}");
            refused += 1;
        }
    }
    for (name, want) in REFUSED {
        let error = load(folder, name).expect_err(name);
        assert!(error.contains(want), "{error}");
    }
    tests::print_line(&format!(
        "{loaded} checkpoints as torch.load, {refused} refused by both or on purpose"
    ));
    assert!(loaded >= 30 && refused >= 12, "{loaded} {refused}");
}
