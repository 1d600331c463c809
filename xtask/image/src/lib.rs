//! An image is one layer with a program, and what a registry or a container runtime wants to know of it, in one file: an
//! OCI archive (image layout 1.0 in a tar).
//!
//! Never reads a clock and never asks the machine: the same program makes the same bytes, and so the same digest.

mod archive;
mod program;
mod shipped;

pub use archive::{Image, Written};
pub use program::Program;
pub use shipped::shipped;
