//! Cgroup trees that look real, for tests, benches and measuring scripts.
