//! The relevo gateway: TCP load balancer and HTTP API.
