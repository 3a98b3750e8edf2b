//! The product on two real sites: what it promises, and the bad days it must survive. The scenes share one stage and are played in this order.

mod backups;
mod drills;
mod installation;
mod isolation;
mod leaders;
mod maintenance;
mod odd_files;
mod pages;
mod restores;
mod stores;
mod telling;
mod wrong;

use p861_tests::scenes::{Scene, play};
use std::process::ExitCode;

fn main() -> ExitCode {
    let all: Vec<Scene> = [
        backups::SCENES,
        odd_files::SCENES,
        restores::SCENES,
        wrong::SCENES,
        drills::SCENES,
        isolation::SCENES,
        leaders::SCENES,
        stores::SCENES,
        maintenance::SCENES,
        pages::SCENES,
        telling::SCENES,
        // The last: it takes the operator away.
        installation::SCENES,
    ]
    .concat();
    play("e2e", &all)
}
