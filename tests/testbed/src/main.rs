//! Platform 861.
fn main() {}
