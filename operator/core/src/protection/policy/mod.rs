//! Backups by a policy: which policy holds for an application, when its backups are due, and which of those that are due begin now.
//!
//! # Slots
//! The schedule names times; each is a *slot* of every application that the policy holds for. An application's backup begins at the slot and its jitter, which follows from the
//! application's UID and never changes, so that two thousand applications don't begin at once, and each has its backups as far apart as the schedule says.
//!
//! - **A slot is taken once.** The Backup is named by application and slot, in UTC ([`slot::name`]): whoever asks a second time finds it there. Two hubs that use one
//!   repository find each other's in a register beside the snapshots ([`slot::claim`]).
//! - **Only the newest slot is ever begun.** Whatever was in the way of a slot (the hub was down, the repository was away, the backup before it still ran), it is made up for
//!   once, as soon as it can be. If the next is due by then, that one takes its place, and nothing piles up.
//! - **What didn't begin within `startingDeadline` is missed**, and that is told: in the status, by an Event, and by an alert while it still waits.
//! - **Nothing is made up for** from before the policy was declared, resumed, or given another schedule, nor from before the application was there.
//! - **Clocks.** Where clocks are put forward or back, [`crate::schedule`] says when the slots are. If the clock of the hub is put back, slots that were taken stay taken. If it
//!   was ahead, what was taken then is no reason to wait until that time has come.
//!
//! # Who begins first
//! Of several that are due and wait for a place, the application with the strictest RPO, and of equal ones the one whose RPO is broken first. All policies of a district are
//! looked at together, so that each of them comes to the same answer: one policy with two thousand ordinary applications holds up no critical one.

pub mod bandwidth;
pub mod calendar;
pub mod decide;
pub mod due;
pub mod holding;
pub mod seen;
pub mod slot;
pub mod sparse;
pub mod standing;
pub mod terms;
