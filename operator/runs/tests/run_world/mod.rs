//! The executor with a journal in a real folder and effects in a simulated world. Whatever can happen to a run happens at every step of compiled plans:
//! its process dies, another takes it, a person aborts it, the step fails, never ends, or the journal's store is down. No Kubernetes, milliseconds a run.

mod aborted;
mod away;
mod bed;
mod failed;
mod given_up;
mod killed;
mod overtaken;
mod plans;
mod slow;
mod store_down;
mod world;
