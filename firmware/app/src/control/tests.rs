//! The control loop against the stubs of its surroundings.
