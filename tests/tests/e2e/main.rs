//! The product on two real sites: what it promises, and the bad days it must survive. Three stages play the acts, side by side; the scenes of an act share a stage.

mod backups;
mod book;
mod drills;
mod installation;
mod isolation;
mod leaders;
mod maintenance;
mod odd_files;
mod restores;
mod runbooks;
mod stores;
mod strange;
mod strangers;
mod telling;
mod wrong;

use p861_tests::scenes::play;
use std::process::ExitCode;

fn main() -> ExitCode {
    // `make strangers`: they need images that no other scene needs.
    if std::env::args().any(|argument| argument == "--ignored") {
        return play("strangers", &[strangers::SCENES.to_vec()], &[vec![]]);
    }
    // `make book`: the pages and the runbooks, on the demo.
    if std::env::args().any(|argument| argument == "--book") {
        return book::play();
    }
    // `make soak`: the long forms of what others show here briefly.
    if std::env::args().any(|argument| argument == "--soak") {
        let acts = [&drills::SCENES[..1], drills::SOAK, leaders::SOAK, stores::SOAK, maintenance::SOAK].concat();
        return play("soak", &[acts], &[vec![]]);
    }
    // The longest first.
    let acts = [
        maintenance::SCENES.to_vec(),
        [odd_files::SCENES, restores::SCENES].concat(),
        // What is told of a drill comes after one.
        [drills::SCENES, telling::SCENES].concat(),
        stores::SCENES.to_vec(),
        strange::SCENES.to_vec(),
        isolation::SCENES.to_vec(),
        leaders::SCENES.to_vec(),
        backups::SCENES.to_vec(),
        book::SCENES.to_vec(),
        wrong::SCENES.to_vec(),
    ];
    // Installation takes the operator away, and with it the log that is searched for secrets.
    let [one, another, last] = telling::OF_EACH_STAGE;
    let closings = [[one, installation::SCENES].concat(), another.to_vec(), last.to_vec()];
    play("e2e", &acts, &closings)
}
