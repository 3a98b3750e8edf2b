//! What thins out a repository: when snapshots are forgotten, and when the repository is pruned; the steps of both; and what has come of them.
//!
//! Both are runs of the repository, one after the other, each alone in it. A forget removes what [`super::retention`] has named, and nothing else. A prune marks the packs that
//! no snapshot needs, and removes those that an earlier prune has marked, once they have been marked for longer than any writer may take.

mod conclude;
mod due;
mod place;
mod steps;

pub use conclude::{RUNS_LISTED, bytes_of, conclude, put_behind, standing};
pub use due::{Due, DueFacts, RETRY_AFTER, due};
pub use place::place;
pub use steps::{LEAST_DELAY, MAX_SNAPSHOTS, Ordered, RunFacts, compile, delay, memory_limit, order, why};
