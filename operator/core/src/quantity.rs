//! Kubernetes quantities, and sizes for people.
