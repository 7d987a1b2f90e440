"""Executors: where populations are trained, in this process, in others of this host, or on a cluster."""
