//! `testbed up | status | env | down`: two real Kubernetes sites on this machine, to look round in. `testbed release`: the files that users install.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use p861_testbed::bed::{self, Bed, BedError, Options, Place, SITES, Site};
use p861_testbed::components;
use p861_testbed::images;
use p861_testbed::release;
use p861_testbed::report::Report;

/// Two real Kubernetes sites on this machine, with S3, Prometheus and Alertmanager beside them
#[derive(Parser)]
#[command(name = "testbed", version)]
struct Arguments {
    /// The bed; several can be up at the same time
    #[arg(long, global = true, env = "P861_TESTBED", default_value = "explore")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install or build the programs and images that every bed needs, and nothing more
    Prepare,
    /// Bring a bed up
    Up {
        /// Files of rules for Prometheus; without any, Prometheus and Alertmanager are not started
        #[arg(long = "rules", value_name = "FILE")]
        rules: Vec<PathBuf>,
        /// The names of the sites
        #[arg(long, value_delimiter = ',', default_values_t = SITES.map(str::to_owned))]
        sites: Vec<String>,
    },
    /// Show what runs
    Status,
    /// Print what a shell needs to use a bed: eval "$(testbed env)"
    Env {
        /// For somebody who looks round: one kubeconfig of his own, whose current context is the hub, and p861 on PATH
        #[arg(long)]
        hub: bool,
    },
    /// Take a bed down, also one that was left by a crash
    Down,
    /// List the beds of this machine
    List,
    /// Write the files that users install; `make release` calls it
    Release {
        /// The folder with the programs p861 and p861-operator
        #[arg(long, value_name = "FOLDER", default_value = "target/release")]
        programs: PathBuf,
        /// The folder to write; an earlier release in it is replaced
        #[arg(long, value_name = "FOLDER", default_value = "dist")]
        to: PathBuf,
        /// Where the files will be published, for the krew manifest; default: the folder itself
        #[arg(long)]
        url: Option<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what the person asked for")]
fn perform(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let (name, report) = (&arguments.name, Report::stderr());
    match &arguments.command {
        Command::Prepare => {
            let components = components::ensure(&report)?;
            images::ensure(&components, &report)?;
        }
        Command::Up { rules, sites } => {
            let options = Options { rules: rules.clone(), sites: sites.clone(), ..Options::default() };
            match Bed::up(name, &options, &report) {
                Ok(bed) => report.line(&format!("Bed {name} is up in {}. eval \"$(testbed --name {name} env)\" to use it.", bed.folder().display())),
                Err(error) => {
                    report.line(&format!("What there is of it stays, to be looked at; testbed --name {name} down removes it."));
                    return Err(error.into());
                }
            }
        }
        Command::Status => {
            let bed = found(name, &report)?;
            let mut whole = true;
            for (part, process) in bed.processes() {
                let state = process.id().map_or_else(|| "ended".to_owned(), |id| format!("process {id}"));
                whole &= process.id().is_some();
                println!("{part:<10} {:<24} {state}", process.name);
            }
            return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(4) });
        }
        // Every new shell asks: what the bed is made of was told when it was brought up.
        Command::Env { hub } => print!("{}", environment(&found(name, &Report::silent())?, *hub)?),
        Command::Down => bed::down(name, &report)?,
        Command::Release { programs, to, url } => {
            release::make(&release::Options { programs: programs.clone(), folder: to.clone(), url: url.clone() }, &report)?;
            report.line(&format!("{} holds the release: docs/INSTALL.md says what to do with it.", to.display()));
        }
        Command::List => Place::all().iter().for_each(|place| println!("{:<24} {}", place.name, place.folder().display())),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a shell needs to use a bed, as lines that it evaluates.
fn environment(bed: &Bed, hub: bool) -> Result<String, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    let mut programs: Vec<&Path> = [&bed.components.kubectl, &bed.components.helm].into_iter().filter_map(|program| program.parent()).collect();
    let (kubeconfigs, current) = if hub {
        if let Some(folder) = own.parent() {
            programs.insert(0, folder);
        }
        (vec![bed.readers_kubeconfig()?], bed.hub().ok())
    } else {
        (bed.sites().iter().map(Site::kubeconfig).collect(), bed.sites().first())
    };
    programs.dedup();
    let contexts: Vec<&str> = bed.sites().iter().map(|site| site.name.as_str()).collect();
    let current = current.map_or("", |site| site.name.as_str());
    Ok(format!(
        "export KUBECONFIG={}\nexport P861_S3={}\nexport PATH={}:\"$PATH\"\n# Contexts: {}; the current one: {current}\n",
        list(kubeconfigs.iter().map(PathBuf::as_path)),
        quoted(&bed.s3().endpoint()),
        list(programs),
        contexts.join(", ")
    ))
}

/// Paths as a shell's list of them.
fn list<'a>(paths: impl IntoIterator<Item = &'a Path>) -> String {
    paths.into_iter().map(|path| quoted(&path.to_string_lossy())).collect::<Vec<_>>().join(":")
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn found(name: &str, report: &Report) -> Result<Bed, BedError> {
    Bed::find(name, report)?.ok_or_else(|| {
        let up: Vec<String> = Place::all().into_iter().map(|place| place.name).collect();
        BedError::Refused(format!("there is no bed {name}: {}", instead(name, &up)))
    })
}

/// What to type if a bed isn't there: another one that is, or what brings this one up.
fn instead(name: &str, up: &[String]) -> String {
    match up {
        [] => format!("testbed --name {name} up"),
        [one] => format!("{one} is up; to use it: eval \"$(target/debug/testbed --name {one} env --hub)\""),
        several => format!("{} are up; to use one: eval \"$(target/debug/testbed --name NAME env --hub)\"", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_a_bed_that_is_not_there_is_told_how_to_use_the_one_that_is() {
        let up = |names: &[&str]| instead("demo-1", &names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(up(&[]), "testbed --name demo-1 up");
        assert_eq!(up(&["mine"]), "mine is up; to use it: eval \"$(target/debug/testbed --name mine env --hub)\"");
        assert_eq!(up(&["a", "b"]), "a, b are up; to use one: eval \"$(target/debug/testbed --name NAME env --hub)\"");
    }

    #[test]
    fn a_shell_takes_any_path_as_it_is() {
        let paths = ["/home/li/it's here", "/a b"];
        let script = format!("printf %s {}", list(paths.map(Path::new)));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), paths.join(":"));
    }
}
