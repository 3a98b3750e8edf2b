//! A stage for the suites and the demo: two real sites with the operator installed from its charts, one district, two real applications.

pub mod bench;
pub mod book;
pub mod faults;
pub mod follow;
pub mod hand;
pub mod install;
pub mod look;
pub mod plain_shell;
pub mod reader;
pub mod restic;
pub mod rooms;
pub mod scenes;
pub mod stage;
pub mod terminal;
pub mod typist;

pub use look::Look;
pub use stage::Stage;
