//! `subwatch completions` and `subwatch man`, generated from the definition of the command line.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::{
    exit::{CliError, Exit},
    output,
};

#[derive(Args)]
pub(super) struct CompletionsArguments {
    /// Shell that will source the script.
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManArguments {
    /// Folder for the pages, which `man -M` and packages expect to be named man1; created if missing.
    folder: PathBuf,
}

pub(super) fn completions(mut command: Command, arguments: &CompletionsArguments) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "subwatch", &mut script);
    output::print_bytes(&script)?;
    Ok(Exit::Done)
}

pub(super) fn pages(command: Command, arguments: &ManArguments) -> Result<Exit, CliError> {
    let folder = &arguments.folder;
    let failed = |error| CliError::failed(format!("cannot write to {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    output::note(&format!(
        "wrote the manual pages to {}: see `man {}/subwatch.1`",
        folder.display(),
        folder.display()
    ));
    Ok(Exit::Done)
}
