//! The product on two real sites: what it promises, and the bad days it must survive. The scenes of a lane share a stage and are played in this order, the lanes
//! side by side.

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
mod strangers;
mod telling;
mod wrong;

use p861_tests::scenes::play;
use std::process::ExitCode;

fn main() -> ExitCode {
    // `make strangers`: they need images that no other scene needs.
    if std::env::args().any(|argument| argument == "--ignored") {
        return play("strangers", &[strangers::SCENES.to_vec()]);
    }
    // `make soak`: the long forms of what others show here briefly. The first makes the backups that the rest need; the first day comes before the first night.
    if std::env::args().any(|argument| argument == "--soak") {
        return play("soak", &[[&drills::SCENES[..1], drills::SOAK, leaders::SOAK, stores::SOAK, pages::SCENES, pages::SOAK].concat()]);
    }
    let data = [
        backups::SCENES,
        odd_files::SCENES,
        restores::SCENES,
        wrong::SCENES,
        stores::SCENES,
        maintenance::SCENES,
        telling::OF_DATA,
        // The last: it takes the operator away.
        installation::SCENES,
    ];
    let people = [drills::SCENES, isolation::SCENES, leaders::SCENES, pages::SCENES, telling::SCENES];
    play("e2e", &[data.concat(), people.concat()])
}
