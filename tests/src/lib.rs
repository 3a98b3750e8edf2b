//! Platform 861.
