//! A relevo broker: sockets, threads and the router around the engine.
