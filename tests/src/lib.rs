//! The relevo test harness.
