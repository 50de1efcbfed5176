//! Integration tests over real servers: the cluster they run on.
