//! Many hosts, as Prometheus has what their `offwatch export` told.
