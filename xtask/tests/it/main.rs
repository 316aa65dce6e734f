//! Drives the real executable.
