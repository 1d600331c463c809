//! Black-box tests of the engine, one file or folder for each thing that is tried on it.
//!
//! One executable, as linking each file with everything takes longer than compiling it. `cargo xtask test` runs the files one
//! after the other all the same: several of them look at how long something takes, and want the machine.

mod api;
mod at_rest;
mod bad_input;
mod cluster_admin;
mod crash;
mod damage;
mod engine;
mod faults;
mod full_disk;
mod import;
mod members;
mod membership;
mod migrate;
mod network;
mod orderctl;
mod recorded;
mod refusing_store;
mod retail;
mod serve;
mod store_conformance;
mod tikv_conformance;
mod tikv_service;
mod tikv_store;
mod tikv_tls;
