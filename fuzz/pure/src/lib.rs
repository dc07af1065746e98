//! The same files as the service's, under the same names: what the fuzz targets read with.

#![allow(dead_code, unused_imports, missing_docs, reason = "the targets use a part of it")]

#[path = "../../../src/allocate/mod.rs"]
pub mod allocate;
#[path = "../../../src/focus/mod.rs"]
pub mod focus;
#[path = "../../../src/normalize/mod.rs"]
pub mod normalize;

pub mod sources;

pub mod web;
