//! The one place that computes attention.
